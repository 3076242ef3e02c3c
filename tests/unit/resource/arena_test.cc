// Arenas: marks and destructors against a stack of expectations, what is kept over rounds, merging, sealing, escapes.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <tenure/arena.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/base/sanitizers.h"
#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

// Says when it ends.
struct witness {
  witness(std::vector<int>& order, int called) : log(order), number(called) {}
  ~witness() { log.push_back(number); }
  std::vector<int>& log;
  int number;
};

TEST(Arena, CallsDestructorsNewestFirst) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    std::vector<int> log;
    {
      arena tested({.checks = checks});
      for (int i = 0; i < 5; ++i) tested.create<witness>(log, i);
      *tested.create<int>(3) += 1;
      EXPECT_TRUE(log.empty());
      tested.reset();
      EXPECT_EQ(log, (std::vector<int>{4, 3, 2, 1, 0}));
      tested.create<witness>(log, 9);
    }
    EXPECT_EQ(log.back(), 9);
    EXPECT_EQ(log.size(), 6u);
  }
}

TEST(Arena, GoesBackToItsMarks) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    std::mt19937_64 dice(11);
    std::vector<int> log;
    arena tested({.first_chunk_bytes = 128, .checks = checks});
    struct level {
      arena::mark mark;
      std::uint64_t used_bytes, used_blocks;
      std::size_t made;
    };
    std::vector<level> levels;
    std::vector<int*> numbers;
    int made = 0;
    for (int step = 0; step < 1500; ++step) {
      switch (dice() % 4) {
        case 0: {
          const resource_statistics now = tested.statistics();
          levels.push_back({tested.set_mark(), now.used_bytes, now.used_blocks, numbers.size()});
          break;
        }
        case 1:
          if (!levels.empty()) {
            const std::size_t to = dice() % levels.size();
            const int alive_before = static_cast<int>(numbers.size());
            log.clear();
            tested.rewind(levels[to].mark);
            const resource_statistics now = tested.statistics();
            ASSERT_EQ(now.used_bytes, levels[to].used_bytes);
            ASSERT_EQ(now.used_blocks, levels[to].used_blocks);
            ASSERT_EQ(log.size(), alive_before - levels[to].made);
            ASSERT_TRUE(std::is_sorted(log.rbegin(), log.rend()));
            numbers.resize(levels[to].made);
            levels.resize(to + 1);
            break;
          }
          [[fallthrough]];
        default:
          numbers.push_back(&tested.create<witness>(log, made)->number);
          static_cast<void>(tested.allocate(dice() % 300, 1));
          ++made;
      }
      // What is still there is untouched.
      int last = -1;
      for (const int* one : numbers) {
        ASSERT_GT(*one, last);
        last = *one;
      }
      tested.check();
    }
  }
}

TEST(Arena, RefusesMarksThatAreNotItsOwn) {
  arena first, second;
  static_cast<void>(first.allocate(10));
  const arena::mark mark = first.set_mark();
  EXPECT_THROW(second.rewind(mark), std::invalid_argument);
  first.reset();
  EXPECT_THROW(first.rewind(mark), std::invalid_argument);
  static_cast<void>(first.allocate(10));
  const arena::mark early = first.set_mark();
  static_cast<void>(first.allocate(10));
  const arena::mark late = first.set_mark();
  first.rewind(early);
  EXPECT_THROW(first.rewind(late), std::invalid_argument);
}

