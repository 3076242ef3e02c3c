#include "core/os/stopped_threads.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include "core/base/sanitizers.h"
#include "core/os/bare_thread.h"
#include "core/os/clock.h"
#include "core/os/machine.h"
#include "core/os/own_memory.h"
#include "core/os/signal_mask.h"
#include "core/os/virtual_memory.h"

namespace tenure::os {
namespace {

constexpr std::uint64_t patience_ns = 20'000'000'000;

// Threads that count, that sleep and that block every signal that can be blocked.
class some_threads {
 public:
  explicit some_threads(int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] {
        sigset_t all;
        sigfillset(&all);
        if (i % 3 == 1) pthread_sigmask(SIG_SETMASK, &all, nullptr);
        ++started_;
        while (!is_over_) {
          if (i % 3 == 0) ::usleep(1000);
          ++counted_;
        }
      });
    }
    while (started_ != count) std::this_thread::yield();
  }
  ~some_threads() {
    is_over_ = true;
    for (std::thread& one : threads_) one.join();
  }
  std::uint64_t counted() const { return counted_; }

 private:
  std::atomic<int> started_ = 0;
  std::atomic<bool> is_over_ = false;
  std::atomic<std::uint64_t> counted_ = 0;
  std::vector<std::thread> threads_;
};

// ThreadSanitizer keeps books in each thread before the thread can answer; leaks are not sought under it.
class StoppedThreads : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(TENURE_THREAD_SANITIZER)
    GTEST_SKIP() << "not under ThreadSanitizer";
#endif
  }
};

TEST_F(StoppedThreads, StandStillAndRunOn) {
  some_threads threads(12);
  for (int round = 0; round < 10; ++round) {
    const stop_outcome outcome = stop_other_threads(patience_ns);
    // Nothing may be allocated while they stand still: one of them may hold the lock.
    const std::uint64_t before = threads.counted();
    ::usleep(2000);
    const std::uint64_t after = threads.counted();
    const std::size_t count = stopped_thread_count();
    std::size_t with_stack = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const stopped_thread& one = stopped_thread_at(i);
      if (one.stack_pointer != 0 && one.saved_begin < one.saved_end && one.thread_pointer != 0) ++with_stack;
    }
    let_threads_go();
    EXPECT_TRUE(outcome.is_listed);
    EXPECT_EQ(outcome.unstopped, 0u);
    EXPECT_GE(count, 12u);  // a sanitizer may have one of its own
    EXPECT_EQ(with_stack, count);
    EXPECT_EQ(before, after);
    while (threads.counted() == after) std::this_thread::yield();
  }
}

TEST_F(StoppedThreads, WhoeverComesAndGoesMeanwhileIsCaughtToo) {
  std::atomic<bool> is_over = false;
  std::thread maker([&] {
    while (!is_over) std::thread([] { std::thread([] {}).join(); }).join();
  });
  for (int round = 0; round < 50; ++round) {
    const stop_outcome outcome = stop_other_threads(patience_ns);
    let_threads_go();
    EXPECT_TRUE(outcome.is_listed);
    EXPECT_EQ(outcome.unstopped, 0u);
  }
  is_over = true;
  maker.join();
}

TEST_F(StoppedThreads, TheLibrarysOwnUseOfTheSignalGoesOn) {
  some_threads threads(6);
  std::atomic<bool> is_over = false;
  // Carried out in each thread by the signal that we borrow.
  std::thread caller([&] {
    while (!is_over) EXPECT_EQ(::setgid(::getgid()), 0);
  });
  for (int round = 0; round < 50; ++round) {
    stop_other_threads(patience_ns);
    let_threads_go();
  }
  is_over = true;
  caller.join();
}

// The signal's handler, as somebody else has set it: the C library, when the program's first thread starts.
constexpr int stop_signal = 33;
struct kernel_action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
void other_handler(int) {}
constexpr kernel_action others{other_handler, 0x04000000 | SA_RESTART, return_from_handler, 0};

