#include "instruments/cli/parser.h"

#include <gtest/gtest.h>

#include "instruments/cli/value_text.h"

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

TEST(Parser, ReadsTimes) {
  EXPECT_EQ(parse_time("0"), 0u);
  EXPECT_EQ(parse_time("15ns"), 15u);
  EXPECT_EQ(parse_time("7us"), 7000u);
  EXPECT_EQ(parse_time("1500ms"), 1'500'000'000u);
  EXPECT_EQ(parse_time("2.5s"), 2'500'000'000u);
  EXPECT_EQ(parse_time("3m"), 180'000'000'000u);
  EXPECT_EQ(parse_time("1h"), 3'600'000'000'000u);
  for (const std::string text : {"", "s", "12", "-1s", "1 s", "1sec", "1e3s", "inf", "nan", "infs", "99999999999h"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(Parser, ReadsRanges) {
  const auto range = [](const std::optional<value_range>& of) {
    return of ? std::pair(of->first, of->last) : std::pair(no_bound, std::uint64_t{0});
  };
  using bounds = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(range(parse_time_range("1s..2s")), (bounds{1'000'000'000, 2'000'000'000}));
  EXPECT_EQ(range(parse_time_range("1.5ms..")), (bounds{1'500'000, no_bound}));
  EXPECT_EQ(range(parse_time_range("..2s")), (bounds{0, 2'000'000'000}));
  EXPECT_EQ(range(parse_byte_range("1K..64K")), (bounds{1024, 65536}));
  EXPECT_EQ(range(parse_byte_range("100")), (bounds{100, 100}));
  EXPECT_EQ(range(parse_byte_range("..1M")), (bounds{0, 1 << 20}));
  for (const std::string text : {"", "..", "2s..1s", "1s", "1s...2s", "1s..2s..3s", "1..2", "a..b"})
    EXPECT_FALSE(parse_time_range(text)) << text;
  for (const std::string text : {"", "..", "2K..1K", "1K-2K", "1K..x"}) EXPECT_FALSE(parse_byte_range(text)) << text;
}

TEST(Parser, ReadsLimits) {
  const auto limit = [](const char* text, limit_unit unit = limit_unit::bytes) {
    const limit_value value = parse_limit(text, unit).value_or(limit_value{.name = "none"});
    return std::tuple(value.name, value.is_growth, value.share, value.amount);
  };
  using told = std::tuple<std::string, bool, double, std::uint64_t>;
  EXPECT_EQ(limit("64M"), (told{"", false, 0, 64 << 20}));
  EXPECT_EQ(limit("0"), (told{"", false, 0, 0}));
  EXPECT_EQ(limit("+5%"), (told{"", true, 0.05, 0}));
  EXPECT_EQ(limit("2.5%"), (told{"", true, 0.025, 0}));
  EXPECT_EQ(limit("+64K"), (told{"", true, 0, 65536}));
  EXPECT_EQ(limit("+5%+64K"), (told{"", true, 0.05, 65536}));
  EXPECT_EQ(limit("64K+5%"), (told{"", true, 0.05, 65536}));
  EXPECT_EQ(limit("load_*=4K"), (told{"load_*", false, 0, 4096}));
  EXPECT_EQ(limit("operator==+1%"), (told{"operator=", true, 0.01, 0}));
  EXPECT_EQ(limit("100", limit_unit::blocks), (told{"", false, 0, 100}));
  EXPECT_FALSE(parse_limit("1K", limit_unit::blocks));
  for (const char* const text : {"", "+", "=", "=5", "f=", "5%+6%", "5+6", "+5%+", "-5%", "5%x", "%", "nan%", "1X"})
    EXPECT_FALSE(parse_limit(text, limit_unit::bytes)) << text;
  EXPECT_EQ(bad({"check", "--max-leak", "some", "f"}),
            "--max-leak takes a limit such as 64M, +5% or +5%+64K over the baseline, or NAME=64K, not 'some'.");
  EXPECT_EQ(bad({"check", "--max-allocations", "1K", "f"}),
            "--max-allocations takes a limit such as 1000, +5% or +10 over the baseline, or NAME=100, not '1K'.");
}

TEST(Parser, KeepsEveryValueOfARepeatableOption) {
  const arguments given = good({"check", "--max-leak", "0", "f", "--max-leak", "a=1K", "--max-leak=b=2K"});
  EXPECT_EQ(given.all("max-leak"), (words{"0", "a=1K", "b=2K"}));
  EXPECT_EQ(given.all("max-peak"), words{});
  EXPECT_EQ(given.words, words{"f"});
  EXPECT_EQ(bad({"check", "--max-leak", "x", "--max-leak", "0", "f"}).substr(0, 10), "--max-leak");
}

TEST(Parser, AProgramStandsBehindTwoDashesWhereWordsAreTaken) {
  const arguments given = good({"check", "--max-leak", "0", "--", "prog", "--max-leak", "1"});
  EXPECT_EQ(given.program, (words{"prog", "--max-leak", "1"}));
  EXPECT_EQ(given.words, words{});
}

TEST(Parser, SaysHowTimesAndRangesAreGiven) {
  EXPECT_EQ(bad({"report", "--at", "12", "f"}), "--at takes a time such as 1500ms, 2.5s or 3m, not '12'.");
  EXPECT_EQ(bad({"report", "--window", "2s..1s", "f"}),
            "--window takes two times such as 1500ms..2.5s, the later one last, not '2s..1s'.");
  EXPECT_EQ(bad({"report", "--size", "9..4", "f"}),
            "--size takes two sizes such as 1K..64K, the greater one last, not '9..4'.");
}

TEST(Parser, EveryOptionOfTheTableIsTaken) {
  for (const command_entry& command : all_commands()) {
    for (const std::span<const option_entry> options : {command.options, common_options()}) {
      for (const option_entry& option : options) {
        std::string value = "7";
        if (option.kind == value_kind::choice) value = option.choices.substr(0, option.choices.find('|'));
        if (option.kind == value_kind::time) value = "7s";
        if (option.kind == value_kind::time_range) value = "7s..8s";
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
