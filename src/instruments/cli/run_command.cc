#include "instruments/cli/run_command.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "instruments/analyze/analyze.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/program_check.h"
#include "instruments/cli/report_json.h"
#include "instruments/cli/report_text.h"
#include "instruments/collect/collector.h"
#include "instruments/collect/session_folder.h"
#include "instruments/export/pprof.h"

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

// What the command ends with, and why.
struct failure {
  int exit_code;
  std::string sentence;
};

int fail(const failure& why) { return cli::fail(why.exit_code, why.sentence); }

std::expected<void, failure> check_outputs(const run_options& options) {
  for (const auto& path : {options.output, options.pprof}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked)
      return std::unexpected(failure{exit_usage, checked.error()});
  }
  return {};
}

std::expected<fs::path, failure> preload_library(const std::optional<fs::path>& given) {
  if (!given) {
    auto found = find_preload_library();
    if (!found) return std::unexpected(failure{exit_internal, found.error()});
    return *found;
  }
  std::error_code ignored;
  if (!is_shared_library(*given))
    return std::unexpected(
        failure{exit_internal,
                fmt::format("--preload names '{}', which is not a shared library for this machine.", given->string())});
  return fs::absolute(*given, ignored);
}

// LD_PRELOAD is split at blanks and colons: a library whose path has one goes in by a link in the session's folder.
std::expected<std::string, failure> preload_value(const fs::path& library, const fs::path& session) {
  std::string first = library.string();
  if (first.find_first_of(" :") != std::string::npos) {
    const fs::path link = session / library.filename();
    std::error_code error;
    fs::create_symlink(library, link, error);
    if (error)
      return std::unexpected(failure{exit_internal, fmt::format("{} cannot be linked: {}.", first, error.message())});
    first = link.string();
  }
  const char* const others = std::getenv("LD_PRELOAD");
  return others == nullptr || *others == '\0' ? first : first + ":" + others;
}

// A program that the kernel refuses though it looked well.
failure cannot_start(const std::string& command, int error) {
  return {error == ENOENT ? exit_not_found : exit_cannot_run,
          fmt::format("{} cannot be started: {}.", command, std::generic_category().message(error))};
}

// Starts the command on the heap and watches it to its end; `prepared` is called when nothing but that can fail any
// more.
template <class Prepare>
std::expected<collect::recording, failure> watch(const std::vector<std::string>& command,
                                                 const std::optional<fs::path>& preload_path, Prepare&& prepare) {
  const auto program = check_program(command.front());
  if (!program) return std::unexpected(failure{program.error().exit_code, program.error().sentence});
  const auto library = preload_library(preload_path);
  if (!library) return std::unexpected(library.error());
  // Gone at the end of this function, in every case: nothing is analysed before.
  const auto session = collect::session_folder::create();
  if (!session) return std::unexpected(failure{exit_internal, session.error()});
  const auto preload = preload_value(*library, session->path());
  if (!preload) return std::unexpected(preload.error());

  collect::collector_options to_collect;
  to_collect.session = session->path();
  to_collect.command.program = program->path.string();
  to_collect.command.arguments = command;
  to_collect.command.environment = {{"LD_PRELOAD", *preload}, {"TENURE_SESSION", session->path().string()}};
  if (const std::expected<void, failure> prepared = prepare(to_collect); !prepared)
    return std::unexpected(prepared.error());
  auto recording = collect::run_and_collect(to_collect);
  if (!recording) return std::unexpected(cannot_start(command.front(), recording.error()));
  return std::move(*recording);
}

std::expected<collect::recording, failure> watch_sampled(const run_options& options) {
  return watch(options.command, options.preload, [&](collect::collector_options& to_collect) {
    if (options.interval_bytes)
      to_collect.command.environment.emplace_back("TENURE_SAMPLE_INTERVAL", std::to_string(*options.interval_bytes));
    return check_outputs(options);
  });
}

