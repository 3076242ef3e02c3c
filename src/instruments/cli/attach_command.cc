#include "instruments/cli/attach_command.h"

#include <fmt/format.h>

#include <utility>

#include "instruments/cli/parser.h"
#include "instruments/cli/preload_library.h"
#include "instruments/cli/program_check.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/run_output.h"
#include "instruments/collect/attachment.h"

namespace tenure::cli {
namespace {

int exit_code_of(collect::attach_refusal kind) {
  switch (kind) {
    case collect::attach_refusal::no_process:
      return exit_not_found;
    case collect::attach_refusal::cannot:
      return exit_cannot_run;
    case collect::attach_refusal::failed:
      break;
  }
  return exit_internal;
}

int refuse(const collect::attach_failure& why) { return fail(failure_of(why)); }

int report_samples(const attach_command_options& options, collect::attach_options to_attach) {
  if (const auto checked = check_run_outputs(options.report); !checked) return fail(checked.error());
  to_attach.interval_bytes = options.report.interval_bytes.value_or(0);
  auto watched = collect::attach_and_collect(to_attach);
  if (!watched) return refuse(watched.error());
  return write_answer(options.report, answer_of(std::move(*watched), options.report));
}

int record(const record_options& options, collect::attach_options to_attach) {
  auto writer = make_writer(options);
  if (!writer) return fail(writer.error());
  to_attach.writer = &*writer;
  to_attach.mode = options.drops ? wire::recording_mode::drop : wire::recording_mode::block;
  to_attach.tells_free_stacks = options.tells_free_stacks;
  const auto watched = collect::attach_and_collect(to_attach);
  if (!watched) return refuse(watched.error());
  if (watched->processes.empty())
    return fail(exit_internal, fmt::format("process {} has neither allocated nor freed while it was attached to: {} "
                                           "holds nothing.",
                                           to_attach.process.pid, options.recording.string()));
  return finish_recording(options, *writer, 0);
}

}  // namespace

failure failure_of(const collect::attach_failure& why) { return {exit_code_of(why.kind), why.sentence}; }

int attach_command(const attach_command_options& options) {
  const auto library = find_preload_library();
  const auto process = collect::find_attachable(options.pid, library ? library->string() : "libtenure-malloc.so");
  if (!process) return refuse(process.error());
  collect::attach_options to_attach;
  to_attach.process = *process;
  to_attach.duration_ns = options.duration_ns;
  return options.record ? record(*options.record, to_attach) : report_samples(options, to_attach);
}

}  // namespace tenure::cli
