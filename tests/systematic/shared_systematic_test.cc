// A peer that is killed at each single step of what can be done with a segment, and whoever mends after him at each of
// his. The sources are compiled with a step between any two stores that matter.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tenure/shared.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace {

long steps_left = 0;  // 0: no end

}  // namespace

namespace tenure::core {

void yield_point() noexcept {
  if (steps_left != 0 && --steps_left == 0) ::raise(SIGKILL);
}

}  // namespace tenure::core

namespace tenure {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// False when it was over before it came to that step.
bool dies_at(long step, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    steps_left = step;
    work();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status);
}

class SharedDeath : public ::testing::Test {
 protected:
  void SetUp() override {
    for (unsigned char i = 0; i < 8; ++i) {
      auto* const block = static_cast<unsigned char*>(memory_.allocate(100 << i));
      std::memset(block, i, 100 << i);
      mine_.push_back(block);
    }
  }

  // What has to hold after any death. The dead one's blocks are between so many bytes.
  void expect_whole(std::uint64_t least_bytes, std::uint64_t most_bytes) {
    memory_.check();
    std::uint64_t left = 0;
    for (const shared_participant& one : memory_.participants()) {
      if (!one.is_alive) left += one.used_bytes;
    }
    EXPECT_GE(left, least_bytes);
    EXPECT_LE(left, most_bytes);
    EXPECT_EQ(memory_.reclaim_dead(), left);
    memory_.check();
    for (unsigned char i = 0; i < 8; ++i) {
      for (int at = 0; at < 100 << i; ++at) ASSERT_EQ(mine_[i][at], i);
    }
    EXPECT_EQ(memory_.segment().used_blocks, mine_.size() + memory_.segment().kept_blocks);
  }

  // One step further each time, until nothing is left to die at.
  long for_each_step(const std::function<void()>& work, const std::function<void()>& expect) {
    long step = 1;
    while (dies_at(step, work)) {
      expect();
      if (HasFatalFailure() || HasNonfatalFailure()) {
        ADD_FAILURE() << "killed at step " << step;
        return step;
      }
      ++step;
    }
    expect();
    return step - 1;
  }

  shared memory_{{.name = "tested", .bytes = 4 * mebibyte, .checks = resource_checks::off}};
  std::vector<unsigned char*> mine_;
};

TEST_F(SharedDeath, InASmallAllocation) {
  const long steps = for_each_step([&] { static_cast<void>(memory_.allocate(64)); }, [&] { expect_whole(0, 64); });
  EXPECT_GT(steps, 10);
}

TEST_F(SharedDeath, InAnAllocationOfSeveralChunks) {
  const long steps = for_each_step([&] { static_cast<void>(memory_.allocate(mebibyte)); },
                                   [&] {
                                     expect_whole(0, mebibyte);
                                     memory_.trim();
                                   });
  EXPECT_GT(steps, 8);
}

TEST_F(SharedDeath, InARelease) {
  for_each_step(
      [&] {
        const long steps = steps_left;
        steps_left = 0;
        void* const block = memory_.allocate(64);
        steps_left = steps;
        memory_.deallocate(block, 64);
      },
      [&] { expect_whole(0, 64); });
}

TEST_F(SharedDeath, InHandingOver) {
  for_each_step(
      [&] {
        const long steps = steps_left;
        steps_left = 0;
        void* const block = memory_.allocate(4096);
        steps_left = steps;
        memory_.keep(block);
        memory_.take_over(block);
      },
      [&] {
        const std::uint64_t kept = memory_.segment().kept_bytes;
        EXPECT_EQ(kept % 4096, 0u);
        expect_whole(0, 4096);
      });
  // Some died when the block was the segment's: those are left, and whole.
  const shared_statistics left = memory_.segment();
  EXPECT_EQ(left.kept_bytes, left.kept_blocks * 4096);
  EXPECT_GT(left.kept_blocks, 0u);
}

TEST_F(SharedDeath, InReclaimingTheDead) {
  for_each_step(
      [&] {
        const long steps = steps_left;
        steps_left = 0;
        if (::fork() == 0) {
          for (int i = 0; i < 5; ++i) static_cast<void>(memory_.allocate(1000));
          ::_exit(0);
        }
        ::wait(nullptr);
        steps_left = steps;
        memory_.reclaim_dead();
      },
      [&] { expect_whole(0, 5 * 1024); });
}

// The first dies in the middle of a release, the second where it mends what the first has left.
TEST_F(SharedDeath, InMending) {
  long steps = 0;
  do {
    ++steps;
    ASSERT_TRUE(dies_at(2, [&] {
      const long left = steps_left;
      steps_left = 0;
      void* const block = memory_.allocate(64);
      steps_left = left;
      memory_.deallocate(block, 64);
    }));
  } while (dies_at(steps, [&] { static_cast<void>(memory_.allocate(64)); }) && !HasFatalFailure());
  EXPECT_GT(steps, 16);
  EXPECT_GT(memory_.segment().recoveries, 0u);
  expect_whole(0, 128 * 64);
}

}  // namespace
}  // namespace tenure
