#include "core/base/options.h"

#include <gtest/gtest.h>
#include <cstdlib>
#include <string>

namespace tenure::core {
namespace {

option_description of_kind(option_kind kind, std::int64_t minimum, std::int64_t maximum) {
  return {"name", "TENURE_name", kind, minimum, minimum, maximum, "", "", ""};
}

// What the text means, or -1 where it means nothing.
std::int64_t parsed(const option_description& description, const char* text) {
  std::int64_t value = -1;
  return parse_value(description, text, &value) ? value : -1;
}

std::string told_while_reading() {
  ::testing::internal::CaptureStderr();
  read_options_from_environment();
  return ::testing::internal::GetCapturedStderr();
}

// What is told of this variable.
std::string told_of(const char* name, const char* value) {
  ::setenv(name, value, 1);
  const std::string told = told_while_reading();
  ::unsetenv(name);
  return told;
}

// Every option as it was, afterwards.
class Options : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < option_count; ++i) saved_[i] = value(static_cast<option>(i));
  }
  void TearDown() override {
    for (std::size_t i = 0; i < option_count; ++i) set_value(static_cast<option>(i), saved_[i]);
  }

 private:
  std::int64_t saved_[option_count];
};

TEST_F(Options, ByteSizesTakeTheUsualSuffixes) {
  const option_description bytes = of_kind(option_kind::bytes, 0, INT64_MAX);
  EXPECT_EQ(parsed(bytes, "0"), 0);
  EXPECT_EQ(parsed(bytes, "250"), 250);
  EXPECT_EQ(parsed(bytes, "250B"), 250);
  EXPECT_EQ(parsed(bytes, "4K"), 4096);
  EXPECT_EQ(parsed(bytes, "4k"), 4096);
  EXPECT_EQ(parsed(bytes, "4KiB"), 4096);
  EXPECT_EQ(parsed(bytes, "3M"), 3 << 20);
  EXPECT_EQ(parsed(bytes, "2GiB"), std::int64_t{2} << 30);
  for (const char* wrong : {"", "K", "-1", "+1", " 1", "1 K", "1T", "4KK", "4iB", "4KiBx", "0x10", "1.5M", "on"}) {
    EXPECT_EQ(parsed(bytes, wrong), -1) << wrong;
  }
}

