#include "instruments/cli/leaks_command.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "instruments/cli/attach_command.h"
#include "instruments/cli/kept_recording.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/selection_options.h"
#include "instruments/cli/watched_program.h"
#include "instruments/collect/attachment.h"
#include "instruments/collect/recording_reader.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::cli {
namespace {

// What is written, and what the command ends with besides.
struct found_leaks {
  analyze::leak_report report;
  int exit_code = 0;  // of CMD
  std::optional<std::string> shortfall = {};
};

using answer = std::expected<found_leaks, failure>;

// Of a process that has answered, but not with a scan.
const char* why_unscanned(const collect::process_record& process) {
  if (process.origin == wire::origin::exec || process.end == collect::process_end::replaced)
    return "it became another program before that was done";
  if (process.end != collect::process_end::running || process.is_scan_awaited)
    return "it ended, or this command was told to stop, before that was done";
  return "it could not write what it found (is /dev/shm full?)";
}

answer look_into_process(const leaks_options& options, const analyze::suppressions& suppressed) {
  const auto library = find_preload_library();
  const auto process = collect::find_attachable(options.pid, library ? library->string() : "libtenure-malloc.so");
  if (!process) return std::unexpected(failure_of(process.error()));
  collect::attach_options to_attach;
  to_attach.process = *process;
  to_attach.scan_patience_ns = options.patience_ns;
  to_attach.scan_tells_holders = options.tells_reachable;
  auto watched = collect::attach_and_collect(to_attach);
  if (!watched) return std::unexpected(failure_of(watched.error()));
  // What it has started meanwhile is not asked, and neither is what it has become.
  std::erase_if(watched->processes, [&](const auto& one) { return one.pid != options.pid; });
  if (watched->processes.empty())
    return std::unexpected(
        failure{exit_internal, fmt::format("process {} did not answer within {} s: it answers when it next allocates "
                                           "or frees; --wait gives it longer.",
                                           options.pid, options.patience_ns / 1'000'000'000)});
  const auto scanned = std::find_if(watched->processes.begin(), watched->processes.end(),
                                    [](const auto& one) { return one.scan.has_value(); });
  if (scanned != watched->processes.end()) std::iter_swap(watched->processes.begin(), scanned);
  watched->processes.erase(watched->processes.begin() + 1, watched->processes.end());
  if (!watched->processes.front().scan)
    return std::unexpected(failure{exit_internal, fmt::format("process {} has not been looked through: {}.",
                                                              options.pid, why_unscanned(watched->processes.front()))});
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod));
  return found_leaks{analyze::find_leaks(std::move(*watched), symbolizer, suppressed, false, options.query.selected)};
}

answer look_at_ends_of(const leaks_options& options, const analyze::suppressions& suppressed) {
  const auto kept = kept_recording::create(options.recording);
  if (!kept) return std::unexpected(failure{exit_internal, kept.error()});
  std::optional<collect::recording_writer> writer;
  auto watched = watch(options.command, options.preload,
                       [&](collect::collector_options& to_collect) -> std::expected<void, failure> {
                         auto file = record::block_writer::create(kept->path());
                         if (!file) return std::unexpected(failure{exit_usage, file.error()});
                         writer.emplace(std::move(*file));
                         to_collect.writer = &*writer;
                         to_collect.mode = wire::recording_mode::block;
                         to_collect.scans_at_exit = true;
                         to_collect.scan_tells_holders = options.tells_reachable;
                         return {};
                       });
  if (!watched) return std::unexpected(watched.error());
  ::signal(SIGPIPE, SIG_IGN);
  found_leaks result{{}, watched->exit_code};
  if (watched->processes.empty()) watched->notes.push_back("nothing ran on Tenure's heap: there is nothing to tell");
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod));
  result.report = analyze::find_leaks(std::move(*watched), symbolizer, suppressed, true, options.query.selected);
  if (writer) result.shortfall = writer->error();
  return result;
}

answer look_into_recording(const leaks_options& options, const analyze::suppressions& suppressed) {
  auto recorded = read_exactly(options.query);
  if (!recorded) return std::unexpected(failure{exit_usage, recorded.error()});
  const std::string damage = damage_sentence(recorded->damage, recorded->is_complete);
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod));
  found_leaks result{analyze::find_never_freed(std::move(*recorded), symbolizer, suppressed), damage.empty() ? 0 : 1};
  auto reader = collect::recording_reader::open(options.query.recording);
  if (!reader) return std::unexpected(failure{exit_usage, reader.error()});
  progress_line progress;
  analyze::add_suspects(
      result.report,
      analyze::find_growth(*reader, symbolizer, {.selected = options.query.selected, .progress = progress.function()}),
      symbolizer, suppressed);
  if (!damage.empty()) result.report.notes.insert(result.report.notes.begin(), damage.substr(0, damage.size() - 1));
  return result;
}

bool has_leaks(const analyze::leak_report& report) {
  for (const analyze::leak_process& process : report.processes)
    for (const analyze::leak_kind kind : {analyze::leak_kind::definite, analyze::leak_kind::never_freed})
      if (process.totals[static_cast<std::size_t>(kind)].blocks != 0) return true;
  return false;
}

std::expected<void, std::string> write(const leaks_options& options, const analyze::leak_report& report) {
  const int descriptor = options.command.empty() ? STDOUT_FILENO : STDERR_FILENO;
  leaks_view view = options.view;
  view.is_at_exit = !options.command.empty();
  if (options.pid != 0 || view.is_at_exit) view.selected = analyze::describe(options.query.selected);
  view.tells_reachable = options.tells_reachable;
  if (!options.output) view.columns = text_columns(descriptor, usual_report_columns);
  const bool uses_color = !options.output && use_color(options.color, descriptor);
  const std::string text = options.is_json ? leaks_json(report, view) : leaks_text(report, view, colors(uses_color));
  if (options.output) return write_output(*options.output, text);
  if (!write_all(descriptor, text)) return std::unexpected("the answer cannot be written.");
  return {};
}

std::expected<void, failure> check_outputs(const leaks_options& options) {
  for (const auto& path : {options.output, options.recording}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked)
      return std::unexpected(failure{exit_usage, checked.error()});
  }
  return {};
}

}  // namespace

int leaks_command(const leaks_options& options) {
  // All that can be refused is refused before a program is run for an hour.
  if (const auto checked = check_outputs(options); !checked) return fail(checked.error());
  const auto suppressed = read_suppressions(options.suppressions);
  if (!suppressed) return fail(exit_usage, suppressed.error());
  const answer found = !options.command.empty() ? look_at_ends_of(options, *suppressed)
                       : options.pid != 0       ? look_into_process(options, *suppressed)
                                                : look_into_recording(options, *suppressed);
  if (!found) return fail(found.error());
  if (const auto written = write(options, found->report); !written) {
    fail(exit_internal, written.error());
    return found->exit_code != 0 ? found->exit_code : exit_internal;
  }
  if (found->shortfall) fail(exit_internal, found->shortfall.value_or(""));
  if (found->exit_code != 0) return found->exit_code;
  if (found->shortfall) return exit_internal;
  return options.exit_code && has_leaks(found->report) ? *options.exit_code : 0;
}

}  // namespace tenure::cli
