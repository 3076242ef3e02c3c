// Report table: rows of cells in aligned columns, and long names made to fit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct table_column {
  std::string head;
  bool is_left = false;  // text; figures stand to the right
};

struct table_row {
  std::vector<std::string> cells;
  std::string note;  // a line of its own below the row; may be empty
};

// The line above a table: an empty one, then "What it is  what more there is to say".
std::string section_heading(const palette& paint, std::string_view title, std::string_view rest = {});

// The last column takes what is left of the line and is cut to it; the others are as wide as they need be.
std::string format_table(const std::vector<table_column>& columns, const std::vector<table_row>& rows,
                         const palette& paint, int line_columns);

// "std::vector<int, std::allocator<int> >::reserve(unsigned long)" to at most `width` columns: without parameters, then
// without template arguments, then without its front, which says least.
std::string shorten_function(std::string_view function, int width);

// The front is left out where the text is longer: of a path or a qualified name the end says most.
std::string keep_end(std::string_view text, int width);
std::string keep_front(std::string_view text, int width);

}  // namespace tenure::cli
