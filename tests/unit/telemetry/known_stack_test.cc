// The incremental capture against the full one, which libunwind holds to account (unwind_test.cc).
#include "core/telemetry/known_stack.h"

#include <alloca.h>
#include <gtest/gtest.h>

#include <csetjmp>
#include <csignal>
#include <memory>
#include <vector>

#include "core/telemetry/stack_trie.h"
#include "core/telemetry/unwind.h"
#include "support/dice.h"

namespace tenure::telemetry {
namespace {

std::uint32_t no_modules(std::uint64_t) noexcept { return 0; }

class known_stack_test : public ::testing::Test {
 public:
  known_stack_test() {
    trie.attach(&header, nodes.data(), static_cast<std::uint32_t>(nodes.size()), nullptr, no_modules);
  }
  ~known_stack_test() override { trie.detach(); }

  // The node's frames, innermost first, and the root they lead to.
  std::vector<std::uint64_t> frames_of(std::uint32_t node, std::uint32_t* root) const {
    std::vector<std::uint64_t> frames;
    for (; node >= wire::stack_root_count; node = nodes[node].parent) frames.push_back(nodes[node].address);
    *root = node;
    return frames;
  }

  // Both captures from here. The full one begins with this function, the other with its caller.
  [[gnu::noinline]] void compare() {
    std::vector<std::uint64_t> expected(known_stack::capacity + 1);
    const walk_result walked = capture_stack(expected.data(), expected.size(), 0);
    const std::uint32_t node = stack->capture(trie, own_caller());
    expected.resize(walked.frame_count);
    std::uint32_t root = 0;
    const std::vector<std::uint64_t> frames = frames_of(node, &root);
    ++comparisons;
    walked_frames += stack->fresh_count();
    all_frames += frames.size();
    stack->check();
    ASSERT_EQ(root, static_cast<std::uint32_t>(walked.end));
    expected.erase(expected.begin());
    ASSERT_EQ(frames, expected);
  }

  [[gnu::noinline]] std::uint32_t capture() { return stack->capture(trie, own_caller()); }

  // A random walk over calls: functions of different frames, with and without a frame pointer, that call each other
  // and come back, so that captures meet every kind of change.
  [[gnu::noinline]] void wander(test::dice& dice, int depth) {
    for (std::uint64_t turns = 1 + dice.below(3); turns-- != 0;) {
      if (comparisons > 40'000) return;
      compare();
      if (depth == 0 || HasFatalFailure()) return;
      switch (dice.below(4)) {
        case 0:
          wander(dice, depth - 1);
          break;
        case 1:
          wander_far(dice, depth - 1);
          break;
        case 2:
          wander_far(dice, depth - 1);
          break;
        default:
          wander_flexibly(dice, depth - 1);
          break;
      }
    }
  }
  [[gnu::noinline]] void wander_far(test::dice& dice, int depth) {
    volatile char frame[700];
    frame[0] = static_cast<char>(depth);
    wander(dice, depth);
    frame[1] = frame[0];
  }
  [[gnu::noinline]] void wander_flexibly(test::dice& dice, int depth) {
    auto* frame = static_cast<volatile char*>(alloca(16 + dice.below(20) * 16));
    frame[0] = static_cast<char>(depth);
    wander(dice, depth);
    frame[1] = frame[0];
  }

  [[gnu::noinline]] void sink(int levels) {
    volatile char frame[32];
    frame[0] = static_cast<char>(levels);
    if (levels == 0) {
      compare();
    } else {
      sink(levels - 1);
    }
    frame[1] = frame[0];
  }

  wire::tape_header header{};
  std::vector<wire::stack_node> nodes = std::vector<wire::stack_node>(1 << 20);
  stack_trie trie;
  std::unique_ptr<known_stack> stack = std::make_unique<known_stack>();
  std::uint64_t comparisons = 0;
  std::uint64_t walked_frames = 0;
  std::uint64_t all_frames = 0;
};

TEST_F(known_stack_test, finds_the_same_stack_as_a_full_walk) {
  for (std::uint32_t seed = 1; seed <= 20 && !HasFatalFailure(); ++seed) {
    test::dice dice(seed);
    wander(dice, 12);
  }
  EXPECT_GT(comparisons, 10'000u);
  // It is worth its while: most frames are not walked again.
  EXPECT_LT(walked_frames, all_frames / 2);
}

TEST_F(known_stack_test, walks_nothing_again_where_nothing_has_changed) {
  // One call, made several times: a loop that the compiler cannot unroll.
  std::vector<std::uint32_t> taken;
  volatile int turns = 4;
  for (int turn = 0; turn < turns; ++turn) taken.push_back(capture());
  EXPECT_EQ(taken[2], taken[3]);
  EXPECT_EQ(taken[1], taken[3]);
  EXPECT_EQ(stack->fresh_count(), 0u);
}

TEST_F(known_stack_test, walks_only_the_call_that_is_another_one) {
  // Two calls by one function: what lies outside of it is as it was.
  std::uint32_t fresh = 0;
  volatile int turns = 4;
  for (int turn = 0; turn < turns; ++turn) {
    const std::uint32_t here = capture();
    const std::uint32_t there = capture();
    EXPECT_NE(here, there);
    EXPECT_EQ(nodes[here].parent, nodes[there].parent);
    fresh = stack->fresh_count();
  }
  EXPECT_EQ(fresh, 1u);
}

TEST_F(known_stack_test, sees_a_caller_that_has_changed_under_an_unchanged_frame) {
  // The inner frames lie at the same places with the same return addresses; only a word far out differs.
  for (int i = 0; i < 3; ++i) {
    if (i % 2 == 0) {
      sink(20);
    } else {
      sink(20);
    }
  }
  EXPECT_EQ(comparisons, 3u);
}

TEST_F(known_stack_test, forgets_the_numbers_of_another_trie) {
  for (int turn = 0; turn < 2; ++turn) {
    sink(20);
    trie.detach();
    header = {};
    nodes.assign(nodes.size(), {});
    trie.attach(&header, nodes.data(), static_cast<std::uint32_t>(nodes.size()), nullptr, no_modules);
    stack->forget();
  }
  sink(20);
  EXPECT_EQ(comparisons, 3u);
}

TEST_F(known_stack_test, ends_a_stack_that_is_too_deep_at_the_limit) {
  sink(700);
  sink(700);
  sink(3);
  EXPECT_EQ(comparisons, 3u);
}

std::jmp_buf back;

TEST_F(known_stack_test, is_right_after_a_jump) {
  sink(5);
  if (setjmp(back) == 0) {
    struct jump {
      [[gnu::noinline]] static void from(known_stack_test* of, int levels) {
        of->sink(levels);
        std::longjmp(back, 1);
      }
    };
    jump::from(this, 30);
  }
  sink(5);
  EXPECT_EQ(comparisons, 3u);
}

known_stack_test* interrupted = nullptr;

TEST_F(known_stack_test, is_right_through_a_signal_handler_and_after_it) {
  interrupted = this;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { interrupted->compare(); };
  sigaction(SIGUSR1, &action, &before);
  sink(2);
  raise(SIGUSR1);
  raise(SIGUSR1);
  sink(2);
  sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(comparisons, 4u);
}

}  // namespace
}  // namespace tenure::telemetry