TEST_F(Options, NumbersThatDoNotFitAreRefusedNotWrapped) {
  const option_description bytes = of_kind(option_kind::bytes, 0, INT64_MAX);
  EXPECT_EQ(parsed(bytes, "9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parsed(bytes, "9223372036854775808"), -1);
  EXPECT_EQ(parsed(bytes, "99999999999999999999999999"), -1);
  EXPECT_EQ(parsed(bytes, "9007199254740993K"), -1);
}

TEST_F(Options, MillisecondsAndIntegersTakeNoByteSuffix) {
  const option_description milliseconds = of_kind(option_kind::milliseconds, 0, 1000000);
  EXPECT_EQ(parsed(milliseconds, "250"), 250);
  EXPECT_EQ(parsed(milliseconds, "250ms"), 250);
  EXPECT_EQ(parsed(milliseconds, "250s"), -1);
  EXPECT_EQ(parsed(milliseconds, "1K"), -1);
  const option_description integer = of_kind(option_kind::integer, 0, 1000000);
  EXPECT_EQ(parsed(integer, "7"), 7);
  EXPECT_EQ(parsed(integer, "7K"), -1);
  EXPECT_EQ(parsed(integer, "7ms"), -1);
}

TEST_F(Options, BooleansAreWordsOrDigits) {
  const option_description boolean = of_kind(option_kind::boolean, 0, 1);
  for (const char* yes : {"1", "on", "yes", "true"}) EXPECT_EQ(parsed(boolean, yes), 1) << yes;
  for (const char* no : {"0", "off", "no", "false"}) EXPECT_EQ(parsed(boolean, no), 0) << no;
  for (const char* neither : {"", "2", "On", "maybe", "1 "}) EXPECT_EQ(parsed(boolean, neither), -1) << neither;
}

TEST_F(Options, RangeIsHeldWhenParsedAndWhenSet) {
  const option_description narrow = of_kind(option_kind::integer, 10, 20);
  EXPECT_EQ(parsed(narrow, "9"), -1);
  EXPECT_EQ(parsed(narrow, "10"), 10);
  EXPECT_EQ(parsed(narrow, "20"), 20);
  EXPECT_EQ(parsed(narrow, "21"), -1);
  const option_description& decay = describe(option::decay);
  EXPECT_FALSE(set_value(option::decay, decay.maximum + 1));
  EXPECT_FALSE(set_value(option::decay, decay.minimum - 1));
  EXPECT_EQ(value(option::decay), decay.default_value);
  EXPECT_TRUE(set_value(option::decay, decay.maximum));
  EXPECT_EQ(value(option::decay), decay.maximum);
}

TEST_F(Options, TableIsSound) {
  for (std::size_t i = 0; i < option_count; ++i) {
    const auto which = static_cast<option>(i);
    const option_description& description = describe(which);
    EXPECT_EQ(find_option(description.name), which);
    EXPECT_EQ(value(which), description.default_value) << description.name;
    EXPECT_LE(description.minimum, description.default_value) << description.name;
    EXPECT_LE(description.default_value, description.maximum) << description.name;
    EXPECT_EQ(std::string("TENURE_") + description.name, description.environment);
    EXPECT_STREQ(description.summary + std::string(description.summary).size() - 1, ".") << description.name;
  }
  EXPECT_EQ(find_option("no_such_option"), option::none);
  EXPECT_EQ(find_option(""), option::none);
}

TEST_F(Options, EnvironmentIsReadByTheNameInCapitals) {
  ::setenv("TENURE_DECAY", "77ms", 1);
  ::setenv("TENURE_THREAD_CACHE", "64K", 1);
  ::setenv("TENURE_DECAYS", "5", 1);  // nobody's
  ::setenv("TENURE_huge_pages", "off", 1);
  static_cast<void>(told_while_reading());
  EXPECT_EQ(value(option::decay), 77);
  EXPECT_EQ(value(option::thread_cache), 65536);
  EXPECT_EQ(value(option::huge_pages), describe(option::huge_pages).default_value);
  for (const char* name : {"TENURE_DECAY", "TENURE_THREAD_CACHE", "TENURE_DECAYS", "TENURE_huge_pages"}) {
    ::unsetenv(name);
  }
}

TEST_F(Options, EnvironmentThatMakesNoSenseIsToldAndTheDefaultStays) {
  const std::string told = told_of("TENURE_DECAY", "soon");
  EXPECT_NE(told.find("TENURE_DECAY=soon is not a value for this option"), std::string::npos) << told;
  EXPECT_NE(told.find("(1000)"), std::string::npos) << told;
  EXPECT_EQ(value(option::decay), 1000);
}

TEST_F(Options, NamesThatAreNobodysAreToldWithTheNearestOne) {
  EXPECT_EQ(told_of("TENURE_NOPE", "1"),
            "tenure: TENURE_NOPE is no option of the heap and changes nothing. See `tenure options`.\n");
  EXPECT_EQ(told_of("TENURE_DECAYS", "5"),
            "tenure: TENURE_DECAYS is no option of the heap and changes nothing; did you mean TENURE_DECAY?\n");
  EXPECT_EQ(told_of("TENURE_sample_interval", "5"),
            "tenure: TENURE_sample_interval is no option of the heap and changes nothing; did you mean "
            "TENURE_SAMPLE_INTERVAL?\n");
  EXPECT_NE(told_of("TENURE_", "").find("TENURE_ is no option"), std::string::npos);
  const std::string long_name = "TENURE_" + std::string(100000, 'X');
  EXPECT_NE(told_of(long_name.c_str(), "").find("tenure: TENURE_XXX"), std::string::npos);
}

TEST_F(Options, NamesOfTenuresOwnCommandsAndOfOthersAreNotTold) {
  for (const char* name : {"TENURE_SESSION", "TENURE_LIBRARY", "TENURE_TEST_JOBS", "TENURES", "TENUR", "ATENURE_X"}) {
    EXPECT_EQ(told_of(name, "x"), "") << name;
  }
  EXPECT_NE(told_of("TENURE_SESSIONS", "x"), "");
}

TEST_F(Options, NearestIsNoGuess) {
  const auto nearest = [](const std::string& name) { return nearest_option(name.c_str(), name.size()); };
  EXPECT_EQ(nearest("THREADCACHE"), option::thread_cache);
  EXPECT_EQ(nearest("sample_spacin"), option::sample_spacing);
  EXPECT_EQ(nearest("DECY"), option::decay);
  EXPECT_EQ(nearest("ABORT"), option::none);
  EXPECT_EQ(nearest(""), option::none);
}

}  // namespace
}  // namespace tenure::core
