#include "core/heap/fork.h"

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <thread>
#include <vector>

#include "core/heap/central_list.h"
#include "core/pages/page_heap.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

// Forks as a program does whose handlers are registered; 0 from the work means that the child was content.
template <class Work>
void expect_child_to_be_content(Work work) {
  before_fork();
  const pid_t child = ::fork();
  if (child == 0) {
    after_fork_in_child();
    ::alarm(60);
    ::_exit(work());
  }
  after_fork_in_parent();
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

int use_the_heap() {
  dice random(9);
  std::vector<test::filled_block> blocks;
  for (int i = 0; i < 5000; ++i) {
    if (blocks.size() < 50 || random.below(2) == 0) {
      blocks.push_back(test::filled_block::make(1 + random.below(random.one_in(50) ? 200000 : 1000),
                                                static_cast<unsigned char>(random())));
    } else {
      if (!blocks.back().is_intact()) return 1;
      deallocate(blocks.back().start);
      blocks.pop_back();
    }
  }
  for (const test::filled_block& block : blocks) {
    if (!block.is_intact()) return 1;
    deallocate(block.start);
  }
  return 0;
}

TEST(Fork, BothSidesGoOnWithWhatTheyHave) {
  std::vector<test::filled_block> blocks;
  for (unsigned char i = 0; i < 100; ++i) blocks.push_back(test::filled_block::make(i * 50u + 1, i));
  expect_child_to_be_content([&] {
    for (const test::filled_block& block : blocks) {
      if (!block.is_intact()) return 2;
      deallocate(block.start);
    }
    check_heap();
    return use_the_heap();
  });
  for (const test::filled_block& block : blocks) {
    EXPECT_TRUE(block.is_intact());
    deallocate(block.start);
  }
  EXPECT_EQ(use_the_heap(), 0);
  check_heap();
}

// The threads that are gone in the child had blocks in their caches, which must not be lost there.
TEST(Fork, CachesOfThreadsThatAreGoneAreTheChilds) {
  std::atomic<int> ready = 0;
  std::atomic<bool> ending = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::vector<void*> blocks;
      for (std::size_t bytes = 16; bytes < 3000; bytes += 16) blocks.push_back(test::allocate(bytes));
      test::free_all(blocks);
      ++ready;
      while (!ending) std::this_thread::yield();
    });
  }
  while (ready != 3) std::this_thread::yield();
  const heap_figures before = test::figures();
  expect_child_to_be_content([&] {
    const heap_figures now = test::figures();
    if (now.thread_caches != 1) return 3;
    if (now.live_blocks != before.live_blocks) return 4;
    purge();
    if (test::figures().cached_bytes != 0 || test::figures().batch_bytes != 0) return 5;
    check_heap();
    return 0;
  });
  EXPECT_EQ(test::figures().thread_caches, before.thread_caches);
  ending = true;
  for (std::thread& thread : threads) thread.join();
}

// At any moment of what the others do, page returns included.
TEST(Fork, ChildOfABusyProgramFindsASoundHeap) {
  std::atomic<bool> ending = false;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      dice random(t);
      std::vector<void*> blocks;
      while (!ending) {
        for (int i = 0; i < 60; ++i) {
          blocks.push_back(test::allocate(16 + random.below(random.one_in(10) ? 100000 : 2000)));
        }
        test::free_all(blocks);
        if (t == 0) return_pages(0);
      }
    });
  }
  for (int i = 0; i < 40 && !::testing::Test::HasFailure(); ++i) {
    expect_child_to_be_content([] {
      check_heap();
      if (use_the_heap() != 0) return 6;
      return_pages(0);
      check_heap();
      const heap_figures now = test::figures();
      return now.committed_bytes == now.live_bytes + now.cached_bytes + now.batch_bytes + now.fragmented_bytes +
                                        now.free_dirty_bytes + now.named_span_bytes
                 ? 0
                 : 7;
    });
  }
  ending = true;
  for (std::thread& thread : threads) thread.join();
  check_heap();
}

}  // namespace
}  // namespace tenure::core
