// What the terminal can show, and text made to fit it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenure::cli {

enum class color_choice { automatic, always, never };

color_choice color_choice_named(std::string_view name);  // "auto", "always", "never"

// Whether to write colour to a file descriptor. --color decides; otherwise NO_COLOR switches it off, CLICOLOR_FORCE
// switches it on, and without either it is on for a terminal that is not "dumb".
bool use_color(color_choice choice, int descriptor);

// Columns of the terminal behind the descriptor, or of $COLUMNS; `usual` when neither is known. At most 120: longer
// lines are hard to read.
int text_columns(int descriptor, int usual = 80);

// A sentence as a line of its own: on a terminal broken between words, elsewhere left whole for whoever searches it.
std::string sentence_for(int descriptor, std::string_view sentence);
// A sentence of the command on standard error: "tenure: ..."
void say(std::string_view sentence);

// Says to standard error why the command ends, and returns what it ends with.
int fail(int exit_code, std::string_view sentence);

// Breaks paragraphs at blanks so that no line is longer than `columns`. Every line begins with `indent` blanks.
std::string wrapped(std::string_view text, int columns, int indent);

// Words with a blank between.
std::string joined(const std::vector<std::string>& words);

// Without what would move the cursor.
std::string in_one_line(std::string text);

// Columns that UTF-8 text takes, one a code point.
int display_columns(std::string_view text);

struct palette {
  std::string_view bold, dim, good, bad, warning, reset;
};
const palette& colors(bool use);

}  // namespace tenure::cli