TEST(Arena, ScopesNest) {
  arena tested({.checks = resource_checks::off});
  {
    arena::scope outer(tested);
    static_cast<void>(tested.allocate(100'000));
    {
      arena::scope inner(tested);
      static_cast<void>(tested.allocate(5'000'000));
    }
    EXPECT_EQ(tested.statistics().used_bytes, 100'000u);
    tested.trim();
  }
  EXPECT_EQ(tested.statistics().used_bytes, 0u);
  EXPECT_GE(tested.trim(), 100'000u);
  EXPECT_EQ(tested.statistics().held_bytes, 0u);
}

TEST(Arena, AllocatesNothingOnceItIsWarmAndForgetsALargeRound) {
  counting_upstream upstream;
  arena tested({.checks = resource_checks::off, .upstream = &upstream});
  const auto round = [&](std::size_t bytes) {
    for (std::size_t left = bytes; left > 0; left -= 100) static_cast<void>(tested.allocate(100, 1));
    tested.reset();
  };
  round(300'000);
  round(300'000);
  const std::size_t warm = upstream.allocations();
  for (int i = 0; i < 20; ++i) round(300'000);
  EXPECT_EQ(upstream.allocations(), warm);
  round(8'000'000);
  EXPECT_GE(tested.kept_bytes(), 8'000'000u);
  for (int i = 0; i < 60; ++i) round(300'000);
  EXPECT_LT(tested.kept_bytes(), 2'000'000u);
  EXPECT_GE(tested.kept_bytes(), 300'000u);
  tested.check();
}

TEST(Arena, KeepsNoMoreThanItMay) {
  counting_upstream upstream;
  arena tested({.keep_bytes = 10'000, .checks = resource_checks::off, .upstream = &upstream});
  for (int i = 0; i < 100; ++i) static_cast<void>(tested.allocate(10'000));
  tested.reset();
  EXPECT_LE(upstream.live_bytes(), 10'000u);
  EXPECT_EQ(tested.statistics().held_bytes, upstream.live_bytes());
}

TEST(Arena, TakesOverAnotherWithoutMovingIt) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    std::vector<int> log;
    arena into({.first_chunk_bytes = 256, .checks = checks});
    auto from = std::make_unique<arena>(arena_options{.first_chunk_bytes = 256, .checks = checks});
    std::vector<witness*> all;
    for (int i = 0; i < 100; ++i) all.push_back(into.create<witness>(log, i));
    for (int i = 100; i < 200; ++i) all.push_back(from->create<witness>(log, i));
    const std::uint64_t sum = into.statistics().used_bytes + from->statistics().used_bytes;
    into.merge(*from);
    EXPECT_EQ(from->statistics().used_bytes, 0u);
    EXPECT_EQ(from->statistics().held_bytes, 0u);
    EXPECT_EQ(into.statistics().used_bytes, sum);
    into.check();
    from->check();
    static_cast<void>(from->allocate(40));
    from.reset();
    EXPECT_TRUE(log.empty());
    for (int i = 200; i < 300; ++i) all.push_back(into.create<witness>(log, i));
    for (int i = 0; i < 300; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)]->number, i);
    into.check();
    into.reset();
    EXPECT_EQ(log.size(), 300u);
    std::sort(log.begin(), log.end());
    EXPECT_EQ(log.front(), 0);
    EXPECT_EQ(log.back(), 299);
  }
  counting_upstream upstream;
  arena first({.checks = resource_checks::off}), second({.checks = resource_checks::off, .upstream = &upstream});
  EXPECT_THROW(first.merge(second), std::invalid_argument);
  arena empty({.checks = resource_checks::off}), full({.checks = resource_checks::off});
  static_cast<void>(full.allocate(1000));
  empty.merge(full);
  EXPECT_EQ(empty.statistics().used_bytes, 1000u);
  empty.check();
}

TEST(Arena, LeavesNothingBehindOfAConstructorThatThrows) {
  struct thrower {
    thrower() { throw std::runtime_error("no"); }
    ~thrower() { ADD_FAILURE(); }
  };
  arena tested;
  EXPECT_THROW(tested.create<thrower>(), std::runtime_error);
  tested.reset();
}

[[gnu::noinline]] int* allocate_early(arena& tested) { return tested.create<int>(7); }

#if !defined(TENURE_ADDRESS_SANITIZER) && !defined(TENURE_THREAD_SANITIZER)
[[gnu::noinline]] void reset_here(arena& tested) { tested.reset(); }

constexpr const char* explanation =
    "use after reset: 0x.*a block of 4 bytes, arena \"request\"(.|\n)*allocated\n(.|\n)*at 0x(.|\n)*reset\n(.|\n)*at "
    "0x(.|\n)*used\n(.|\n)*at 0x";

TEST(Arena, EndsUseAfterResetInAMessageWithBothSites) {
  EXPECT_DEATH(
      {
        arena tested({.name = "request", .checks = resource_checks::on});
        int* volatile stale = allocate_early(tested);
        reset_here(tested);
        for (int i = 0; i < 1000; ++i) static_cast<void>(tested.allocate(100));
        *stale = 1;
      },
      explanation);
}

TEST(Arena, EndsUseOfAnArenaThatIsGoneInAMessage) {
  EXPECT_DEATH(
      {
        int* volatile stale = nullptr;
        {
          arena tested({.name = "request", .checks = resource_checks::on});
          stale = allocate_early(tested);
        }
        [[maybe_unused]] const int volatile read = *stale;
      },
      explanation);
}

TEST(Arena, LeavesOtherFaultsToWhoeverTookThemBefore) {
  EXPECT_DEATH(
      {
        std::signal(SIGSEGV, [](int) { ::_exit(::write(2, "mine\n", 5) == 5 ? 3 : 4); });
        arena tested({.checks = resource_checks::on});
        static_cast<void>(tested.allocate(1));
        int* volatile nowhere = nullptr;
        *nowhere = 1;
      },
      "^mine\n$");
}
#endif

struct holder {
  int* inside = nullptr;
};

TEST(Arena, FindsWhoStillPointsIntoIt) {
  arena tested({.name = "request", .checks = resource_checks::on});
  tenure_heap* heap = tenure_heap_create("others");
  auto* in_heap = static_cast<holder*>(tenure_heap_allocate(heap, sizeof(holder), 8));
  static holder in_place[3];
  int* inside = allocate_early(tested);
  in_heap->inside = inside;
  in_place[1].inside = inside;
  in_place[2].inside = inside + 1;  // behind the last object: not used memory
  const arena::place places[] = {{"globals", in_place, sizeof in_place}};
  const std::vector<arena::escape> found = tested.find_escapes(places);
  int heap_blocks = 0, globals = 0, stack = 0;
  for (const arena::escape& one : found) {
    EXPECT_EQ(one.points_to, inside);
    heap_blocks += one.at == &in_heap->inside && std::string(one.place) == "heap block" ? 1 : 0;
    globals += one.at == &in_place[1].inside && std::string(one.place) == "globals" ? 1 : 0;
    stack += std::string(one.place) == "stack" ? 1 : 0;
  }
  EXPECT_EQ(heap_blocks, 1);
  EXPECT_EQ(globals, 1);
  EXPECT_EQ(found.size(), static_cast<std::size_t>(heap_blocks + globals + stack)) << "the arena's own records";
  ::testing::internal::CaptureStderr();
  EXPECT_GE(tested.report_escapes(places), 2u);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("(globals) points to it: 0x"), std::string::npos) << text;
  EXPECT_NE(text.find("a block of 4 bytes, arena \"request\""), std::string::npos) << text;
  in_heap->inside = in_place[1].inside = nullptr;
  inside = nullptr;
  for (const arena::escape& one : tested.find_escapes(places)) EXPECT_STREQ(one.place, "stack");
  EXPECT_EQ(tested.find_escapes(places, 0).size(), 0u);
  tenure_heap_destroy(heap);
}

// ThreadSanitizer's threads are not stopped, and AddressSanitizer's variables lie on no stack.
#if !defined(TENURE_ADDRESS_SANITIZER) && !defined(TENURE_THREAD_SANITIZER)
// Keeps the address on its stack while somebody looks; or only what it was hidden as.
[[gnu::noinline]] void hold_on_stack(std::uintptr_t hidden, bool is_shown, std::atomic<int>& step) {
  volatile std::uintptr_t on_stack = hidden;
  if (is_shown) on_stack = ~hidden;
  step = 1;
  while (step != 2) std::this_thread::yield();
  static_cast<void>(on_stack);
}

// The other thread is told the address inverted, so that nobody but its one word has it.
TEST(Arena, FindsWhoPointsIntoItFromAnotherThread) {
  for (const bool is_shown : {true, false}) {
    arena tested({.name = "request", .checks = resource_checks::on});
    const std::uintptr_t hidden = ~reinterpret_cast<std::uintptr_t>(allocate_early(tested));
    std::atomic<int> step = 0;
    std::atomic<unsigned> id = 0;
    std::thread other([&, hidden] {
      id = static_cast<unsigned>(::syscall(SYS_gettid));
      hold_on_stack(hidden, is_shown, step);
    });
    while (step != 1) std::this_thread::yield();
    std::size_t there = 0;
    for (const arena::escape& one : tested.find_escapes()) there += one.thread == id ? 1 : 0;
    EXPECT_EQ(there != 0, is_shown);
    ::testing::internal::CaptureStderr();
    tested.report_escapes();
    const std::string text = ::testing::internal::GetCapturedStderr();
    const std::string told = "(stack of thread " + std::to_string(id) + ") points to it: 0x";
    EXPECT_EQ(text.find(told) != std::string::npos, is_shown) << text;
    step = 2;
    other.join();
  }
}
struct coroutine {
  std::uintptr_t hidden;
  std::atomic<int>& step;
  ucontext_t own{}, caller{};
  static inline coroutine* running = nullptr;
  static void run() { hold_on_stack(running->hidden, true, running->step); }
};

// A stack that the program has made within other memory: what lies far above it is no stack.
TEST(Arena, TakesNoOtherMemoryForTheStackOfACoroutine) {
  constexpr std::size_t stack_bytes = 256 << 10, mapped_bytes = 4 << 20;
  arena tested({.name = "request", .checks = resource_checks::on});
  const std::uintptr_t hidden = ~reinterpret_cast<std::uintptr_t>(allocate_early(tested));
  void* const mapped = ::mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* const far = reinterpret_cast<volatile std::uintptr_t*>(static_cast<char*>(mapped) + (3 << 20));
  *far = ~hidden;
  std::atomic<int> step = 0;
  std::thread other([&, hidden] {
    coroutine one{hidden, step};
    coroutine::running = &one;
    ::getcontext(&one.own);
    one.own.uc_stack.ss_sp = mapped;
    one.own.uc_stack.ss_size = stack_bytes;
    one.own.uc_link = &one.caller;
    ::makecontext(&one.own, coroutine::run, 0);
    ::swapcontext(&one.caller, &one.own);
  });
  while (step != 1) std::this_thread::yield();
  std::size_t on_stack = 0, beyond = 0;
  for (const arena::escape& one : tested.find_escapes()) {
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(one.at) - reinterpret_cast<std::uintptr_t>(mapped);
    on_stack += offset < stack_bytes ? 1 : 0;
    beyond += offset >= stack_bytes && offset < mapped_bytes ? 1 : 0;
  }
  EXPECT_GE(on_stack, 1u);
  EXPECT_EQ(beyond, 0u);
  step = 2;
  other.join();
  ::munmap(mapped, mapped_bytes);
}
#endif

}  // namespace
}  // namespace tenure
