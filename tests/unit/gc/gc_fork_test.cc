// A forked child has a heap that works: no cycle under way, no lock held, the other threads' locals gone.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <tenure/gc.hpp>

using namespace tenure;

namespace {

struct item {
  gc::member<item> next;
};

TEST(fork, the_child_goes_on_with_its_roots) {
  gc::heap heap({.name = "forked", .verify = true});
  gc::root<item> kept(heap.make<item>());
  kept->next = heap.make<item>();
  std::atomic<bool> stop{false};
  std::atomic<bool> holds{false};
  std::thread other([&] {
    const gc::local<item> theirs = heap.make<item>();
    holds = true;
    while (!stop) {
      for (int i = 0; i < 100; ++i) heap.make<item>();
      heap.collect();
    }
  });
  while (!holds) std::this_thread::yield();
  for (int round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      heap.collect();
      const bool right = heap.statistics().live_objects == 2 && kept->next != nullptr;
      for (int i = 0; i < 10'000; ++i) heap.make<item>();
      heap.collect();
      ::_exit(right ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  other.join();
}

}  // namespace
