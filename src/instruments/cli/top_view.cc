#include "instruments/cli/top_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "instruments/analyze/format.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {
namespace {

using analyze::format_bytes;
using analyze::format_count;

constexpr std::size_t header_lines = 8;  // above the rows
constexpr std::size_t footer_lines = 1;
constexpr int figure_width = 11;

constexpr std::string_view keys_line =
    "Tab table   l r b a n order   / filter   Enter stacks   < > process   p pause   ? help   q quit";
constexpr std::array<std::string_view, 16> help_lines = {
    "",
    "  Tab           the next table: functions, lines, modules, threads, accounts",
    "  l r b a n     order by live bytes, bytes allocated a second, live blocks, allocated bytes, name",
    "  /             only rows with what is typed in their name; Enter keeps it, Esc takes it away",
    "  Up, Down      choose a row; also j, k, Page Up, Page Down, Home, End",
    "  Enter         the stacks of that row, those that hold most first; Esc goes back",
    "  < >           another of the processes that are watched",
    "  p             pause: the picture stays as it is, the watching goes on",
    "  q             quit; the process runs on as it was",
    "",
    "  The bar: # live blocks, = what the heap keeps besides, - all other memory; of the limit that is named.",
    "  Figures are estimates from samples, with one standard error; accounts are exact, and show in the place of",
    "  what was allocated the most that they held.",
    "  Rates are of the last ten seconds. Blocks from before the watching began are those that were sampled then.",
    "",
    "  Any key goes back.",
};

void add(top_line& line, std::string text, top_style style = top_style::plain) {
  line.push_back({std::move(text), style});
}

std::size_t width_of(const top_line& line) {
  std::size_t width = 0;
  for (const top_text& one : line) width += static_cast<std::size_t>(display_columns(one.text));
  return width;
}

// Cut to so many columns, between code points.
void fit(top_line& line, std::size_t columns) {
  std::size_t left = columns;
  for (top_text& one : line) {
    std::size_t bytes = 0;
    while (bytes < one.text.size()) {
      std::size_t next = bytes + 1;
      while (next < one.text.size() && (static_cast<unsigned char>(one.text[next]) & 0xc0) == 0x80) ++next;
      if (left == 0) break;
      --left;
      bytes = next;
    }
    one.text.resize(bytes);
  }
}

std::string percent(double part, double of) { return of > 0 ? analyze::format_share(part / of) : ""; }
std::string error_text(double relative) {
  if (relative <= 0) return "";
  return relative > 1 ? ">100%" : fmt::format("{:.{}f}%", relative * 100, relative < 0.0995 ? 1 : 0);
}

// What a course was like, the greatest value at full height, the newest at the right.
std::string sparkline(const std::deque<double>& course, std::size_t columns, bool is_unicode) {
  static constexpr std::array<std::string_view, 8> blocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::string_view plain = ".:-=+*%#";
  const std::size_t shown = std::min(columns, course.size());
  const double most = course.empty() ? 0 : *std::max_element(course.end() - static_cast<long>(shown), course.end());
  std::string text(columns - shown, ' ');
  for (std::size_t i = course.size() - shown; i < course.size(); ++i) {
    const auto height = static_cast<std::size_t>(most > 0 ? std::clamp(course[i] / most * 7 + 0.5, 0.0, 7.0) : 0);
    if (is_unicode)
      text += blocks[height];
    else
      text += plain[height];
  }
  return text;
}

top_line course_line(std::string_view name, const std::deque<double>& course, const std::string& value,
                     std::size_t columns, bool is_unicode) {
  top_line line;
  add(line, fmt::format("{:<10}", name));
  const std::size_t room = columns > 30 ? columns - 30 : 1;
  add(line, sparkline(course, std::min<std::size_t>(room, 120), is_unicode), top_style::good);
  add(line, fmt::format("  {}", value), top_style::bold);
  return line;
}

top_line bar_line(const top_figures& figures, std::size_t columns) {
  const std::string text = fmt::format(" {} of {}, {}", format_bytes(figures.resident_bytes),
                                       format_bytes(figures.limit_bytes), figures.limit_name);
  const std::size_t room = columns > text.size() + 12 ? std::min<std::size_t>(columns - text.size() - 2, 100) : 10;
  top_line line;
  add(line, "[");
  std::size_t used = 0;
  double sum = 0;
  const auto segment = [&](double bytes, char filled, top_style style) {
    sum += bytes;
    const double share = figures.limit_bytes > 0 ? std::min(1.0, sum / figures.limit_bytes) : 0;
    const auto end = static_cast<std::size_t>(std::lround(share * static_cast<double>(room)));
    if (end <= used) return;
    add(line, std::string(end - used, filled), style);
    used = end;
  };
  const bool is_close = figures.resident_bytes > figures.limit_bytes * 0.9;
  segment(figures.parts.live, '#', is_close ? top_style::warning : top_style::good);
  segment(figures.parts.kept, '=', is_close ? top_style::warning : top_style::plain);
  segment(figures.parts.outside, '-', top_style::dim);
  add(line, std::string(room - used, ' '));
  add(line, "]");
  add(line, text, is_close ? top_style::warning : top_style::plain);
  return line;
}

top_line head_line(const top_figures& figures, const top_state& state, std::size_t columns) {
  std::string right = fmt::format("{}  {} samples", analyze::format_duration(figures.watched_ns), figures.samples);
  if (figures.dropped_events != 0) right += fmt::format(", {} dropped", figures.dropped_events);
  if (figures.process_count > 1) right += fmt::format("  process {} of {}", figures.process + 1, figures.process_count);
  if (state.is_paused) right += "  PAUSED";
  const std::string left = fmt::format("tenure top  {}  {}", figures.pid, figures.command);
  const auto room = static_cast<int>(columns > right.size() + 2 ? columns - right.size() - 2 : 0);
  top_line line;
  add(line, keep_front(left, std::max(room, 10)), top_style::bold);
  const std::size_t used = width_of(line);
  if (used + right.size() < columns) add(line, std::string(columns - used - right.size(), ' '));
  add(line, right, state.is_paused ? top_style::warning : top_style::dim);
  return line;
}

top_line parts_line(const top_figures& figures) {
  top_line line;
  const std::string error = error_text(figures.live_error);
  add(line, fmt::format("# live {}{}", format_bytes(figures.parts.live), error.empty() ? "" : " ±" + error),
      top_style::good);
  add(line, fmt::format("   = kept by the heap {}", format_bytes(figures.parts.kept)));
  add(line, fmt::format("   - other memory {}", format_bytes(figures.parts.outside)), top_style::dim);
  return line;
}

top_line tables_line(const top_state& state) {
  top_line line;
  for (std::size_t i = 0; i < top_table_count; ++i) {
    const auto table = static_cast<top_table>(i);
    add(line, fmt::format(" {} ", name_of(table)), table == state.table ? top_style::chosen : top_style::dim);
  }
  add(line, fmt::format("   by {}", name_of(state.order)), top_style::dim);
  if (state.is_filtering || !state.filter.empty())
    add(line, fmt::format("   filter: {}{}", state.filter, state.is_filtering ? "_" : ""), top_style::warning);
  return line;
}

top_line columns_line(const top_state& state) {
  const bool is_ledger = state.table == top_table::accounts;
  std::string text;
  for (const std::string_view head : {std::string_view(is_ledger ? "held" : "live"), std::string_view("share"),
                                      std::string_view(is_ledger ? "limit" : "error"), std::string_view("blocks"),
                                      std::string_view(is_ledger ? "most held" : "allocated"),
                                      std::string_view(is_ledger ? "growth/s" : "per second")})
    text += fmt::format("{:>{}}", head, figure_width);
  std::string_view what = name_of(state.table);
  what.remove_suffix(1);  // of one
  return {{fmt::format("{}  {}", text, what), top_style::bold}};
}

top_line row_line(const top_row& row, const top_figures& figures, const top_state& state, bool is_chosen,
                  std::size_t columns) {
  const bool is_ledger = state.table == top_table::accounts;
  std::string text;
  const auto cell = [&](const std::string& figure) { text += fmt::format("{:>{}}", figure, figure_width); };
  cell(format_bytes(row.live_bytes));
  if (is_ledger) {
    cell(percent(row.live_bytes, row.limit_bytes));
    cell(row.limit_bytes > 0 ? format_bytes(row.limit_bytes) : "none");
  } else {
    cell(percent(row.live_bytes, figures.live_bytes));
    cell(error_text(row.live_error));
  }
  cell(format_count(row.live_blocks));
  cell(format_bytes(row.allocated_bytes));
  cell(format_bytes(row.bytes_per_second));
  const std::size_t used = text.size() + 2;
  const int room = static_cast<int>(columns > used + 8 ? columns - used : 8);
  text += "  ";
  text += state.table == top_table::functions ? shorten_function(row.name, room) : keep_end(row.name, room);
  if (is_chosen) text += std::string(columns > text.size() ? columns - text.size() : 0, ' ');
  return {{text, is_chosen ? top_style::chosen : top_style::plain}};
}

std::vector<top_line> stack_lines(const top_state& state, std::size_t columns) {
  std::vector<top_line> lines;
  for (const top_stack& stack : state.stacks) {
    top_line head;
    add(head,
        fmt::format("{} live in {} blocks, {} allocated", format_bytes(stack.live_bytes),
                    format_count(stack.live_blocks), format_bytes(stack.allocated_bytes)),
        top_style::good);
    lines.push_back(head);
    for (const analyze::frame& one : stack.frames) {
      const std::string place = one.file.empty() || one.line == 0
                                    ? ""
                                    : fmt::format("  {}:{}", one.file.substr(one.file.rfind('/') + 1), one.line);
      const int room = std::max(static_cast<int>(columns) - 4 - display_columns(place), 20);
      top_line line;
      add(line, "    " + shorten_function(one.function, room));
      add(line, place, top_style::dim);
      lines.push_back(line);
    }
    lines.emplace_back();
  }
  if (lines.empty()) lines.push_back({{"No stack of it is known.", top_style::dim}});
  return lines;
}

std::vector<top_line> stacks_picture(top_state& state, std::size_t columns, std::size_t lines) {
  std::vector<top_line> picture;
  picture.push_back({{keep_front(state.stacks_name, static_cast<int>(columns)), top_style::bold}});
  std::vector<top_line> all = stack_lines(state, columns);
  const std::size_t room = lines > 2 ? lines - 2 : 1;
  state.first_line = std::min(state.first_line, all.size() > room ? all.size() - room : 0);
  for (std::size_t i = state.first_line; i < all.size() && i < state.first_line + room; ++i)
    picture.push_back(std::move(all[i]));
  while (picture.size() + 1 < lines) picture.emplace_back();
  picture.push_back({{"Up, Down scroll   Esc back   q quit", top_style::dim}});
  return picture;
}

std::size_t place_of(const std::vector<const top_row*>& rows, const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const top_row* row) { return row->name == name; });
  return found == rows.end() ? 0 : static_cast<std::size_t>(found - rows.begin());
}

