#include "instruments/cli/run_command.h"

#include <fmt/format.h>

#include <utility>

#include "instruments/analyze/full.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/recorded_command.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/run_output.h"
#include "instruments/collect/recording_reader.h"

namespace tenure::cli {
namespace {

std::expected<run_answer, failure> run_sampled(const run_options& options) {
  auto watched = watch(options.command, options.preload, [&](collect::collector_options& to_collect) {
    if (options.interval_bytes)
      to_collect.command.environment.emplace_back("TENURE_SAMPLE_INTERVAL", std::to_string(*options.interval_bytes));
    return check_run_outputs(options);
  });
  if (!watched) return std::unexpected(watched.error());
  return answer_of(std::move(*watched), options);
}

// Every allocation and free to a file, which is read again when the program has ended.
std::expected<run_answer, failure> run_fully(const run_options& options) {
  if (const auto checked = check_run_outputs(options); !checked) return std::unexpected(checked.error());
  auto recorded = record_command({.command = options.command,
                                  .recording = options.recording,
                                  .preload = options.preload,
                                  .drops = options.drops,
                                  .tells_free_stacks = options.tells_free_stacks});
  if (!recorded) return std::unexpected(recorded.error());
  auto reader = collect::recording_reader::open(recorded->kept.path());
  if (!reader) return std::unexpected(failure{exit_internal, reader.error()});
  run_answer result{.exit_code = recorded->run.exit_code, .profile = {}};
  progress_line progress("reading");
  symbols::symbolizer symbolizer(symbol_options(options.uses_debuginfod, progress));
  result.profile =
      analyze::analyze_fully(std::move(recorded->run), *reader, symbolizer, {.progress = progress.function()});
  if (options.pprof)
    result.exact =
        analyze::analyze_exactly(*reader, symbolizer, {.resolves_all_frames = true, .progress = progress.function()});
  result.shortfall = recorded->shortfall;
  return result;
}

}  // namespace

int run_command(const run_options& options) {
  if (options.command.empty()) return fail(exit_usage, "run needs a command: tenure run -- CMD ARGS...");
  const auto ran = options.is_full ? run_fully(options) : run_sampled(options);
  if (!ran) return fail(ran.error());
  return write_answer(options, *ran);
}

}  // namespace tenure::cli
