// What is no leak: patterns held against the regular expression that each stands for, rules against stacks made by
// hand.
#include "instruments/analyze/suppressions.h"

#include <gtest/gtest.h>

#include <regex>

#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

std::regex regex_of(std::string_view pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool is_begin = pattern[i] == '^' && i == 0, is_end = pattern[i] == '$' && i + 1 == pattern.size();
    if (pattern[i] == '*')
      text += ".*";
    else if (is_begin || is_end || std::isalpha(static_cast<unsigned char>(pattern[i])) != 0)
      text += pattern[i];
  }
  return std::regex(text);
}

TEST(Suppressions, PatternsMeanTheirRegularExpression) {
  test::dice thrown(7);
  const auto word = [&](std::string_view letters, std::uint32_t most) {
    std::string text;
    for (std::uint32_t left = thrown.below(most + 1); left > 0; --left)
      text += letters[thrown.below(static_cast<std::uint32_t>(letters.size()))];
    return text;
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::string pattern = (thrown.one_in(3) ? "^" : "") + word("ab*", 4) + (thrown.one_in(3) ? "$" : "");
    const std::string text = word("ab", 6);
    EXPECT_EQ(is_suppressed_by(pattern, text), std::regex_search(text, regex_of(pattern)))
        << "'" << pattern << "' in '" << text << "'";
  }
}

frame frame_named(const char* function, const char* file = "") {
  frame one;
  one.function = function;
  one.file = file;
  one.is_named = true;
  return one;
}

// The made process, its frames named; stack 4 is of the C library alone, 5 is that one cut off, 6 a stream's buffer, 7
// a string that the C library made for the program.
struct made_stacks {
  process_profile profile;
  symbols::symbolizer symbolizer;
  frame_resolver frames{profile, symbolizer};

  made_stacks() {
    profile.record = test::made_process();
    collect::module libc;
    libc.path = "/lib/libc.so.6";
    libc.begin = libc.bias = 0x40000;
    libc.end = 0x50000;
    profile.record.modules.push_back(libc);
    for (std::uint64_t address : {0x40011, 0x40021, 0x40031}) profile.record.locations.push_back({3, address});
    profile.record.stacks.push_back({{0, 6, 6}, {}});
    profile.record.stacks.push_back({{0, 6, 6}, collect::stack_end::limit});
    profile.record.stacks.push_back({{0, 7, 1, 3}, {}});
    profile.record.stacks.push_back({{0, 8, 1, 3}, {}});
    profile.frames = {
        {frame_named("malloc")},       {frame_named("shop::load", "/src/shop/load.cc"), frame_named("shop::open")},
        {frame_named("work")},         {frame_named("main", "/src/main.cc")},
        {frame_named("plug::grow")},   {frame_named("plug::add")},
        {frame_named("__libc_start")}, {frame_named("_IO_file_doallocate")},
        {frame_named("strdup")}};
  }
  bool takes(const char* rules, std::uint32_t stack) {
    suppressions of;
    EXPECT_TRUE(of.add(rules));
    return of.takes(profile, frames, stack);
  }
};

TEST(Suppressions, RulesAreHeldAgainstFunctionsFilesAndModules) {
  made_stacks made;
  for (const auto& [rules, stack, is_taken] : {std::tuple{"leak:shop::load", 0, true},
                                               {"leak:shop::load\n", 2, false},
                                               {"leak:^open", 0, false},
                                               {"  leak:shop::open\r\n", 0, true},
                                               {"# leak:main", 0, false},
                                               {"race:main\nthread:main", 0, false},
                                               {"leak:libplug.so$", 2, true},
                                               {"leak:libplug.so$", 0, false},
                                               {"leak:nothing\n\nleak:load.cc", 0, true},
                                               {"leak:", 0, false},
                                               {"leak:plug*add", 3, true},
                                               {"", 0, false},
                                               {"leak:main", 99, false}})
    EXPECT_EQ(made.takes(rules, static_cast<std::uint32_t>(stack)), is_taken) << rules << " " << stack;
}

TEST(Suppressions, WhatTheLibrariesKeepIsNoLeak) {
  made_stacks made;
  EXPECT_TRUE(made.takes("", 4));
  EXPECT_FALSE(made.takes("", 5));
  EXPECT_TRUE(made.takes("", 6));
  EXPECT_FALSE(made.takes("", 7));
}

TEST(Suppressions, ALineThatIsNoRuleIsNamed) {
  suppressions of;
  EXPECT_EQ(of.add("leak:a\n# b\n\nload_plugins\n").error(),
            "line 4 is no rule such as leak:load_plugins: 'load_plugins'");
}

}  // namespace
}  // namespace tenure::analyze
