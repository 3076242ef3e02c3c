// <tenure/testing.hpp> as a program's tests use it: where malloc is Tenure's (TENURE_TEST_SERVED=tenure) every answer
// is held against what the test itself allocates; where it is not, against the one sentence that says so.
#include <tenure/testing.hpp>

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace tenure_test {

void* volatile kept[16];

// Blocks that no compiler leaves out.
[[gnu::noinline]] void keep_block(std::size_t index, std::size_t bytes) { kept[index] = std::malloc(bytes); }
[[gnu::noinline]] void drop_block(std::size_t index) {
  std::free(kept[index]);
  kept[index] = nullptr;
}
[[gnu::noinline]] void churn_block(std::size_t bytes) {
  keep_block(15, bytes);
  drop_block(15);
}

bool is_served() {
  const char* const served = std::getenv("TENURE_TEST_SERVED");
  return served != nullptr && std::string(served) == "tenure";
}

class Testing : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(tenure::counts_allocations(), is_served());
    if (!is_served()) GTEST_SKIP() << "malloc is not Tenure's here";
  }
};

bool has(const tenure::expectation& one, std::string_view text) {
  return one.message().find(text) != std::string::npos;
}

TEST(TestingWithoutTenure, SaysSoInsteadOfPassing) {
  if (is_served()) GTEST_SKIP();
  for (const tenure::expectation& one :
       {tenure::expect_no_leaks([] {}), tenure::expect_no_allocations([] {}), tenure::memory_scope().no_leaks(),
        tenure::expect_peak_bytes_at_most(1000, [] {})}) {
    EXPECT_FALSE(one);
    EXPECT_TRUE(has(one, "malloc of this program is not Tenure's")) << one;
  }
}

TEST_F(Testing, ALeakIsABlockThatNobodyFrees) {
  EXPECT_TRUE(tenure::expect_no_leaks([] { churn_block(100); }));
  const tenure::expectation leaks = tenure::expect_no_leaks([] {
    churn_block(100);
    keep_block(0, 123);
    keep_block(1, 1000);
  });
  EXPECT_FALSE(leaks);
  EXPECT_TRUE(has(leaks, "2 blocks of 1123 bytes allocated here and not freed")) << leaks;
  EXPECT_TRUE(has(leaks, "1 block, 1000 bytes\n    tenure_test::keep_block(unsigned long, unsigned long)  [")) << leaks;
  EXPECT_FALSE(has(leaks, "drop_block"));
  EXPECT_FALSE(has(leaks, "testing::internal"));
  drop_block(0);
  drop_block(1);
  // What was there before is nobody's leak, and its free none of the scope's.
  keep_block(0, 50);
  EXPECT_TRUE(tenure::expect_no_leaks([] { drop_block(0); }));
}

