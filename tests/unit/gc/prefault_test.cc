// What is faulted in ahead of a heap, against what the kernel says is resident: how much, that it is told, that it goes
// with the heap and when memory is short, and that processes that fork or exit meanwhile are as they should be. A
// program of its own: no other heap lies in its window.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>
#include <vector>

#include <tenure/tenure.h>
#include <tenure/gc.hpp>

#include "library/gc/heap_state.h"
#include "library/gc/window.h"
#include "support/in_child.h"
#include "support/rounds.h"

using namespace tenure;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t chunk_bytes = 2 * mib;
// Of what is taken a sixteenth, and no more than that.
constexpr std::size_t most_ahead_bytes = 8 * mib;
constexpr std::size_t least_growth_bytes = 4 * mib;

struct page {
  gc::member<page> next;
  std::uint64_t words[120] = {};
};

class list {
 public:
  explicit list(gc::heap& heap) : heap_(heap) {}
  void add(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes / sizeof(page); ++i) add();
  }
  void add() {
    const gc::local<page> made = heap_.make<page>();
    made->words[119] = ++count_;
    made->next = head_.get();
    head_ = made.get();
  }
  bool is_whole() const {
    std::size_t expected = count_;
    for (gc::local<page> at(head_.get()); at; at = at->next) {
      if (at->words[119] != expected--) return false;
    }
    return expected == 0;
  }
  void clear() {
    head_ = nullptr;
    count_ = 0;
  }

 private:
  gc::heap& heap_;
  gc::root<page> head_;
  std::size_t count_ = 0;
};

// What the kernel has given memory for in the window's first GiB: of blocks that are a heap's, and of others.
struct residence {
  std::size_t in_heap = 0;
  std::size_t outside = 0;
};
residence resident_of(gc::heap* heap) {
  gc::window& all = gc::window::get();
  const std::size_t blocks = std::min(all.bytes(), 1024 * mib) / gc::block_bytes;
  std::vector<bool> is_own(blocks);
  if (heap != nullptr) {
    gc::for_each_block(heap->state(), [&](std::size_t block) {
      for (std::size_t i = 0; i < gc::run_of(all.header(block)); ++i) is_own[block + i] = true;
    });
  }
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(blocks * gc::block_bytes / page_bytes);
  EXPECT_EQ(::mincore(all.address_of(0), blocks * gc::block_bytes, pages.data()), 0);
  residence found;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if ((pages[i] & 1) == 0) continue;
    (is_own[i * page_bytes / gc::block_bytes] ? found.in_heap : found.outside) += page_bytes;
  }
  return found;
}

std::size_t ready_bytes() { return gc::window::get().ready_bytes(); }

// The thread that faults in tells nobody when it is done. Half a minute is for ever.
bool becomes_true(const std::function<bool()>& what) {
  for (int i = 0; i < 3000; ++i) {
    if (what()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Kernels before 5.14 do not fault in when they are asked to.
bool kernel_faults_in_ahead() {
  constexpr int populate_write = 23;
  void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool does = ::madvise(at, 4096, populate_write) == 0;
  ::munmap(at, 4096);
  return does;
}

class prefault : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_faults_in_ahead()) GTEST_SKIP() << "this kernel does not fault in ahead";
  }
};

