#include "instruments/cli/record_command.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {
namespace {

// A recording that is cut is written anew beside the old one: that takes a file with a name of its own.
std::expected<std::filesystem::path, std::string> file_to_write(const record_options& options) {
  if (options.most_bytes == 0 && options.last_ns == 0) return options.recording;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::weakly_canonical(options.recording, error);
  const auto status = std::filesystem::status(options.recording, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    return std::unexpected(fmt::format("'{}' is no file: --max-size and --last need one.", options.recording.string()));
  return path.empty() ? options.recording : path;
}

// Of the image that the command became; empty where its allocations were told.
std::string why_nothing_was_told(const collect::recording& of) {
  const collect::process_record* main = nullptr;
  for (const collect::process_record& one : of.processes)
    if (one.pid == of.child_pid) main = &one;
  if (main == nullptr)
    return "Tenure did not engage: the program never opened its shared memory, and the recording has nothing of it; "
           "`tenure doctor -- CMD` looks closer.";
  if (main->malloc_owner == wire::malloc_owner::other)
    return "malloc is not Tenure's here, but the program's own: the recording has none of its allocations.";
  return "";
}

}  // namespace

std::expected<collect::recording_writer, failure> make_writer(const record_options& options) {
  const auto path = file_to_write(options);
  if (!path) return std::unexpected(failure{exit_usage, path.error()});
  auto file = record::block_writer::create(*path);
  if (!file) return std::unexpected(failure{exit_usage, file.error()});
  return collect::recording_writer(std::move(*file), {.most_bytes = options.most_bytes, .last_ns = options.last_ns});
}

int finish_recording(const record_options& options, const collect::recording_writer& writer, int exit_code) {
  ::signal(SIGPIPE, SIG_IGN);
  if (writer.error()) {
    fail(exit_internal, writer.error().value_or(""));
    return exit_code != 0 ? exit_code : exit_internal;
  }
  if (!options.is_quiet) {
    const std::string over = writer.is_over_limit() ? " That is more than --max-size: what was alive and the stacks "
                                                      "take so much."
                                                    : "";
    write_all(STDERR_FILENO,
              fmt::format("tenure: {} bytes in {}{}; `tenure report {}` shows them.{}\n", writer.written_bytes(),
                          options.recording.string(), writer.rotations() != 0 ? ", the end of the run" : "",
                          options.recording.string(), over));
  }
  return exit_code;
}

int record_command(const record_options& options) {
  if (options.command.empty()) return fail(exit_usage, "record needs a command: tenure record -o FILE -- CMD ARGS...");
  std::optional<collect::recording_writer> writer;
  const auto prepare = [&](collect::collector_options& to_collect) -> std::expected<void, failure> {
    auto made = make_writer(options);
    if (!made) return std::unexpected(made.error());
    writer.emplace(std::move(*made));
    to_collect.writer = &*writer;
    to_collect.mode = options.drops ? wire::recording_mode::drop : wire::recording_mode::block;
    to_collect.tells_free_stacks = options.tells_free_stacks;
    return {};
  };
  const auto recording = watch(options.command, options.preload, prepare);
  if (!recording) return fail(recording.error());
  if (!writer) return exit_internal;
  if (const std::string reason = why_nothing_was_told(*recording); !reason.empty()) fail(0, reason);
  return finish_recording(options, *writer, recording->exit_code);
}

}  // namespace tenure::cli
