#include "instruments/cli/scan_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "instruments/cli/attach_command.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/progress_line.h"
#include "instruments/cli/recorded_command.h"
#include "instruments/collect/attachment.h"

namespace tenure::cli {
namespace {

bool has_answered(const collect::process_record& process) {
  return process.scan.has_value() || process.heap_map.has_value();
}

// Of a process that has answered, but not with a scan.
const char* why_unscanned(const collect::process_record& process) {
  if (process.origin == wire::origin::exec || process.end == collect::process_end::replaced)
    return "it became another program before that was done";
  if (process.end != collect::process_end::running || process.is_scan_awaited)
    return "it ended, or this command was told to stop, before that was done";
  return "it could not write what it found (is /dev/shm full?)";
}

// Says on a terminal what is waited for: a process answers when it next allocates or frees.
class waiting_line : public collect::attach_observer {
 public:
  explicit waiting_line(std::uint32_t pid) : line_(fmt::format("waiting for process {}", pid)) {}
  int descriptor() const override { return -1; }
  bool look(const std::function<collect::recording()>&) override { return true; }

 private:
  progress_line line_;
};

std::expected<collect::recording, collect::attach_failure> attach(const collect::attachable& process,
                                                                  const scan_request& request) {
  waiting_line line(request.pid);
  collect::attach_options to_attach;
  to_attach.process = process;
  to_attach.scan_patience_ns = request.patience_ns;
  to_attach.scan_content = request.content;
  to_attach.observer = &line;
  return collect::attach_and_collect(to_attach);
}

}  // namespace

std::expected<scanned_run, failure> scan_process(const scan_request& request) {
  const auto library = find_preload_library();
  const auto process = collect::find_attachable(request.pid, library ? library->string() : "libtenure-malloc.so");
  if (!process) return std::unexpected(failure_of(process.error()));
  auto watched = attach(*process, request);
  if (!watched) return std::unexpected(failure_of(watched.error()));
  // What it has started meanwhile is not asked, and neither is what it has become.
  std::erase_if(watched->processes, [&](const auto& one) { return one.pid != request.pid; });
  if (watched->processes.empty())
    return std::unexpected(
        failure{exit_internal, fmt::format("process {} did not answer within {} s: it answers when it next allocates "
                                           "or frees; --wait gives it longer.",
                                           request.pid, request.patience_ns / 1'000'000'000)});
  const auto scanned = std::find_if(watched->processes.begin(), watched->processes.end(), has_answered);
  if (scanned != watched->processes.end()) std::iter_swap(watched->processes.begin(), scanned);
  watched->processes.erase(watched->processes.begin() + 1, watched->processes.end());
  if (!has_answered(watched->processes.front()))
    return std::unexpected(failure{exit_internal, fmt::format("process {} has not been looked through: {}.",
                                                              request.pid, why_unscanned(watched->processes.front()))});
  return scanned_run{std::move(*watched)};
}

std::expected<scanned_run, failure> scan_ends(const scan_request& request) {
  auto recorded = record_command({.command = request.command,
                                  .recording = request.recording,
                                  .preload = request.preload,
                                  .more = [&](collect::collector_options& to_collect) {
                                    to_collect.scans_at_exit = true;
                                    to_collect.scan_content = request.content;
                                  }});
  if (!recorded) return std::unexpected(recorded.error());
  scanned_run result{std::move(recorded->run)};
  result.exit_code = result.run.exit_code;
  if (result.run.processes.empty())
    result.run.notes.push_back("nothing ran on Tenure's heap: there is nothing to tell");
  result.shortfall = std::move(recorded->shortfall);
  return result;
}

}  // namespace tenure::cli
