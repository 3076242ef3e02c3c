#include "instruments/cli/parser.h"

#include <gtest/gtest.h>

namespace tenure::cli {
namespace {

using words = std::vector<std::string>;

arguments good(const words& given) {
  const auto result = parse(given);
  EXPECT_TRUE(result) << result.error();
  return result.value_or(arguments{});
}

std::string bad(const words& given) {
  const auto result = parse(given);
  EXPECT_FALSE(result) << ::testing::PrintToString(given);
  return result ? "" : result.error();
}

TEST(Parser, TheProgramsOwnWordsAreLeftAlone) {
  for (const words& given : {words{"run", "--json", "--", "ls", "--json", "-o", "x", "--", "y"},
                             words{"run", "--json", "ls", "--json", "-o", "x", "--", "y"}}) {
    const arguments parsed = good(given);
    EXPECT_EQ(parsed.program, (words{"ls", "--json", "-o", "x", "--", "y"}));
    EXPECT_TRUE(parsed.has("json"));
    EXPECT_FALSE(parsed.has("output"));
  }
  EXPECT_EQ(good({"run", "-o", "ls", "--", "cat"}).program, words{"cat"});
  EXPECT_EQ(good({"run", "-o", "ls", "cat"}).value("output"), "ls");
  EXPECT_EQ(good({"run", "--output=a b", "cat"}).value("output"), "a b");
  EXPECT_TRUE(good({"run"}).program.empty());
  EXPECT_TRUE(good({"run", "--"}).program.empty());
  EXPECT_EQ(good({"run", "--", ""}).program, words{""});
}

TEST(Parser, TakesOptionsBeforeTheCommand) {
  const arguments parsed = good({"--color", "never", "doctor", "--json"});
  EXPECT_EQ(parsed.command->name, "doctor");
  EXPECT_EQ(parsed.value("color"), "never");
  EXPECT_TRUE(good({"--help"}).wants_help);
  EXPECT_TRUE(good({"-V"}).wants_version);
  EXPECT_TRUE(good({"run", "-h"}).wants_help);
  EXPECT_EQ(good({}).command, nullptr);
  EXPECT_EQ(good({"run", "--top", "3", "--top=4", "x"}).value("top"), "4");
}

TEST(Parser, SaysWhatMayHaveBeenMeant) {
  EXPECT_EQ(bad({"rnu"}), "there is no command 'rnu'; did you mean `tenure run`?");
  EXPECT_EQ(bad({"docotr"}), "there is no command 'docotr'; did you mean `tenure doctor`?");
  EXPECT_EQ(bad({"xyzzy"}), "there is no command 'xyzzy'. See `tenure --help`.");
  EXPECT_EQ(bad({"run", "--jsno", "--", "ls"}), "there is no option --jsno; did you mean --json?");
  EXPECT_EQ(bad({"run", "--samp=4", "ls"}), "there is no option --samp; did you mean --sample-interval?");
  EXPECT_EQ(bad({"doctor", "--wibble"}), "there is no option --wibble. See `tenure help doctor`.");
  EXPECT_EQ(bad({"run", "--pprof-at", "paek", "ls"}), "--pprof-at takes exit or peak, not 'paek'; did you mean peak?");
}

TEST(Parser, RefusesValuesThatAreNone) {
  EXPECT_EQ(bad({"--color", "often"}), "--color takes auto, always or never, not 'often'.");
  EXPECT_EQ(bad({"run", "--sample-interval", "many", "ls"}),
            "--sample-interval takes a number of bytes such as 65536, 64K or 1M, not 'many'.");
  EXPECT_EQ(bad({"run", "--top", "-3", "ls"}), "--top takes a number, not '-3'.");
  EXPECT_EQ(bad({"run", "--top", "99999999999999999999999", "ls"}),
            "--top takes a number, not '99999999999999999999999'.");
  EXPECT_EQ(bad({"run", "--output"}), "--output needs a value: -o, --output FILE.");
  EXPECT_EQ(bad({"run", "--output=", "ls"}), "--output needs a value: -o, --output FILE.");
  EXPECT_EQ(bad({"run", "--json=yes", "ls"}), "--json takes no value.");
  EXPECT_EQ(bad({"options", "extra"}), "'extra' is one word too many. See `tenure help options`.");
}

TEST(Parser, ReadsBytes) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("65536"), 65536u);
  EXPECT_EQ(parse_bytes("64K"), 65536u);
  EXPECT_EQ(parse_bytes("64k"), 65536u);
  EXPECT_EQ(parse_bytes("64KiB"), 65536u);
  EXPECT_EQ(parse_bytes("3MB"), 3u << 20);
  EXPECT_EQ(parse_bytes("2G"), std::uint64_t{2} << 30);
  EXPECT_EQ(parse_bytes("7B"), 7u);
  for (const std::string text :
       {"", "K", "-1", "1.5K", "1KK", "1iB", "1 K", "0x10", "99999999999999999999", "99999999999G"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(Parser, EveryOptionOfTheTableIsTaken) {
  for (const command_entry& command : all_commands()) {
    for (const std::span<const option_entry> options : {command.options, common_options()}) {
      for (const option_entry& option : options) {
        std::string value =
            option.kind == value_kind::choice ? std::string(option.choices.substr(0, option.choices.find('|'))) : "7";
        words given = {std::string(command.name), "--" + std::string(option.name)};
        if (option.kind != value_kind::none) given.push_back(value);
        good(given);
        if (option.letter == '\0') continue;
        given[1] = std::string{'-', option.letter};
        good(given);
      }
    }
  }
}

}  // namespace
}  // namespace tenure::cli
