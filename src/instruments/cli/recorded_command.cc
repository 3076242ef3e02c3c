#include "instruments/cli/recorded_command.h"

#include <signal.h>

#include <utility>

#include "instruments/cli/parser.h"
#include "instruments/cli/terminal.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::cli {

std::expected<recorded_command, failure> record_command(const command_request& request) {
  auto kept = kept_recording::create(request.recording);
  if (!kept) return std::unexpected(failure{exit_internal, kept.error()});
  std::optional<collect::recording_writer> writer;
  auto watched = watch(request.command, request.preload,
                       [&](collect::collector_options& to_collect) -> std::expected<void, failure> {
                         auto file = record::block_writer::create(kept->path());
                         if (!file) return std::unexpected(failure{exit_usage, file.error()});
                         writer.emplace(std::move(*file));
                         to_collect.writer = &*writer;
                         to_collect.mode = request.drops ? wire::recording_mode::drop : wire::recording_mode::block;
                         to_collect.tells_free_stacks = request.tells_free_stacks;
                         if (request.more) request.more(to_collect);
                         return {};
                       });
  if (!watched) return std::unexpected(watched.error());
  // Somebody who closes the pipe early wants no more of the answer; the program's exit code stays.
  ::signal(SIGPIPE, SIG_IGN);
  recorded_command result{std::move(*kept), std::move(*watched)};
  if (writer) result.shortfall = writer->error();
  return result;
}

int exit_code_of(const recorded_command& recorded, int of_answer) {
  if (recorded.shortfall) fail(exit_internal, *recorded.shortfall);
  if (recorded.run.exit_code != 0) return recorded.run.exit_code;
  return recorded.shortfall ? exit_internal : of_answer;
}

}  // namespace tenure::cli
