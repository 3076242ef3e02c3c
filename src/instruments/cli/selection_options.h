// The options by which every command that reads a recording chooses what it speaks of.
#pragma once

#include <array>
#include <expected>
#include <string>

#include "instruments/analyze/recording_walk.h"
#include "instruments/cli/command_table.h"
#include "instruments/cli/parser.h"

namespace tenure::cli {

inline constexpr std::array<option_entry, 6> selecting_options = {{
    {.name = "window",
     .kind = value_kind::time_range,
     .value_name = "A..B",
     .summary = "Only what was allocated from A to B, times such as 1500ms or 2.5s since each process's start, as it "
                "was at B: what was not freed by then counts as never freed. A or B may be left out."},
    {.name = "process", .kind = value_kind::count, .value_name = "PID", .summary = "Only this process."},
    {.name = "thread",
     .kind = value_kind::pattern,
     .value_name = "THREAD",
     .summary = "Only what was allocated by the thread of this id, or by those of this name."},
    {.name = "module",
     .kind = value_kind::pattern,
     .value_name = "NAME",
     .summary = "Only what was allocated from this library or program, behind the C and C++ libraries and the "
                "program's own wrappers of malloc."},
    {.name = "function",
     .kind = value_kind::pattern,
     .value_name = "NAME",
     .summary = "Only what was allocated by this function or by what it called. Like --thread and --module it takes a "
                "part of the name or, with a *, all of it: 'load_*'."},
    {.name = "size",
     .kind = value_kind::byte_range,
     .value_name = "A..B",
     .summary = "Only blocks of A to B bytes as requested, such as 1K..64K; A or B may be left out, and one number is "
                "that size alone."},
}};

// A command's own options, and those above.
template <std::size_t count>
constexpr std::array<option_entry, count + selecting_options.size()> with_selection(
    const std::array<option_entry, count>& own) {
  std::array<option_entry, count + selecting_options.size()> all{};
  for (std::size_t i = 0; i < count; ++i) all[i] = own[i];
  for (std::size_t i = 0; i < selecting_options.size(); ++i) all[count + i] = selecting_options[i];
  return all;
}

analyze::selection selection_of(const arguments& given);

}  // namespace tenure::cli
