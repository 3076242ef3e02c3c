// Signals that interrupt the heap a thousand times a second.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;

volatile sig_atomic_t signals_seen = 0;

void count_only(int) { signals_seen = signals_seen + 1; }

void start_timer(void (*handler)(int), long interval_us) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  const itimerval every{{0, interval_us}, {0, interval_us}};
  setitimer(ITIMER_PROF, &every, nullptr);
}

void stop_timer() {
  const itimerval never{};
  setitimer(ITIMER_PROF, &never, nullptr);
  signal(SIGPROF, SIG_IGN);
}

// Works until `signals` have come. False when a block's content changed.
bool work_until(int signals, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  struct block {
    void* place;
    std::size_t size;
  };
  std::vector<block> blocks(256, block{nullptr, 0});
  while (signals_seen < signals) {
    for (int count = 0; count < 100; ++count) {
      block& slot = blocks[random() % blocks.size()];
      if (slot.place != nullptr && !has_pattern(slot.place, slot.size, seed)) return false;
      std::free(slot.place);
      slot.size = random() % (random() % 20 == 0 ? 100000 : 1000);
      slot.place = std::malloc(slot.size);
      if (slot.place == nullptr) return false;
      fill_pattern(slot.place, slot.size, seed);
    }
  }
  for (const block& slot : blocks) std::free(slot.place);
  return true;
}

// In a child, because a deadlock must end somewhere: the alarm ends it, and the parent sees the signal.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(300);  // a thousand signals take some seconds, on a busy machine a minute
    _exit(body());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(a_signal_that_interrupts_the_heap, changes_nothing) {
  EXPECT_EQ(in_child([] {
              start_timer(count_only, 1000);
              bool second_fine = false;
              std::thread second([&] { second_fine = work_until(1000, 2); });
              const bool first_fine = work_until(1000, 1);
              second.join();
              stop_timer();
              return first_fine && second_fine ? 0 : 2;
            }),
            0);
}

void* held_by_handler[64] = {};
void allocate_in_handler(int) {
  static unsigned turn = 0;
  const unsigned place = turn++ % 64;
  std::free(held_by_handler[place]);
  held_by_handler[place] = std::malloc(place * 97 % 3000 + 1);
  if (held_by_handler[place] != nullptr) std::memset(held_by_handler[place], 0xee, place * 97 % 3000 + 1);
  signals_seen = signals_seen + 1;
}

// Not allowed by POSIX, and done by every second profiler and crash handler. What is promised is that it does not hang:
// a handler that comes between two instructions of the fast path takes the block that was about to be handed out, here
// as in every other heap, and the program may then fail its own check, end with a message of Tenure's, or fault.
TEST(a_handler_that_allocates, does_not_hang) {
  constexpr int ended_by_alarm = 1000 + SIGALRM;
  const int code = in_child([] {
    start_timer(allocate_in_handler, 1000);
    const bool fine = work_until(2000, 3);
    stop_timer();
    return fine ? 0 : 2;
  });
  EXPECT_NE(code, ended_by_alarm);
  EXPECT_NE(code, -1);
}

// Large blocks have no fast path to be interrupted in: what the handler gets and frees is exact, also where it comes
// while its thread holds the locks that lead to the pages.
constexpr std::size_t handled_bytes = 100'000;
void* large_held[16] = {};
void allocate_large_in_handler(int) {
  static unsigned turn = 0;
  void*& held = large_held[turn++ % 16];
  if (held != nullptr && !has_pattern(held, 4096, 7)) std::abort();
  if (turn % 3 == 0) {
    held = std::realloc(held, handled_bytes * 2);
  } else {
    std::free(held);
    held = std::malloc(handled_bytes);
  }
  if (held == nullptr) std::abort();
  fill_pattern(held, 4096, 7);
  signals_seen = signals_seen + 1;
}

TEST(a_handler_that_allocates_large_blocks, finds_the_heap_whole_everywhere) {
  EXPECT_EQ(in_child([] {
              start_timer(allocate_large_in_handler, 1000);
              std::size_t bytes = 70'000;
              for (std::uint64_t round = 0; signals_seen < 1000; ++round, bytes = 70'000 + round * 7919 % 900'000) {
                void* block = std::malloc(bytes);
                if (block == nullptr) return 3;
                fill_pattern(block, 512, round);
                block = std::realloc(block, bytes + bytes / 2);
                if (block == nullptr || !has_pattern(block, 512, round)) return 2;
                std::free(block);
              }
              stop_timer();
              return 0;
            }),
            0);
}

