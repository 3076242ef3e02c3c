#include "instruments/cli/bundle_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <expected>
#include <string>

#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/watched_program.h"
#include "instruments/collect/bundle.h"

namespace tenure::cli {
namespace {

constexpr std::size_t told_modules = 5;

std::string unnamed_text(const collect::bundle_figures& figures) {
  std::string text;
  for (std::size_t i = 0; i < std::min(told_modules, figures.unnamed.size()); ++i) {
    const collect::unnamed_module& one = figures.unnamed[i];
    text +=
        fmt::format("{}{} in {}", i == 0 ? "" : ", ", one.places, one.path.empty() ? "code without a file" : one.path);
  }
  if (figures.unnamed.size() > told_modules)
    text += fmt::format(" and others in {} more files", figures.unnamed.size() - told_modules);
  return text;
}

void tell(const bundle_options& options, const collect::bundle_figures& figures, std::uint64_t bytes,
          const std::vector<std::string>& notes) {
  for (const std::string& note : notes) say(note);
  const std::uint64_t unnamed = figures.places - figures.named;
  say(fmt::format("{} bytes in {}; {} of {} places in its programs are named{}.", bytes,
                  options.output == "-" ? "standard output" : options.output.string(), figures.named, figures.places,
                  unnamed == 0 ? "" : ". Without a name are " + unnamed_text(figures)));
}

}  // namespace

int bundle_command(const bundle_options& options) {
  if (const auto checked = check_output(options.output); !checked) return fail(exit_usage, checked.error());
  if (options.output == "-" && isatty(STDOUT_FILENO) == 1)
    return fail(exit_usage, "a recording is no text for a terminal; name a file for it: -o run.bundle.tenure.");
  // What is no recording is said before anything is written.
  if (const auto is_one = record::block_reader::open(options.recording); !is_one)
    return fail(exit_usage, is_one.error());
  auto output = pending_output::open(options.output);
  if (!output) return fail(exit_usage, output.error());
  auto writer = record::block_writer::over(output->descriptor(), options.output);
  if (!writer) return fail(exit_internal, writer.error());
  std::expected<collect::bundle_figures, std::string> figures;
  std::vector<std::string> notes;
  {
    progress_line progress("copying");
    symbols::symbolizer symbolizer(symbol_options(options.uses_debuginfod, progress));
    figures = collect::write_bundle(options.recording, *writer, symbolizer, progress.function());
    notes = symbolizer.notes();
  }
  if (!figures) return fail(exit_internal, figures.error());
  if (const auto done = output->commit(); !done) return fail(exit_internal, done.error());
  if (const std::string damage = damage_sentence(figures->damage, figures->is_complete); !damage.empty()) say(damage);
  if (!options.is_quiet) tell(options, *figures, writer->written_bytes(), notes);
  return figures->damage || !figures->is_complete ? 1 : 0;
}

}  // namespace tenure::cli
