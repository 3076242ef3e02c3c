#include "instruments/cli/report_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace tenure::cli {
namespace {

constexpr std::string_view gap = "  ";
constexpr std::string_view indent = "  ";
constexpr std::string_view ellipsis = "…";

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

std::string padded(const std::string& text, int width, bool is_left) {
  const std::string blanks(static_cast<std::size_t>(std::max(0, width - display_columns(text))), ' ');
  return is_left ? text + blanks : blanks + text;
}

// Where the parameter list begins: the bracket that the last one closes. npos when there is none.
std::size_t begin_of_parameters(std::string_view function) {
  std::size_t end = function.rfind(')');
  if (end == std::string_view::npos) return std::string_view::npos;
  // Behind it only words such as const, & and [clone .part.0] may stand.
  const std::string_view tail = function.substr(end + 1);
  if (tail.find("::") != std::string_view::npos) return std::string_view::npos;
  int depth = 0;
  for (std::size_t at = end + 1; at-- > 0;) {
    if (function[at] == ')') ++depth;
    if (function[at] == '(' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

bool is_operator_bracket(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  return before.ends_with("operator") || before.ends_with("operator<") || before.ends_with("operator-") ||
         before.ends_with("operator>");
}

std::string without_template_arguments(std::string_view function) {
  std::string result;
  int depth = 0;
  for (std::size_t at = 0; at < function.size(); ++at) {
    const char byte = function[at];
    const bool opens = byte == '<' && !is_operator_bracket(function, at);
    const bool closes = byte == '>' && depth > 0;
    if (opens && depth++ == 0) result += "<";
    if (closes && --depth == 0) result += ">";
    if (depth == 0 && !closes) result += byte;
  }
  return result;
}

}  // namespace

std::string keep_end(std::string_view text, int width) {
  if (display_columns(text) <= width) return std::string(text);
  std::size_t from = 0;
  for (int left_out = display_columns(text) - width + 1; left_out > 0 && from < text.size(); --left_out) do
      ++from;
    while (from < text.size() && is_continuation(text[from]));
  return std::string(ellipsis) + std::string(text.substr(from));
}

std::string keep_front(std::string_view text, int width) {
  if (display_columns(text) <= width) return std::string(text);
  std::size_t end = 0;
  for (int kept = width - 1; kept > 0 && end < text.size(); --kept) do
      ++end;
    while (end < text.size() && is_continuation(text[end]));
  return std::string(text.substr(0, end)) + std::string(ellipsis);
}

std::string shorten_function(std::string_view function, int width) {
  const std::size_t parameters = begin_of_parameters(function);
  const bool has_name_before = parameters != std::string_view::npos && parameters > 0;
  std::string result(has_name_before && !is_operator_bracket(function, parameters) ? function.substr(0, parameters)
                                                                                   : function);
  if (display_columns(result) > width) result = without_template_arguments(result);
  return keep_end(result, width);
}

std::string section_heading(const palette& paint, std::string_view title, std::string_view rest) {
  return fmt::format("\n{}{}{}{}{}\n", paint.bold, title, paint.reset, rest.empty() ? "" : "  ", rest);
}

std::string format_table(const std::vector<table_column>& columns, const std::vector<table_row>& rows,
                         const palette& paint, int line_columns) {
  std::vector<int> widths;
  int used = display_columns(indent);
  for (std::size_t column = 0; column < columns.size(); ++column) {
    int width = display_columns(columns[column].head);
    for (const table_row& row : rows) width = std::max(width, display_columns(row.cells[column]));
    if (column + 1 == columns.size()) width = std::min(width, line_columns - used);
    widths.push_back(width);
    used += width + display_columns(gap);
  }
  const auto line_of = [&](const auto& cell_of) {
    std::string line(indent);
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const bool is_last = column + 1 == columns.size();
      const std::string text = keep_front(cell_of(column), widths[column]);
      line += is_last && columns[column].is_left ? text : padded(text, widths[column], columns[column].is_left);
      if (!is_last) line += gap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::string result;
  const std::string head = line_of([&](std::size_t column) { return columns[column].head; });
  if (!head.empty()) result += std::string(paint.dim) + head + std::string(paint.reset) + "\n";
  constexpr int note_indent = 6;
  for (const table_row& row : rows) {
    result += line_of([&](std::size_t column) { return row.cells[column]; }) + "\n";
    if (row.note.empty()) continue;
    result += std::string(static_cast<std::size_t>(note_indent), ' ') + std::string(paint.dim) +
              keep_front(row.note, line_columns - note_indent) + std::string(paint.reset) + "\n";
  }
  return result;
}

}  // namespace tenure::cli
