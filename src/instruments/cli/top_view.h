// The picture of `tenure top` as lines of styled text, and what each key does to it. Nothing here knows of a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "instruments/cli/top_figures.h"

namespace tenure::cli {

enum class top_style { plain, bold, dim, good, warning, chosen };

struct top_text {
  std::string text;
  top_style style = top_style::plain;
};
using top_line = std::vector<top_text>;

enum class top_order { live, rate, blocks, allocated, name };
std::string_view name_of(top_order order);

struct top_key {
  enum kind {
    character,
    up,
    down,
    page_up,
    page_down,
    home,
    end,
    left,
    right,
    tab,
    enter,
    backspace,
    escape,
    interrupt,  // Ctrl-C, wherever one is
  };
  kind what = character;
  char of = '\0';
};

enum class top_wish {
  none,
  quit,
  stacks,  // of the chosen row: they are to be looked up
  next_process,
  previous_process,
};

struct top_state {
  top_table table = top_table::functions;
  top_order order = top_order::live;
  std::string filter;
  bool is_filtering = false;  // what is typed goes to the filter
  bool is_paused = false;
  bool shows_help = false;
  std::string chosen;         // name of the row; empty: the first
  std::size_t first_row = 0;  // that is shown
  // Of the row whose stacks are shown.
  bool shows_stacks = false;
  std::string stacks_name;
  std::vector<top_stack> stacks;
  std::size_t first_line = 0;
};

// The rows that are to be seen, in their order.
std::vector<const top_row*> rows_of(const top_figures& figures, const top_state& state);

top_wish press(const top_key& key, const top_figures& figures, top_state& state, std::size_t lines);

// At most `lines` of at most `columns` each. Characters beyond ASCII only where the terminal has them.
std::vector<top_line> draw(const top_figures& figures, top_state& state, std::size_t columns, std::size_t lines,
                           bool is_unicode);

}  // namespace tenure::cli
