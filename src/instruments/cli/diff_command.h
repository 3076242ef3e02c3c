// `tenure diff`: what changed between two recordings, or two moments of one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/difference.h"
#include "instruments/cli/recording_input.h"

namespace tenure::cli {

struct diff_options : answer_form {
  std::vector<std::filesystem::path> before, after;  // recordings; several of the same thing each
  command_request request;                           // where it is given, what is recorded of it is `after`
  // Of one recording: its two moments, since each process's start. `before` and `after` are the same then.
  std::optional<std::uint64_t> moment_before_ns, moment_after_ns;
  recording_query query;  // all but the recording and the moment
  analyze::measure by = analyze::measure::held_bytes;
  std::vector<std::string> sources;  // a sentence for each recording that was imported
  std::uint64_t gaps = 0;            // what one of them does not tell

  bool knows(analyze::measure of) const;
};

// "a.tenure,b.tenure": several; a file that has this very name is one.
std::vector<std::filesystem::path> recordings_named(const std::string& word);

std::string diff_text(const analyze::difference& difference, const diff_options& options, bool uses_color);
std::string diff_json(const analyze::difference& difference, const diff_options& options);

// The exit code of `tenure diff`: 0, 1 when a recording is damaged or was cut off, that of the command that was
// recorded, or one of Tenure's.
int diff_command(const diff_options& given);

}  // namespace tenure::cli
