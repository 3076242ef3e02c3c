// The picture of `tenure top` without a terminal: rows, keys, and that it fits.
#include "instruments/cli/top_view.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "instruments/cli/terminal.h"

namespace tenure::cli {
namespace {

top_figures figures_of(std::size_t row_count) {
  top_figures figures;
  figures.pid = 4711;
  figures.command = "a command of some length --with=options and words";
  figures.resident_bytes = 600e6;
  figures.limit_bytes = 1e9;
  figures.limit_name = "the machine";
  figures.parts = {400e6, 100e6, 100e6};
  figures.live_bytes = 400e6;
  figures.live_error = 0.05;
  figures.resident_course = figures.live_course = figures.rate_course = {0, 1, 2, 4, 8};
  for (std::size_t i = 0; i < row_count; ++i) {
    top_row row;
    row.name = "function_" + std::to_string(i);
    row.live_bytes = static_cast<double>(i % 7) * 1e6;
    row.live_blocks = static_cast<double>((i * 5) % 11);
    row.allocated_bytes = static_cast<double>(i) * 1e6;
    row.bytes_per_second = static_cast<double>((i * 3) % 13) * 1e5;
    row.live_error = 0.01 * static_cast<double>(i);
    figures.rows[0].push_back(row);
  }
  return figures;
}

std::string text_of(const top_line& line) {
  std::string text;
  for (const top_text& one : line) text += one.text;
  return text;
}

std::vector<std::string> names(const std::vector<const top_row*>& rows) {
  std::vector<std::string> found;
  for (const top_row* row : rows) found.push_back(row->name);
  return found;
}

top_key character(char of) { return {top_key::character, of}; }

TEST(TopView, OrdersByEachFigure) {
  const top_figures figures = figures_of(5);
  top_state state;
  EXPECT_EQ(names(rows_of(figures, state)),
            (std::vector<std::string>{"function_4", "function_3", "function_2", "function_1", "function_0"}));
  press(character('b'), figures, state, 24);  // 0, 5, 10, 4, 9 blocks
  EXPECT_EQ(names(rows_of(figures, state)),
            (std::vector<std::string>{"function_2", "function_4", "function_1", "function_3", "function_0"}));
  press(character('r'), figures, state, 24);  // 0, 3, 6, 9, 12
  EXPECT_EQ(rows_of(figures, state).front()->name, "function_4");
  press(character('n'), figures, state, 24);
  EXPECT_EQ(rows_of(figures, state).front()->name, "function_0");
}

TEST(TopView, AFilterIsTypedKeptAndTakenAway) {
  const top_figures figures = figures_of(30);
  top_state state;
  for (const char one : std::string("/n_2")) press(character(one), figures, state, 24);
  EXPECT_EQ(rows_of(figures, state).size(), 11u);  // 2, 20 to 29
  press({top_key::backspace}, figures, state, 24);
  EXPECT_EQ(rows_of(figures, state).size(), 30u);
  press(character('1'), figures, state, 24);
  // q is a letter while it is typed.
  EXPECT_EQ(press(character('q'), figures, state, 24), top_wish::none);
  press({top_key::backspace}, figures, state, 24);
  press({top_key::enter}, figures, state, 24);
  EXPECT_FALSE(state.is_filtering);
  EXPECT_EQ(rows_of(figures, state).size(), 11u);
  press({top_key::escape}, figures, state, 24);
  EXPECT_EQ(rows_of(figures, state).size(), 30u);
  EXPECT_EQ(press(character('q'), figures, state, 24), top_wish::quit);
}

TEST(TopView, TheChosenRowIsAlwaysSeen) {
  const top_figures figures = figures_of(100);
  top_state state;
  state.order = top_order::name;
  const auto is_seen = [&] {
    const auto picture = draw(figures, state, 100, 20, false);
    return std::count_if(picture.begin(), picture.end(), [&](const top_line& line) {
      return std::any_of(line.begin(), line.end(), [&](const top_text& one) {
        return one.style == top_style::chosen && one.text.find("function_") != std::string::npos;
      });
    });
  };
  EXPECT_EQ(is_seen(), 1);
  for (const top_key key : {top_key{top_key::down}, top_key{top_key::end}, top_key{top_key::page_up},
                            top_key{top_key::up}, top_key{top_key::home}, top_key{top_key::page_down}}) {
    press(key, figures, state, 20);
    EXPECT_EQ(is_seen(), 1);
  }
  // It stays with its row when the order changes.
  const std::string chosen = state.chosen;
  press(character('l'), figures, state, 20);
  EXPECT_EQ(is_seen(), 1);
  EXPECT_EQ(state.chosen, chosen);
}

TEST(TopView, FitsEveryTerminal) {
  const top_figures figures = figures_of(50);
  for (std::size_t columns = 1; columns <= 200; columns += 7) {
    for (std::size_t lines = 1; lines <= 60; lines += 3) {
      for (const bool is_unicode : {false, true}) {
        top_state state;
        state.shows_help = lines % 2 == 0;
        const auto picture = draw(figures, state, columns, lines, is_unicode);
        ASSERT_LE(picture.size(), lines);
        for (const top_line& line : picture)
          ASSERT_LE(static_cast<std::size_t>(display_columns(text_of(line))), columns) << text_of(line);
      }
    }
  }
}

TEST(TopView, TheBarIsInProportion) {
  top_state state;
  const std::string bar = text_of(draw(figures_of(1), state, 100, 20, false)[1]);
  const auto count = [&](char one) {
    return static_cast<double>(std::count(bar.begin(), bar.begin() + bar.find(']'), one));
  };
  const double room = static_cast<double>(bar.find(']') - 1);
  EXPECT_NEAR(count('#') / room, 0.4, 1 / room);
  EXPECT_NEAR(count('=') / room, 0.1, 1 / room);
  EXPECT_NEAR(count('-') / room, 0.1, 1 / room);
  const std::string course = text_of(draw(figures_of(1), state, 100, 20, false)[3]);
  EXPECT_NE(course.find(".:-+#  "), std::string::npos) << course;
}

TEST(TopHistory, RatesAreOfTheLastTenSeconds) {
  analyze::process_profile profile;
  profile.record.pid = 4711;
  profile.by_function.resize(1);
  profile.by_function[0].name = "f";
  top_history history;
  const auto rate = [&](double allocated, double seconds) {
    profile.by_function[0].totals.allocated.bytes.value = allocated;
    return history.add(profile, static_cast<std::uint64_t>(seconds * 1e9)).rows[0][0].bytes_per_second;
  };
  EXPECT_EQ(rate(1000, 1), 0);
  EXPECT_DOUBLE_EQ(rate(3000, 2), 2000);
  EXPECT_DOUBLE_EQ(rate(3000, 5), 500);
  EXPECT_DOUBLE_EQ(rate(3000, 11), 200);
  EXPECT_DOUBLE_EQ(rate(3000, 12), 0);
  EXPECT_DOUBLE_EQ(rate(3000, 40), 0);
  // What comes up later began after the moment before.
  profile.by_function.resize(2);
  profile.by_function[1].name = "g";
  profile.by_function[1].totals.allocated.bytes.value = 4000;
  EXPECT_DOUBLE_EQ(history.add(profile, 42'000'000'000).rows[0][1].bytes_per_second, 2000);
}

}  // namespace
}  // namespace tenure::cli
