// What the commands on recordings begin with: the file opened, its blocks selected, its events replayed, its names
// found, with a progress line for whoever waits.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/site_identity.h"
#include "instruments/analyze/suppressions.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/progress_line.h"
#include "instruments/cli/recorded_command.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/terminal.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::cli {

struct recording_query {
  std::filesystem::path recording;
  analyze::selection selected;
  std::optional<std::uint64_t> at_ns;  // since each process's start; the peak without it
  bool resolves_all_frames = false;
  bool uses_debuginfod = false;
};

// Of one recording, by the options that all commands share.
recording_query query_of(const arguments& given, const std::string& recording);

// How an answer is given.
struct answer_form {
  std::optional<std::filesystem::path> output;  // standard output without it, or standard error beside a command
  bool is_beside_command = false;
  bool is_json = false;
  bool shows_all = false;              // what matters little too
  std::size_t top = 20;                // rows of each table
  int columns = usual_report_columns;  // of the text
  color_choice color = color_choice::automatic;

  int descriptor() const { return is_beside_command ? STDERR_FILENO : STDOUT_FILENO; }
  bool uses_color() const;
};

answer_form form_of(const arguments& given);
// What the words after "--" ask for; not given without them.
command_request request_of(const arguments& given);
std::size_t top_of(const arguments& given, std::size_t usual);

// Before the work: asks the terminal for its columns, or whether the output can be written. Returns 0, or what the
// command ends with.
int prepare(answer_form& form);
// Likewise, of a command that is to be recorded: whether its recording can be written, and is not the answer too.
int check_kept(const command_request& request, const answer_form& form);

// `progress`: the line that says which module's symbols are waited for; it outlives the symbolizer.
symbols::symbolizer_options symbol_options(bool uses_debuginfod, progress_line& progress);
// Without a line, for a screen that is its own.
symbols::symbolizer_options symbol_options(bool uses_debuginfod);

// The error is one sentence.
std::expected<analyze::exact_report, std::string> read_exactly(const recording_query& query);

// The same by what sites are called in every build.
std::expected<analyze::run_figures, std::string> read_figures(const recording_query& query,
                                                              const analyze::figure_options& options = {});

// Rules in LeakSanitizer's format, from a file; without one, those that always hold. The error is one sentence.
std::expected<analyze::suppressions, std::string> read_suppressions(const std::optional<std::filesystem::path>& path);

// "The recording is damaged: ...", "The recording was cut off: ..."; empty when it is whole.
std::string damage_sentence(const std::optional<std::string>& damage, bool is_complete);

// Where the answer goes: a file that appears whole, or standard output. Returns 0, or what the command ends with.
int write_answer(const std::optional<std::filesystem::path>& output, std::string_view contents);
int write_answer(const answer_form& form, std::string_view contents);

}  // namespace tenure::cli
