#include "instruments/cli/import_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <expected>
#include <string>
#include <utility>

#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/watched_program.h"
#include "instruments/import/import.h"

namespace tenure::cli {
namespace {

void tell(const import_options& options, const importing::import_figures& figures) {
  const std::string what = figures.tells_sums
                               ? fmt::format("{} bytes in use", figures.live_bytes)
                               : fmt::format("{} allocations and {} frees", figures.allocations, figures.frees);
  const std::string sentence = fmt::format(
      "tenure: {} bytes in {}: {} from {} stacks, told by {}.", figures.written_bytes,
      options.output == "-" ? "standard output" : options.output.string(), what, figures.stacks, figures.tool);
  write_all(STDERR_FILENO, sentence_for(STDERR_FILENO, sentence));
}

}  // namespace

int import_command(const import_options& options) {
  if (const auto checked = check_output(options.output); !checked) return fail(exit_usage, checked.error());
  if (options.output == "-" && isatty(STDOUT_FILENO) == 1)
    return fail(exit_usage, "a recording is no text for a terminal; name a file for it: -o run.tenure.");
  auto file = record::unpacked_file::open(options.file);
  if (!file) return fail(exit_usage, file.error());
  auto output = pending_output::open(options.output);
  if (!output) return fail(exit_usage, output.error());
  auto writer = record::block_writer::over(output->descriptor(), options.output);
  if (!writer) return fail(exit_internal, writer.error());
  std::expected<importing::import_figures, importing::import_error> figures;
  {
    progress_line progress("reading");
    const std::string name = options.file == "-" ? "standard input" : options.file.string();
    symbols::symbolizer symbolizer(symbol_options(options.uses_debuginfod, progress));
    figures = importing::import_file(*file, name, std::move(*writer), symbolizer, progress.function());
  }
  if (!figures) return fail(figures.error().is_of_output ? exit_internal : exit_usage, figures.error().sentence);
  if (const auto done = output->commit(); !done) return fail(exit_internal, done.error());
  if (!options.is_quiet) tell(options, *figures);
  return 0;
}

}  // namespace tenure::cli
