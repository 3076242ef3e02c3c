// The tests of some sources of a program that has those of a whole folder: --sources=a_test.cc,b_test.cc. Each test of
// CTest is such a choice and so has a process to itself, as if it were a program of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace tenure::testing {

// Each test of the sources by its name, for GoogleTest's filter.
inline std::string tests_of(std::string_view sources) {
  const std::string among = "," + std::string(sources) + ",";
  std::string names;
  const ::testing::UnitTest& all = *::testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const ::testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const ::testing::TestInfo& test = *suite.GetTestInfo(t);
      const std::string file = test.file();
      if (among.find("," + file.substr(file.rfind('/') + 1) + ",") == std::string::npos) continue;
      names += (names.empty() ? "" : ":") + std::string(suite.name()) + "." + test.name();
    }
  }
  return names;
}

// What main() does. Without --sources all tests run; a filter that is given besides leaves out of the sources' tests
// when it begins with '-', and else stands alone (a death test starts its program anew with one). 2: no such test.
inline int run_chosen_sources(int count, char** arguments) {
  ::testing::InitGoogleTest(&count, arguments);
  constexpr std::string_view option = "--sources=";
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with(option)) continue;
    const std::string given = GTEST_FLAG_GET(filter);
    if (given != "*" && !given.starts_with('-')) continue;
    const std::string names = tests_of(argument.substr(option.size()));
    if (names.empty()) {
      std::fprintf(stderr, "no test is of the sources %s\n", arguments[i] + option.size());
      return 2;
    }
    GTEST_FLAG_SET(filter, given == "*" ? names : names + given);
  }
  return RUN_ALL_TESTS();
}

}  // namespace tenure::testing