std::size_t room_for_rows(std::size_t lines) {
  return lines > header_lines + footer_lines ? lines - header_lines - footer_lines : 1;
}

void choose(const std::vector<const top_row*>& rows, top_state& state, long step) {
  if (rows.empty()) return;
  const long place = static_cast<long>(place_of(rows, state.chosen)) + step;
  state.chosen = rows[static_cast<std::size_t>(std::clamp(place, 0L, static_cast<long>(rows.size()) - 1))]->name;
}

void type_filter(const top_key& key, top_state& state) {
  if (key.what == top_key::character)
    state.filter += key.of;
  else if (key.what == top_key::backspace && !state.filter.empty())
    state.filter.pop_back();
  else if (key.what == top_key::enter)
    state.is_filtering = false;
  else if (key.what == top_key::escape)
    state.filter.clear(), state.is_filtering = false;
}

top_wish press_in_stacks(const top_key& key, top_state& state, std::size_t lines) {
  const std::size_t page = lines > 4 ? lines - 3 : 1;
  switch (key.what) {
    case top_key::escape:
    case top_key::backspace:
    case top_key::left:
      state.shows_stacks = false;
      break;
    case top_key::up:
      state.first_line -= std::min<std::size_t>(state.first_line, 1);
      break;
    case top_key::down:
      ++state.first_line;
      break;
    case top_key::page_up:
      state.first_line -= std::min(state.first_line, page);
      break;
    case top_key::page_down:
      state.first_line += page;
      break;
    case top_key::home:
      state.first_line = 0;
      break;
    case top_key::character:
      if (key.of == 'q') return top_wish::quit;
      if (key.of == 'j') ++state.first_line;
      if (key.of == 'k') state.first_line -= std::min<std::size_t>(state.first_line, 1);
      break;
    default:
      break;
  }
  return top_wish::none;
}

