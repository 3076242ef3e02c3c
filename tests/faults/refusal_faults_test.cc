// The n-th memory call is refused, for n = 1 to 200, once alone and once with all that follow: the program gets null
// and ENOMEM or does not notice, never crashes, and the heap is in order when the kernel gives memory again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "traced_program.h"

namespace {

using tenure::testing::refusal_outcome;
using tenure::testing::refusal_plan;

constexpr unsigned long every = ~0ul;

class refusals_test : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_NE(std::getenv("TENURE_TEST_VICTIM"), nullptr); }
  refusal_outcome run(unsigned long first, unsigned long calls) {
    return tenure::testing::run_with_refusals({std::getenv("TENURE_TEST_VICTIM"), GetParam()}, {first, calls, false});
  }
};

TEST_P(refusals_test, of_one_call_leave_the_heap_in_order) {
  for (unsigned long nth = 1; nth <= 200; ++nth) {
    const refusal_outcome outcome = run(nth, 1);
    if (!outcome.traced) GTEST_SKIP() << "this machine does not let a program trace its child";
    ASSERT_EQ(outcome.code, 0) << "call " << nth;
    if (outcome.refused_calls == 0) {
      EXPECT_GT(nth, 1u) << "the scenario asks the kernel for nothing";
      return;
    }
  }
}

TEST_P(refusals_test, of_a_call_and_all_that_follow_leave_the_heap_in_order) {
  for (unsigned long nth = 1; nth <= 200; ++nth) {
    const refusal_outcome outcome = run(nth, every);
    if (!outcome.traced) GTEST_SKIP() << "this machine does not let a program trace its child";
    ASSERT_EQ(outcome.code, 0) << "from call " << nth;
    if (outcome.refused_calls == 0) return;
  }
}

INSTANTIATE_TEST_SUITE_P(scenario, refusals_test, ::testing::Values("growth", "large", "realloc", "threads"));

// From the first instruction after the dynamic loader's own: a library that finds no memory may end the program with a
// message, but nothing runs into the wall.
TEST(refusals_at_start, end_in_an_exit_code_and_never_in_a_crash) {
  const char* victim = std::getenv("TENURE_TEST_VICTIM");
  ASSERT_NE(victim, nullptr);
  for (unsigned long nth = 1; nth <= 200; ++nth) {
    for (const unsigned long calls : {1ul, every}) {
      const refusal_outcome outcome = tenure::testing::run_with_refusals({victim, "start"}, {nth, calls, true});
      if (!outcome.traced) GTEST_SKIP() << "this machine does not let a program trace its child";
      ASSERT_LT(outcome.code, 1000) << "call " << nth << ", " << (calls == 1 ? "alone" : "and all that follow");
      if (outcome.refused_calls == 0) return;
    }
  }
}

}  // namespace