void (*set_handler(const kernel_action* action))(int) {
  kernel_action old{};
  ::syscall(SYS_rt_sigaction, stop_signal, action, &old, sizeof old.mask);
  return old.handler;
}
void (*handler_now())(int) { return set_handler(nullptr); }

// A thread that does not hear the signal until it is told to.
class deaf_thread {
 public:
  deaf_thread() : thread_([this] { run(); }) {
    while (!is_deaf_) std::this_thread::yield();
  }
  ~deaf_thread() {
    listen();
    is_over_ = true;
    thread_.join();
  }
  void let_hear() { may_hear_ = true; }
  void listen() {
    let_hear();
    while (is_deaf_) std::this_thread::yield();
  }

 private:
  void run() {
    const std::uint64_t before = set_signal_mask(all_signals);
    is_deaf_ = true;
    while (!may_hear_) std::this_thread::yield();
    set_signal_mask(before);
    is_deaf_ = false;
    while (!is_over_) std::this_thread::yield();
  }
  std::atomic<bool> is_deaf_ = false, may_hear_ = false, is_over_ = false;
  std::thread thread_;
};

// Puts the C library's handler back, whatever a test has set.
class HandlerOfOthers : public StoppedThreads {
 protected:
  void SetUp() override {
    StoppedThreads::SetUp();
    std::thread([] {}).join();
    kernel_action none{};
    ::syscall(SYS_rt_sigaction, stop_signal, nullptr, &librarys_, sizeof none.mask);
  }
  void TearDown() override {
    if (librarys_.handler != nullptr) set_handler(&librarys_);
  }
  kernel_action librarys_{};
};

TEST_F(HandlerOfOthers, IsBackBeforeAnybodyRunsOn) {
  std::atomic<bool> is_stopped = false, is_over = false;
  std::atomic<int> seen = 0, wrong = 0;
  std::thread looking([&] {
    while (!is_over) {
      if (!is_stopped.exchange(false)) continue;
      wrong += handler_now() != librarys_.handler;
      ++seen;
    }
  });
  for (int round = 1; round <= 50; ++round) {
    EXPECT_EQ(stop_other_threads(patience_ns).unstopped, 0u);
    is_stopped = true;
    let_threads_go();
    while (seen < round) std::this_thread::yield();
  }
  is_over = true;
  looking.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(HandlerOfOthers, ThatIsSetWhileOursIsLeftInPlaceIsKept) {
  deaf_thread deaf;
  EXPECT_EQ(stop_other_threads(1'000'000).unstopped, 1u);
  let_threads_go();
  EXPECT_NE(handler_now(), librarys_.handler);
  set_handler(&others);
  deaf.listen();
  EXPECT_EQ(stop_other_threads(patience_ns).unstopped, 0u);
  let_threads_go();
  EXPECT_EQ(handler_now(), other_handler);
}

TEST_F(HandlerOfOthers, ThatIsSetWhileThreadsAreAskedKeepsNobodyRunning) {
  deaf_thread deaf;
  std::atomic<bool> is_deaf = false, is_over = false;
  std::thread setting([&] {
    const std::uint64_t before = set_signal_mask(all_signals);
    is_deaf = true;
    while (handler_now() == librarys_.handler) std::this_thread::yield();
    set_handler(&others);
    deaf.let_hear();  // and no waiting for it: it may be stopped as soon as it hears
    set_signal_mask(before);
    while (!is_over) std::this_thread::yield();
  });
  while (!is_deaf) std::this_thread::yield();
  EXPECT_EQ(stop_other_threads(patience_ns).unstopped, 0u);
  let_threads_go();
  EXPECT_EQ(handler_now(), other_handler);
  is_over = true;
  setting.join();
}

TEST_F(StoppedThreads, OneThatCannotBeAskedIsNotGone) {
  some_threads threads(3);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_SIGPENDING, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_SIGPENDING, &none), 0);
  const stop_outcome outcome = stop_other_threads(1'000'000);
  const std::size_t count = stopped_thread_count();
  let_threads_go();
  ::setrlimit(RLIMIT_SIGPENDING, &before);
  EXPECT_TRUE(outcome.is_listed);
  EXPECT_EQ(outcome.unstopped, count);
  EXPECT_GE(count, 3u);
  EXPECT_EQ(stop_other_threads(patience_ns).unstopped, 0u);
  let_threads_go();
}

