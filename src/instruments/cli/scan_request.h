// A scan, as commands ask for one: of a process that runs, or of each process of a command when it ends. What it is to
// tell beside or instead of leaks stands in wire/region.h.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/watched_program.h"
#include "instruments/collect/recording.h"

namespace tenure::cli {

struct scan_request {
  std::uint64_t content = 0;                       // wire::scan_tells_holders, wire::scan_maps_heap
  std::uint32_t pid = 0;                           // with it, a process that runs
  std::uint64_t patience_ns = 10'000'000'000;      // for it to hear that it is asked
  std::vector<std::string> command = {};           // with it, what is started, and recorded until it ends
  std::optional<std::filesystem::path> recording;  // of the command: kept there
  std::optional<std::filesystem::path> preload;    // the heap to put under it
};

struct scanned_run {
  collect::recording run;
  int exit_code = 0;  // of the command
  std::optional<std::string> shortfall = {};
};

std::expected<scanned_run, failure> scan_process(const scan_request& request);
std::expected<scanned_run, failure> scan_ends(const scan_request& request);

}  // namespace tenure::cli