// By the clock, and so often that it comes into what takes a moment.
void start_quick_timer(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  sigevent to_us{};
  to_us.sigev_notify = SIGEV_SIGNAL;
  to_us.sigev_signo = SIGPROF;
  timer_t timer{};
  const itimerspec every{{0, 50'000}, {0, 50'000}};
  if (timer_create(CLOCK_MONOTONIC, &to_us, &timer) != 0 || timer_settime(timer, 0, &every, nullptr) != 0) std::abort();
}

void take_pages_in_handler(int) {
  std::free(std::malloc(handled_bytes));  // null once all emergency blocks have been used
  signals_seen = signals_seen + 1;
}

// A heap large enough that huge pages are made ready ahead of its small blocks, by the thread that comes to need one.
int grow_and_shrink() {
  start_quick_timer(take_pages_in_handler);
  std::vector<void*> blocks;
  while (signals_seen < 20'000) {
    for (int count = 0; count < 20'000; ++count) {
      blocks.push_back(std::malloc(4000));
      if (blocks.back() == nullptr) return 3;
      fill_pattern(blocks.back(), 16, 5);
    }
    for (void* block : blocks) {
      if (!has_pattern(block, 16, 5)) return 2;
      std::free(block);
    }
    blocks.clear();
  }
  return 0;
}

// In a program of its own: options are read as it starts.
int grow_and_shrink_with(const char* background, const char* decay) {
  return in_child([=] {
    setenv("TENURE_BACKGROUND", background, 1);
    setenv("TENURE_DECAY", decay, 1);
    setenv("TENURE_TEST_GROW", "1", 1);
    return execl("/proc/self/exe", "grow", "--gtest_filter=grow.*", nullptr);
  });
}
TEST(grow, in_a_program_of_its_own) {
  if (std::getenv("TENURE_TEST_GROW") != nullptr) _exit(grow_and_shrink());
}

TEST(a_handler_that_allocates, does_not_meet_the_locks_of_pages_that_are_made_ready) {
  EXPECT_EQ(grow_and_shrink_with("1", "0"), 0);
}
// The same where whoever comes by looks after the pages.
TEST(a_handler_that_allocates, does_not_meet_the_locks_of_pages_that_are_handed_back) {
  EXPECT_EQ(grow_and_shrink_with("0", "1ms"), 0);
}

sigjmp_buf jump_target;
volatile sig_atomic_t may_jump = 0;
void jump_out(int) {
  signals_seen = signals_seen + 1;
  if (may_jump != 0) {
    may_jump = 0;
    siglongjmp(jump_target, 1);
  }
}

// Jumps out of code between heap calls, as interpreters do on an interrupt, with blocks in hand.
TEST(a_handler_that_jumps_out, leaves_the_heap_usable) {
  EXPECT_EQ(in_child([] {
              static void* volatile block = nullptr;
              static volatile std::uint64_t rounds = 0;
              start_timer(jump_out, 1000);
              while (signals_seen < 500) {
                if (sigsetjmp(jump_target, 1) == 0) {
                  block = std::malloc(rounds % 5000);
                  if (block == nullptr) return 3;
                  std::memset(block, 1, rounds % 5000);
                  may_jump = 1;
                  for (int wait = 0; wait < 1000; ++wait) tenure::testing::opaque(wait);
                  may_jump = 0;
                }
                std::free(block);
                block = nullptr;
                rounds = rounds + 1;
              }
              stop_timer();
              return work_until(signals_seen, 4) ? 0 : 2;
            }),
            0);
}

TEST(an_alternate_signal_stack, is_enough_for_a_handler_that_allocates) {
  EXPECT_EQ(in_child([] {
              static char stack_memory[64 * 1024];
              stack_t alternate{};
              alternate.ss_sp = stack_memory;
              alternate.ss_size = sizeof stack_memory;
              if (sigaltstack(&alternate, nullptr) != 0) return 5;
              struct sigaction action {};
              action.sa_handler = allocate_in_handler;
              action.sa_flags = SA_ONSTACK;
              sigaction(SIGUSR1, &action, nullptr);
              for (int count = 0; count < 5000; ++count) raise(SIGUSR1);
              return signals_seen == 5000 ? 0 : 2;
            }),
            0);
}

}  // namespace