TEST_F(prefault, what_is_held_ahead_is_bounded_and_told) {
  gc::heap heap({.name = "ahead", .growth_percent = 100'000, .least_growth_bytes = 1024 * mib});
  list kept(heap);
  // As much as takes the bound: an eighth of it where everything takes ten times as long.
  const std::size_t whole_bytes = test::under_sanitizer ? 32 * mib : 160 * mib;
  std::size_t most_seen = 0;
  for (std::size_t made = 0; made < whole_bytes; made += mib) {
    kept.add(mib);
    const std::size_t ready = heap.statistics().ready_bytes;
    ASSERT_LE(ready, std::min(heap.statistics().block_bytes / 16, most_ahead_bytes) + chunk_bytes);
    most_seen = std::max(most_seen, ready);
  }
  const std::size_t wanted = std::min(heap.statistics().block_bytes / 16, most_ahead_bytes) / chunk_bytes * chunk_bytes;
  EXPECT_TRUE(becomes_true([&] { return heap.statistics().ready_bytes >= wanted; }));
  // No cycle has left anything: what is resident beside the heap's blocks is what was faulted in, to the page.
  EXPECT_EQ(heap.statistics().cycles, 0u);
  EXPECT_TRUE(becomes_true([&] { return resident_of(&heap).outside == heap.statistics().ready_bytes; }))
      << resident_of(&heap).outside << " and " << heap.statistics().ready_bytes;
  EXPECT_GT(most_seen, 0u);
  EXPECT_TRUE(kept.is_whole());
}

TEST_F(prefault, it_goes_with_the_heap) {
  for (int round = 0; round < test::rounds(8); ++round) {
    {
      gc::heap heap({.name = "short"});
      list kept(heap);
      kept.add(static_cast<std::size_t>(8 + 6 * round) * mib / (test::under_sanitizer ? 4 : 1));
      kept.clear();
    }
    EXPECT_TRUE(becomes_true([] { return ready_bytes() == 0 && resident_of(nullptr).outside == 0; })) << ready_bytes();
  }
}

TEST_F(prefault, a_heap_that_has_become_small_gives_back_what_cycles_have_left) {
  gc::heap heap({.name = "small", .least_growth_bytes = least_growth_bytes});
  list kept(heap);
  kept.add(test::under_sanitizer ? 24 * mib : 64 * mib);
  heap.collect();
  kept.clear();
  heap.collect();
  heap.collect();
  EXPECT_EQ(heap.statistics().block_bytes, 0u);
  EXPECT_LE(heap.statistics().ready_bytes, least_growth_bytes + chunk_bytes);
  EXPECT_TRUE(becomes_true([&] { return resident_of(&heap).outside <= least_growth_bytes + chunk_bytes; }));
}

TEST_F(prefault, it_is_given_back_when_memory_is_short) {
  gc::heap heap({.name = "short of memory", .growth_percent = 100'000, .least_growth_bytes = 1024 * mib});
  list kept(heap);
  kept.add(40 * mib);
  EXPECT_TRUE(
      becomes_true([&] { return ready_bytes() >= chunk_bytes && resident_of(&heap).outside == ready_bytes(); }));
  const std::size_t before = ready_bytes();
  EXPECT_GE(::tenure_relieve_pressure(1), before);
  EXPECT_TRUE(becomes_true([&] { return resident_of(&heap).outside == 0 && ready_bytes() == 0; }));
  EXPECT_TRUE(kept.is_whole());
  kept.add(4 * mib);
  EXPECT_TRUE(kept.is_whole());
  heap.check();
}

TEST_F(prefault, beside_a_limit_no_more_is_held_than_without) {
  constexpr std::size_t limit_bytes = 16 * mib;
  gc::heap heap({.name = "limited", .limit_bytes = limit_bytes});
  list kept(heap);
  EXPECT_THROW(
      {
        for (;;) kept.add();
      },
      std::bad_alloc);
  const auto is_kept = [&] {
    const residence now = resident_of(&heap);
    return now.in_heap <= limit_bytes && now.outside <= limit_bytes / 16 + chunk_bytes;
  };
  EXPECT_LE(heap.statistics().block_bytes, limit_bytes);
  EXPECT_LE(heap.statistics().ready_bytes, limit_bytes / 16 + chunk_bytes);
  EXPECT_TRUE(becomes_true(is_kept));
  EXPECT_TRUE(kept.is_whole());
}

// A child has no such thread and whatever chunk was under way; it goes on all the same, with one of its own.
TEST_F(prefault, processes_fork_and_exit_meanwhile) {
#ifdef TENURE_THREAD_SANITIZER
  GTEST_SKIP() << "ThreadSanitizer knows no child of a threaded process that makes threads";
#endif
  gc::heap heap({.name = "forked", .growth_percent = 100'000, .least_growth_bytes = 1024 * mib});
  list kept(heap);
  kept.add(2 * mib);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    list theirs(heap);
    while (!stop) {
      theirs.add(mib);
      if (heap.statistics().block_bytes < 96 * mib) continue;
      theirs.clear();
      heap.collect();
    }
  });
  for (int round = 0; round < test::rounds(24); ++round) {
    std::fflush(nullptr);
    const int code = tenure::testing::in_child([&] {
      ::alarm(120);
      heap.check();
      if (!kept.is_whole()) return 1;
      kept.add(6 * mib);
      std::thread more([&] { list(heap).add(4 * mib); });
      if (round % 2 == 0) {
        // With both threads at it.
        more.detach();
        std::exit(0);
      }
      more.join();
      heap.collect();
      heap.check();
      return kept.is_whole() ? 0 : 2;
    });
    EXPECT_EQ(code, 0);
    ASSERT_TRUE(kept.is_whole());
  }
  stop = true;
  other.join();
}

}  // namespace