top_wish press_character(char of, const std::vector<const top_row*>& rows, top_state& state) {
  constexpr std::string_view orders = "lrban";
  if (const std::size_t order = orders.find(of); order != std::string_view::npos) {
    state.order = static_cast<top_order>(order);
    return top_wish::none;
  }
  switch (of) {
    case 'q':
      return top_wish::quit;
    case 'p':
      state.is_paused = !state.is_paused;
      break;
    case '/':
      state.is_filtering = true;
      break;
    case '?':
    case 'h':
      state.shows_help = true;
      break;
    case 'j':
      choose(rows, state, 1);
      break;
    case 'k':
      choose(rows, state, -1);
      break;
    case '<':
      return top_wish::previous_process;
    case '>':
      return top_wish::next_process;
    default:
      break;
  }
  return top_wish::none;
}

}  // namespace

std::string_view name_of(top_order order) {
  constexpr std::array<std::string_view, 5> names = {"live bytes", "bytes a second", "live blocks", "allocated bytes",
                                                     "name"};
  return names[static_cast<std::size_t>(order)];
}

std::vector<const top_row*> rows_of(const top_figures& figures, const top_state& state) {
  std::vector<const top_row*> rows;
  for (const top_row& row : figures.rows[static_cast<std::size_t>(state.table)])
    if (state.filter.empty() || row.name.find(state.filter) != std::string::npos) rows.push_back(&row);
  const auto figure = [&](const top_row& row) {
    switch (state.order) {
      case top_order::rate:
        return row.bytes_per_second;
      case top_order::blocks:
        return row.live_blocks;
      case top_order::allocated:
        return row.allocated_bytes;
      default:
        return row.live_bytes;
    }
  };
  std::stable_sort(rows.begin(), rows.end(), [&](const top_row* a, const top_row* b) {
    if (state.order == top_order::name) return a->name < b->name;
    return std::tuple(-figure(*a), -a->allocated_bytes, a->name) <
           std::tuple(-figure(*b), -b->allocated_bytes, b->name);
  });
  return rows;
}

