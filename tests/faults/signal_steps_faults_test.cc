// A signal handler after each single instruction of what the heap does with a large block. With its trap flag the
// processor ends each instruction in a SIGTRAP, whose handler counts, and at the chosen ones does what a handler of the
// program does. Where two come in one operation, the first finds a section of the heap under way and leaves work for
// its end, and the second comes while that is done. Without samples, which are some ten thousand instructions each.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;

constexpr std::size_t handled_bytes = 100'000;
constexpr std::size_t checked_bytes = 256;
constexpr int signals = 2;

constexpr long trap_flag = 0x100;

volatile long step = 0;
volatile long last_step = 0;
volatile long fire_at[signals] = {};
void* volatile to_free[signals] = {};      // blocks that the handler frees
void* volatile from_signal[signals] = {};  // and those that it gets

void work_in_handler(int turn) {
  void* const old = to_free[turn];
  if (!has_pattern(old, checked_bytes, 7)) std::abort();
  to_free[turn] = nullptr;
  std::free(old);
  void* const block = std::malloc(handled_bytes);  // null once all emergency blocks have been used
  if (block != nullptr) fill_pattern(block, checked_bytes, 8);
  from_signal[turn] = block;
}

// Stepping goes on where the interrupted code goes on, unless nothing more is to come.
void on_step(int, siginfo_t*, void* context) {
  step = step + 1;
  for (int turn = 0; turn < signals; ++turn) {
    if (step == fire_at[turn]) work_in_handler(turn);
  }
  if (step == last_step) static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
}

// What is pushed must not lie in the caller's red zone.
void begin_steps() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}
void end_steps() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}

struct operation {
  const char* name;
  std::size_t bytes;        // of the block before; 0: none
  std::size_t bytes_after;  // 0: it is freed
  long stride;              // from one instruction that is tried to the next; prime to the length of loops
};
// A step takes 40 us.
constexpr operation operations[] = {
    {"malloc", 0, 300'000, 5}, {"free", 300'000, 0, 1}, {"realloc in place", 400'000, 300'000, 5}};
constexpr operation freed = operations[1];

void* perform(const operation& what, void* block) {
  if (what.bytes == 0) return std::malloc(what.bytes_after);
  if (what.bytes_after == 0) return std::free(block), nullptr;
  return std::realloc(block, what.bytes_after);
}

// One operation with a signal after two of its instructions, 0 for none. How many there were, up to the last signal;
// 0 when something broke.
long pass(const operation& what, long first, long second) {
  void* const neighbour = std::malloc(200'000);
  void* const before = what.bytes == 0 ? nullptr : std::malloc(what.bytes);
  void* const behind = std::malloc(200'000);
  fill_pattern(neighbour, checked_bytes, 5);
  fill_pattern(behind, checked_bytes, 6);
  if (before != nullptr) fill_pattern(before, checked_bytes, 9);
  for (int turn = 0; turn < signals; ++turn) {
    to_free[turn] = std::malloc(handled_bytes);
    fill_pattern(to_free[turn], checked_bytes, 7);
    from_signal[turn] = nullptr;
  }
  step = 0;
  fire_at[0] = first;
  fire_at[1] = second;
  last_step = second;
  begin_steps();
  void* const after = perform(what, before);
  end_steps();
  const long taken = step;
  bool whole = has_pattern(neighbour, checked_bytes, 5) && has_pattern(behind, checked_bytes, 6);
  if (what.bytes_after != 0 && after == nullptr) whole = false;
  if (after != nullptr && before != nullptr) whole = whole && has_pattern(after, checked_bytes, 9);
  if (after != nullptr) fill_pattern(after, what.bytes_after, 10);
  for (int turn = 0; turn < signals; ++turn) {
    if (from_signal[turn] != nullptr) whole = whole && has_pattern(from_signal[turn], checked_bytes, 8);
  }
  whole = whole && has_pattern(neighbour, checked_bytes, 5) && has_pattern(behind, checked_bytes, 6);
  for (int turn = 0; turn < signals; ++turn) {
    std::free(from_signal[turn]);
    std::free(to_free[turn]);  // where the signal did not come
  }
  std::free(after);
  std::free(behind);
  std::free(neighbour);
  return whole ? taken : 0;
}

// The second signal after the instructions behind the first one's, for as long as there is one.
int signal_everywhere_after(const operation& what, long first) {
  if (pass(what, 0, 0) < 100 + first) return 3;  // nothing was stepped through
  for (long second = first + 1;; second += what.stride) {
    const long taken = pass(what, first, second);
    if (taken == 0) return 2;
    if (taken < second) return 0;
  }
}

// In a child, for what its handlers get in a section of the heap is never handed out again, and there is an end to it.
int in_child(const operation& what, long first) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(280);
    struct sigaction action {};
    action.sa_sigaction = on_step;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, nullptr);
    for (int warm = 0; warm < 4; ++warm) pass(what, 0, 0);
    _exit(signal_everywhere_after(what, first));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(a_handler_that_allocates_large_blocks, may_come_after_any_instruction) {
  for (const operation& what : operations) EXPECT_EQ(in_child(what, 0), 0) << what.name;
}

// What the first leaves for the end of the section is freed then, and the second comes in the middle of it.
TEST(a_handler_that_allocates_large_blocks, may_come_while_the_blocks_of_another_one_are_freed) {
  for (const long first : {200, 300}) EXPECT_EQ(in_child(freed, first), 0) << "first signal at " << first;
}

}  // namespace