thread_local int used_local = 0;
std::atomic<int> ended_bare_threads = 0;

TEST_F(StoppedThreads, ABareThreadThatEndsIsNotDisturbed) {
  std::atomic<bool> is_over = false;
  std::thread stopping([&] {
    while (!is_over) {
      EXPECT_EQ(stop_other_threads(patience_ns).unstopped, 0u);
      let_threads_go();
    }
  });
  for (int round = 1; round <= 100; ++round) {
    ASSERT_TRUE(start_bare_thread([] { ++ended_bare_threads; }, 64 * 1024, &used_local));
    while (ended_bare_threads < round) std::this_thread::yield();
  }
  is_over = true;
  stopping.join();
}

std::atomic<std::uint64_t>* handled_in_copy = nullptr;

TEST(CopiedProcess, RunsNoHandlerOfTheProgram) {
  auto* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  handled_in_copy = new (shared) std::atomic<std::uint64_t>(0);
  struct sigaction counting {};
  struct sigaction before {};
  counting.sa_handler = [](int) { ++*handled_in_copy; };
  ASSERT_EQ(::sigaction(SIGUSR1, &counting, &before), 0);
  const std::uint64_t mask = set_signal_mask(0);
  const long child = copy_process();
  if (child == 0) {
    ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGUSR1);
    ::syscall(SYS_exit_group, 0);
  }
  EXPECT_EQ(set_signal_mask(mask), 0u);
  EXPECT_TRUE(wait_for_copy(child));
  EXPECT_EQ(*handled_in_copy, 0u);
  ::sigaction(SIGUSR1, &before, nullptr);
  ::munmap(shared, 4096);
}

TEST(CopiedProcess, HasTheMemoryOfThatMomentAndIsNobodysChild) {
  static std::uint64_t value = 1;
  auto* shared =
      static_cast<std::uint64_t*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(shared, MAP_FAILED);
  value = 2;
  const long child = copy_process();
  if (child == 0) {
    while (__atomic_load_n(shared, __ATOMIC_ACQUIRE) == 0) ::syscall(SYS_sched_yield);
    shared[1] = value;
    ::syscall(SYS_exit_group, 0);
  }
  ASSERT_GT(child, 0);
  value = 3;
  // A program that waits for its children does not meet it.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  __atomic_store_n(shared, 1, __ATOMIC_RELEASE);
  EXPECT_TRUE(wait_for_copy(child));
  EXPECT_EQ(shared[1], 2u);
  EXPECT_FALSE(wait_for_copy(child));
  ::munmap(shared, 4096);
}

bool is_own(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::size_t i = 0; i < own_range_count(); ++i) {
    const memory_range one = own_range_at(i);
    if (wanted >= one.begin && wanted < one.end) return true;
  }
  return false;
}

TEST(OwnMemory, IsWhatWasMappedForOurselves) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 200; ++round) {
        auto* const memory = static_cast<char*>(map_anywhere(8192));
        EXPECT_TRUE(is_own(memory) && is_own(memory + 8191));
        unmap(memory, 8192);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  int local = 0;
  EXPECT_FALSE(is_own(&local));
  auto* const memory = static_cast<char*>(map_anywhere(4096));
  disown_memory(memory);
  EXPECT_FALSE(is_own(memory));
  disown_memory(memory);  // once more does nothing
  unmap(memory, 4096);
}

}  // namespace
}  // namespace tenure::os