top_wish press(const top_key& key, const top_figures& figures, top_state& state, std::size_t lines) {
  if (key.what == top_key::interrupt) return top_wish::quit;
  if (state.shows_help) {
    state.shows_help = false;
    return key.what == top_key::character && key.of == 'q' ? top_wish::quit : top_wish::none;
  }
  if (state.is_filtering) {
    type_filter(key, state);
    return top_wish::none;
  }
  if (state.shows_stacks) return press_in_stacks(key, state, lines);
  const std::vector<const top_row*> rows = rows_of(figures, state);
  const auto page = static_cast<long>(room_for_rows(lines));
  switch (key.what) {
    case top_key::up:
      choose(rows, state, -1);
      break;
    case top_key::down:
      choose(rows, state, 1);
      break;
    case top_key::page_up:
      choose(rows, state, -page);
      break;
    case top_key::page_down:
      choose(rows, state, page);
      break;
    case top_key::home:
      choose(rows, state, -static_cast<long>(rows.size()));
      break;
    case top_key::end:
      choose(rows, state, static_cast<long>(rows.size()));
      break;
    case top_key::tab:
      state.table = static_cast<top_table>((static_cast<std::size_t>(state.table) + 1) % top_table_count);
      state.chosen.clear();
      state.first_row = 0;
      break;
    case top_key::enter:
      if (rows.empty() || state.table == top_table::accounts) break;
      state.chosen = rows[place_of(rows, state.chosen)]->name;
      return top_wish::stacks;
    case top_key::left:
      return top_wish::previous_process;
    case top_key::right:
      return top_wish::next_process;
    case top_key::escape:
      state.filter.clear();
      break;
    case top_key::backspace:
    case top_key::interrupt:
      break;
    case top_key::character:
      return press_character(key.of, rows, state);
  }
  return top_wish::none;
}

std::vector<top_line> draw(const top_figures& figures, top_state& state, std::size_t columns, std::size_t lines,
                           bool is_unicode) {
  std::vector<top_line> picture;
  if (state.shows_help) {
    picture.push_back(head_line(figures, state, columns));
    for (const std::string_view line : help_lines) picture.push_back({{std::string(line), top_style::plain}});
  } else if (state.shows_stacks) {
    picture = stacks_picture(state, columns, lines);
  } else {
    picture.push_back(head_line(figures, state, columns));
    picture.push_back(bar_line(figures, columns));
    picture.push_back(parts_line(figures));
    picture.push_back(
        course_line("resident", figures.resident_course, format_bytes(figures.resident_bytes), columns, is_unicode));
    picture.push_back(course_line("live", figures.live_course, format_bytes(figures.live_bytes), columns, is_unicode));
    picture.push_back(course_line("allocated", figures.rate_course, format_bytes(figures.bytes_per_second) + "/s",
                                  columns, is_unicode));
    picture.push_back(tables_line(state));
    picture.push_back(columns_line(state));
    const std::vector<const top_row*> rows = rows_of(figures, state);
    const std::size_t room = room_for_rows(lines);
    const std::size_t chosen = place_of(rows, state.chosen);
    if (chosen < state.first_row) state.first_row = chosen;
    if (chosen >= state.first_row + room) state.first_row = chosen - room + 1;
    state.first_row = std::min(state.first_row, rows.size() > room ? rows.size() - room : 0);
    for (std::size_t i = state.first_row; i < rows.size() && i < state.first_row + room; ++i)
      picture.push_back(row_line(*rows[i], figures, state, i == chosen, columns));
    if (rows.empty())
      picture.push_back({{state.table == top_table::accounts ? "  The program has no accounts."
                                                             : "  Nothing was sampled yet, or nothing has such a name.",
                          top_style::dim}});
    while (picture.size() + footer_lines < lines) picture.emplace_back();
    picture.push_back({{std::string(keys_line), top_style::dim}});
  }
  if (picture.size() > lines) picture.resize(lines);
  for (top_line& line : picture) fit(line, columns);
  return picture;
}

}  // namespace tenure::cli
