// A forked child has a heap that works: no cycle under way, no lock held, the other threads' locals gone.
#include <gtest/gtest.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <tenure/gc.hpp>

#include "support/rounds.h"

using namespace tenure;

namespace gc_fork_tests {
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
  for (int round = 0; round < test::rounds(10); ++round) {
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

// Another thread goes from hole to hole when the process forks: in the child what it held is free, and nothing else.
TEST(fork, in_the_child_cells_that_others_held_are_free) {
  gc::heap heap({.name = "held", .verify = true});
  constexpr std::size_t count = 2000;
  const gc::root<gc::array<gc::member<item>>> kept(heap.make_array<gc::member<item>>(count));
  for (std::size_t i = 0; i < 2 * count; ++i) {
    const gc::local<item> made = heap.make<item>();
    if (i % 2 == 0) (*kept)[i / 2] = made;
  }
  heap.collect();
  std::atomic<bool> stop{false};
  std::atomic<int> made{0};
  std::thread other([&] {
    while (!stop) {
      heap.make<item>();
      ++made;
    }
  });
  for (int round = 0; round < test::rounds(20); ++round) {
    const int before = made;
    while (made == before) std::this_thread::yield();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(60);
      heap.check();
      heap.collect();
      heap.check();
      ::_exit(heap.statistics().live_objects == count + 1 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  other.join();
}

struct held_up {
  ~held_up() {
    if (begun != nullptr) *begun = true;
    if (go != nullptr) go->wait(false);
    if (ended != nullptr) ended->fetch_add(1);
  }
  TENURE_GC_MEMBERS(held_up, begun, go, ended);
  std::atomic<bool>* begun = nullptr;
  std::atomic<bool>* go = nullptr;
  std::atomic<int>* ended = nullptr;
};

// One destructor runs when the process forks and one is queued behind it: in the child the first has no thread any
// more, the second runs.
TEST(fork, the_child_runs_what_was_queued) {
  gc::heap heap({.name = "queued", .plan = gc::plan::mark_sweep});
  std::atomic<bool> begun{false};
  std::atomic<bool> go{false};
  std::atomic<int> ended{0};
  {
    const gc::local<held_up> first = heap.make<held_up>();
    first->begun = &begun;
    first->go = &go;
  }
  heap.collect();
  while (!begun) std::this_thread::yield();
  heap.make<held_up>()->ended = &ended;
  heap.collect();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);
    heap.wait_for_destructors();
    ::_exit(ended == 1 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ended, 0);
  go = true;
  go.notify_all();
  heap.wait_for_destructors();
  EXPECT_EQ(ended, 1);
}

std::atomic<int> ends_in_child{0};
struct forks {
  std::atomic<pid_t>* child;
  ~forks() {
    const pid_t made = ::fork();
    if (made != 0) {
      *child = made;
      child->notify_all();
      return;
    }
    // The thread goes on with what is queued and waits for more; a second later all is well.
    ends_in_child = 1;
    ::signal(SIGALRM, [](int) { ::_exit(ends_in_child == 2 ? 7 : 1); });
    sigset_t alarm_alone;
    ::sigemptyset(&alarm_alone);
    ::sigaddset(&alarm_alone, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm_alone, nullptr);
    ::alarm(1);
  }
};
struct counts_in_child {
  ~counts_in_child() {
    if (ends_in_child != 0) ++ends_in_child;
  }
};

// In the child a destructor that has forked returns, the next one runs, and both objects are freed.
TEST(fork, a_destructor_may_fork) {
  gc::heap heap({.name = "forking", .plan = gc::plan::mark_sweep});
  std::atomic<pid_t> child{0};
  {
    const gc::local<forks> first = heap.make<forks>();
    const gc::local<counts_in_child> second = heap.make<counts_in_child>();
    first->child = &child;
  }
  heap.collect();
  child.wait(0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child.load());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

// Heaps come, are used and go while the process forks.
TEST(fork, heaps_come_and_go_meanwhile) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) {
      gc::heap heap({.name = "short"});
      for (int i = 0; i < 100; ++i) heap.make<item>();
    }
  });
  for (int round = 0; round < test::rounds(50); ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(60);
      gc::heap heap({.name = "child's"});
      heap.make<item>();
      heap.collect();
      ::_exit(heap.statistics().live_objects == 0 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  other.join();
}

}  // namespace
}  // namespace gc_fork_tests
