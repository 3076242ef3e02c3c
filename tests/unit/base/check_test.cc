#include "core/base/check.h"

#include <gtest/gtest.h>

namespace tenure::core {
namespace {

TEST(CheckDeathTest, SaysWhatWasExpectedAndWhereThenAborts) {
  const int blocks = 3;
  EXPECT_EXIT(TENURE_CHECK(blocks == 4), ::testing::KilledBySignal(SIGABRT),
              "tenure: check failed: blocks == 4 at .*check_test.cc:[0-9]+");
}

TEST(Check, LetsWhatHoldsPass) {
  int evaluated = 0;
  TENURE_CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckDeathTest, DebugChecksAreThereInDebugBuildsOnly) {
  int evaluated = 0;
  TENURE_DCHECK(++evaluated == 1);
#ifdef NDEBUG
  EXPECT_EQ(evaluated, 0);
  TENURE_DCHECK(evaluated == 7);
#else
  EXPECT_EQ(evaluated, 1);
  EXPECT_EXIT(TENURE_DCHECK(evaluated == 7), ::testing::KilledBySignal(SIGABRT), "evaluated == 7");
#endif
}

}  // namespace
}  // namespace tenure::core