TEST_F(Testing, AnotherThreadMayFree) {
  EXPECT_TRUE(tenure::expect_no_leaks([] {
    keep_block(0, 100);
    keep_block(1, 100'000);
    std::thread([] {
      drop_block(0);
      drop_block(1);
      keep_block(2, 100);  // and what it allocates is not counted
    }).join();
  }));
  drop_block(2);
}

TEST_F(Testing, AllocationsAreCountedExactly) {
  const auto three = [] {
    for (std::size_t bytes : {10, 5000, 200'000}) churn_block(bytes);
  };
  EXPECT_TRUE(tenure::expect_allocations_at_most(3, three));
  const tenure::expectation two = tenure::expect_allocations_at_most(2, three);
  EXPECT_FALSE(two);
  EXPECT_TRUE(has(two, "3 allocations, 2 allowed\n  3 blocks, 205010 bytes") ||
              has(two, "3 allocations, 2 allowed\n  1 block, 200000 bytes"))
      << two;
  EXPECT_TRUE(tenure::expect_no_allocations([] {}));
  EXPECT_FALSE(tenure::expect_no_allocations([] { churn_block(1); }));
  EXPECT_TRUE(tenure::expect_allocated_bytes_at_most(205'010, three));
  EXPECT_FALSE(tenure::expect_allocated_bytes_at_most(205'009, three));
  EXPECT_TRUE(tenure::expect_peak_bytes_at_most(200'000, three));
  EXPECT_FALSE(tenure::expect_peak_bytes_at_most(199'999, three));
}

TEST_F(Testing, EveryEntryPointIsCounted) {
  const tenure::memory_scope scope;
  kept[0] = std::calloc(3, 100);
  kept[1] = std::aligned_alloc(64, 640);
  kept[2] = std::realloc(kept[0], 90'000);
  void* aligned = nullptr;
  ASSERT_EQ(::posix_memalign(&aligned, 256, 1000), 0);
  kept[3] = ::operator new(77);
  const auto figures = scope.figures();
  EXPECT_EQ(figures.allocations, 5u);
  EXPECT_EQ(figures.allocated_bytes, 300u + 640 + 90'000 + 1000 + 77);
  EXPECT_EQ(figures.live_bytes, 640u + 90'000 + 1000 + 77);
  EXPECT_EQ(figures.frees, 1u);
  for (void* one : {static_cast<void*>(kept[1]), static_cast<void*>(kept[2]), aligned}) std::free(one);
  ::operator delete(kept[3]);
  EXPECT_TRUE(scope.no_leaks());
}

TEST_F(Testing, AScopeIsAskedAgainAndAgain) {
  const tenure::memory_scope outer;
  EXPECT_TRUE(outer.no_allocations());
  keep_block(0, 100);
  {
    const tenure::memory_scope inner;
    EXPECT_TRUE(inner.no_leaks());
    keep_block(1, 100);
    EXPECT_FALSE(static_cast<bool>(inner.no_leaks()));
    EXPECT_FALSE(static_cast<bool>(inner.allocations_at_most(0)));
    EXPECT_TRUE(inner.allocations_at_most(1));
  }
  EXPECT_TRUE(has(outer.no_leaks(), "2 blocks of 200 bytes"));
  drop_block(0);
  drop_block(1);
  EXPECT_TRUE(outer.no_leaks());
  EXPECT_EQ(outer.figures().allocations, 2u);  // no message was counted
}

TEST_F(Testing, WhatTheCLibraryKeepsIsNoLeak) {
  EXPECT_TRUE(tenure::expect_no_leaks([] { std::thread([] {}).join(); }));
  EXPECT_TRUE(tenure::expect_no_leaks([] {
    FILE* const file = std::fopen("/dev/null", "w");
    std::fputs("text", file);
    std::fclose(file);
  }));
  const auto throws = [] {
    try {
      throw std::runtime_error("a text that is too long for the string itself");
    } catch (const std::runtime_error&) {
    }
  };
  EXPECT_TRUE(tenure::expect_no_leaks(throws));
  // But what it makes for the caller is.
  EXPECT_FALSE(tenure::expect_no_leaks([] { kept[0] = ::strdup("a text"); }));
  drop_block(0);
}

TEST_F(Testing, ExceptionsPassThroughAndEndTheScope) {
  EXPECT_THROW(static_cast<void>(tenure::expect_no_leaks([] { throw std::runtime_error("no"); })), std::runtime_error);
  EXPECT_TRUE(tenure::expect_no_leaks([] { churn_block(10); }));
}

void fail_by_a_leak() {
  EXPECT_TRUE(tenure::expect_no_leaks([] { keep_block(0, 321); }));
}

// GoogleTest takes the answer with its message.
TEST_F(Testing, GoogleTestShowsTheMessage) {
  EXPECT_NONFATAL_FAILURE(fail_by_a_leak(), "1 block of 321 bytes allocated here and not freed");
  drop_block(0);
  std::ostringstream text;
  text << tenure::expect_no_leaks([] {});
  EXPECT_EQ(text.str(), "holds");
}

}  // namespace tenure_test
