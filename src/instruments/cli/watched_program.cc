#include "instruments/cli/watched_program.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>
#include <utility>

#include "instruments/cli/parser.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/program_check.h"
#include "instruments/cli/progress_line.h"
#include "instruments/cli/terminal.h"
#include "instruments/collect/session_folder.h"

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

std::expected<fs::path, failure> preload_library(const std::optional<fs::path>& given) {
  const auto found = given ? library_named("--preload", *given) : find_preload_library();
  if (!found) return std::unexpected(failure{exit_internal, found.error()});
  if (!defines_malloc(*found))
    return std::unexpected(
        failure{exit_internal, fmt::format("'{}' defines no malloc, so that nothing would run on it; "
                                           "Tenure's heap is libtenure-malloc.so.",
                                           found->string())});
  return *found;
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

}  // namespace

int fail(const failure& why) { return fail(why.exit_code, why.sentence); }

std::expected<collect::recording, failure> watch(const std::vector<std::string>& command,
                                                 const std::optional<fs::path>& preload_path,
                                                 const prepare_function& prepare) {
  const auto program = check_program(command.front());
  if (!program) return std::unexpected(failure{program.error().exit_code, program.error().sentence});
  const auto library = preload_library(preload_path);
  if (!library) return std::unexpected(library.error());
  // It is watched all the same: what is resident can be told, and what it starts.
  if (program->brings_malloc) fail(0, own_malloc_sentence(*program));
  // Gone at the end of this function, in every case: nothing is analysed before.
  const auto session = collect::session_folder::create();
  if (!session) return std::unexpected(failure{exit_internal, session.error()});
  const auto preload = preload_value(*library, session->path());
  if (!preload) return std::unexpected(preload.error());

  collect::collector_options to_collect;
  to_collect.session = session->path();
  std::error_code ignored;
  to_collect.library = fs::weakly_canonical(*library, ignored);
  to_collect.command.program = program->path.string();
  to_collect.command.arguments = command;
  if (program->is_shell_script) {
    to_collect.command.program = program->chain[1].string();
    to_collect.command.arguments.front() = program->path.string();
    to_collect.command.arguments.insert(to_collect.command.arguments.begin(), to_collect.command.program);
  }
  to_collect.command.environment = {{"LD_PRELOAD", *preload}, {"TENURE_SESSION", session->path().string()}};
  if (const std::expected<void, failure> prepared = prepare(to_collect); !prepared)
    return std::unexpected(prepared.error());
  // While it runs the terminal is its own.
  std::optional<progress_line> progress;
  to_collect.on_end = [&progress] { progress.emplace("reading what is left"); };
  auto recording = collect::run_and_collect(to_collect);
  if (!recording) return std::unexpected(cannot_start(command.front(), recording.error()));
  return std::move(*recording);
}

}  // namespace tenure::cli
