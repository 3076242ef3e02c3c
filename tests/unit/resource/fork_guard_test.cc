// Locks that are one for the process, and a fork() while another thread holds them: the child finds them free, and what
// they guard whole.
#include <gtest/gtest.h>
#include <pthread.h>
#include <tenure/buddy.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/object_pool.hpp>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/heap/fork.h"
#include "library/resource/fork_guard.h"
#include "support/in_child.h"

namespace tenure {
namespace {

using testing::in_child;

// As in libtenure.so, where the core's constructor does it before anything else.
const bool has_core_handlers =
    ::pthread_atfork(core::before_fork, core::after_fork_in_parent, core::after_fork_in_child) == 0;

// A child that waits for a lock is killed.
constexpr unsigned patience_seconds = 60;

#if defined(__SANITIZE_THREAD__)
constexpr int forks = 10;  // a fork is slow there
#elif defined(__SANITIZE_ADDRESS__)
constexpr int forks = 0;  // its allocator's locks are held in the child of gcc 12
#else
constexpr int forks = 60;
#endif

TEST(ForkGuard, HasTheCoresHandlers) { ASSERT_TRUE(has_core_handlers); }

resources::process_lock* probed = nullptr;
bool was_probed_held = false;
void probe() {
  if (probed == nullptr) return;
  was_probed_held = !probed->try_lock();
  if (!was_probed_held) probed->unlock();
}

// Before any other test makes such a lock: handlers that are registered before the first use are called behind ours,
// though ours are there since the program was loaded.
TEST(ForkGuard, TakesItsLocksBeforeTheHandlersOfAHeapThatWasLoadedLater) {
  ASSERT_EQ(::pthread_atfork(probe, nullptr, nullptr), 0);
  probed = new resources::process_lock;
  EXPECT_EQ(in_child([] { return probed->try_lock() ? 0 : 1; }), 0);
  EXPECT_TRUE(was_probed_held);
  EXPECT_TRUE(probed->try_lock());
  probed->unlock();
  probed = nullptr;
}

TEST(ForkGuard, AForkWaitsForWhoeverHoldsTheLock) {
  static auto* const lock = new resources::process_lock;
  static int guarded = 0;
  std::atomic<bool> is_held = false;
  std::thread holder([&] {
    const std::lock_guard held(*lock);
    guarded = 1;
    is_held = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    guarded = 0;
  });
  while (!is_held) std::this_thread::yield();
  EXPECT_EQ(in_child([] {
              ::alarm(patience_seconds);
              const std::lock_guard held(*lock);
              return guarded;
            }),
            0);
  holder.join();
  EXPECT_TRUE(lock->try_lock()) << "the parent has it back as well";
  lock->unlock();
}

struct slow_to_make {
  static inline std::atomic<bool> is_begun = false;
  int made_whole = 0;
  slow_to_make() {
    is_begun = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    made_whole = 1;
  }
};

TEST(ForkGuard, AForkWaitsForWhatIsBeingMade) {
  static constinit std::atomic<slow_to_make*> made = nullptr;
  std::thread maker([] { resources::the_only(made); });
  while (!slow_to_make::is_begun) std::this_thread::yield();
  EXPECT_EQ(in_child([] {
              ::alarm(patience_seconds);
              return made.load() != nullptr && resources::the_only(made).made_whole == 1 ? 0 : 1;
            }),
            0);
  maker.join();
  EXPECT_EQ(resources::the_only(made).made_whole, 1);
}

// Forks again and again while another thread does what the child does afterwards.
template <class Function>
void fork_during(Function work) {
  std::atomic<bool> ends = false;
  std::thread busy([&] {
    while (!ends) work();
  });
  int failed = 0;
  for (int i = 0; i < forks && failed == 0; ++i) {
    failed = in_child([&] {
      ::alarm(patience_seconds);
      for (int again = 0; again < 3; ++again) work();
      return 0;
    });
  }
  ends = true;
  busy.join();
  EXPECT_EQ(failed, 0);
}

TEST(ForkGuard, ResourcesWithChecksComeAndGoInTheChild) {
  fork_during([] {
    buddy blocks({.bytes = 1 << 16, .checks = resource_checks::on});
    blocks.deallocate(blocks.allocate(100), 100);
    fixed_pool nodes({.block_bytes = 32, .checks = resource_checks::on});
    nodes.deallocate(nodes.allocate(32));
  });
}

TEST(ForkGuard, ObjectPoolsComeAndGoInTheChild) {
  fork_during([] {
    object_pool<int> numbers;
    numbers.destroy(numbers.make(1));
  });
}

}  // namespace
}  // namespace tenure