analyze::profile analyze_recording(const run_options& options, collect::recording&& recording) {
  symbols::symbolizer_options to_resolve;
  to_resolve.cache_folder = symbols::default_cache_folder();
  to_resolve.use_debuginfod = options.uses_debuginfod;
  symbols::symbolizer symbolizer(to_resolve);
  analyze::analyze_options to_analyze;
  to_analyze.resolve_all_frames = options.pprof.has_value();
  return analyze::analyze(std::move(recording), symbolizer, to_analyze);
}

// A program's own "-" is taken by it; colour is asked of the place where the text goes.
std::string render(const run_options& options, const analyze::profile& profile) {
  constexpr std::size_t json_site_limit = 1000;
  if (options.is_json) return report_json(profile, json_site_limit);
  report_options shown;
  shown.top = options.top;
  shown.shows_all = options.shows_all;
  if (options.output && *options.output != "-") {
    shown.uses_color = options.color == color_choice::always;
  } else {
    const int descriptor = options.output ? STDOUT_FILENO : STDERR_FILENO;
    shown.uses_color = use_color(options.color, descriptor);
    shown.columns = std::max(least_report_columns, text_columns(descriptor, usual_report_columns));
  }
  return report_text(profile, shown);
}

std::expected<void, std::string> write_report(const run_options& options, const analyze::profile& profile) {
  if (options.is_quiet && !options.is_json) return {};
  const std::string report = render(options, profile);
  if (options.output) return write_output(*options.output, report);
  if (!write_all(STDERR_FILENO, report)) return std::unexpected("the report cannot be written to standard error.");
  return {};
}

std::expected<void, std::string> write_profile(const run_options& options, const analyze::profile& profile) {
  if (!options.pprof) return {};
  const auto contents = exporting::write_pprof(profile, {.at_peak = options.pprof_at_peak});
  if (!contents) return std::unexpected(contents.error());
  return write_output(*options.pprof, *contents);
}

}  // namespace

int run_command(const run_options& options) {
  if (options.command.empty()) return fail({exit_usage, "run needs a command: tenure run -- CMD ARGS..."});
  auto recording = watch_sampled(options);
  if (!recording) return fail(recording.error());
  const int exit_code = recording->exit_code;
  // Somebody who closes the pipe early wants no more of the report; the program's exit code stays.
  ::signal(SIGPIPE, SIG_IGN);
  const analyze::profile profile = analyze_recording(options, std::move(*recording));
  bool is_complete = true;
  for (const auto& written : {write_report(options, profile), write_profile(options, profile)}) {
    if (written) continue;
    fail({exit_internal, written.error()});
    is_complete = false;
  }
  return is_complete || exit_code != 0 ? exit_code : exit_internal;
}

int record_command(const record_options& options) {
  if (options.command.empty())
    return fail({exit_usage, "record needs a command: tenure record -o FILE -- CMD ARGS..."});
  std::optional<collect::recording_writer> writer;
  const auto prepare = [&](collect::collector_options& to_collect) -> std::expected<void, failure> {
    auto file = record::block_writer::create(options.recording);
    if (!file) return std::unexpected(failure{exit_usage, file.error()});
    writer.emplace(std::move(*file));
    to_collect.writer = &*writer;
    to_collect.mode = options.drops ? wire::recording_mode::drop : wire::recording_mode::block;
    return {};
  };
  const auto recording = watch(options.command, options.preload, prepare);
  if (!recording) return fail(recording.error());
  if (!writer) return exit_internal;
  ::signal(SIGPIPE, SIG_IGN);
  if (writer->error()) {
    fail({exit_internal, writer->error().value_or("")});
    return recording->exit_code != 0 ? recording->exit_code : exit_internal;
  }
  if (!options.is_quiet)
    write_all(STDERR_FILENO,
              fmt::format("tenure: {} bytes in {}; `tenure report {}` shows them.\n", writer->written_bytes(),
                          options.recording.string(), options.recording.string()));
  return recording->exit_code;
}

}  // namespace tenure::cli
