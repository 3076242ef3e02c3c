#include "instruments/analyze/losses.h"

#include <gtest/gtest.h>

namespace tenure::analyze {
namespace {

collect::process_record with_threads() {
  collect::process_record record;
  record.threads = {{10, "main"}, {11, "worker"}, {12, ""}, {13, "worker"}, {14, "last"}};
  return record;
}

TEST(Losses, AreOfThreadsAndOfThoseThatNobodyKnows) {
  collect::tape_losses lost{.allocations = 100, .bytes = 5000, .frees = 50};
  lost.by_thread = {{0, 1, 10, 2}, {1, 60, 3000, 30}, {3, 20, 1000, 9}};
  const auto losses = losses_by_thread(with_threads(), lost);
  ASSERT_EQ(losses.size(), 4u);
  EXPECT_EQ(losses[0].thread->id, 11u);
  EXPECT_EQ(losses[1].thread->id, 13u);
  EXPECT_EQ(losses[2].thread->id, 10u);
  EXPECT_FALSE(losses[3].thread);
  EXPECT_EQ(losses[3].allocations, 19u);
  EXPECT_EQ(losses[3].bytes, 990u);
  EXPECT_EQ(losses[3].frees, 9u);
}

TEST(Losses, NameTheThreadsThatLostMost) {
  collect::tape_losses lost{.allocations = 41, .bytes = 410, .frees = 9};
  lost.by_thread = {{0, 1, 10, 0}, {1, 20, 200, 5}, {2, 10, 100, 0}, {3, 5, 50, 0}, {4, 3, 30, 2}};
  EXPECT_EQ(losers_text(with_threads(), lost),
            "worker (11) lost 20 allocations of 200 B and 5 frees, thread 12 lost 10 allocations of 100 B and 0 frees, "
            "worker (13) lost 5 allocations of 50 B and 0 frees; threads that had no ring 4 events; 2 other threads 6 "
            "events");
}

TEST(Losses, SayNothingWhereNoneIsKnown) {
  EXPECT_EQ(losers_text(with_threads(), {}), "");
  // As of a recording of an older version, which has the sums alone.
  const collect::tape_losses old{.allocations = 3, .bytes = 30, .frees = 1};
  EXPECT_EQ(losers_text(with_threads(), old), "");
  ASSERT_EQ(losses_by_thread(with_threads(), old).size(), 1u);
  EXPECT_EQ(losses_by_thread(with_threads(), old)[0].allocations, 3u);
}

}  // namespace
}  // namespace tenure::analyze
