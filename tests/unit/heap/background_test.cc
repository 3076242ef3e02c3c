#include "core/heap/background.h"

#include <unistd.h>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/base/options.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/telemetry.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

constexpr std::size_t burst_bytes = 64 << 20;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

// Whether a thread of the process bears the name.
bool has_thread_called(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string comm;
    std::getline(std::ifstream(task.path() / "comm"), comm);
    if (comm == name) return true;
  }
  return false;
}

std::size_t resident_bytes() {
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void burst() {
  std::vector<void*> blocks;
  for (std::size_t bytes = 0; bytes < burst_bytes; bytes += 1 << 20) {
    blocks.push_back(test::allocate(1 << 20));
    std::memset(blocks.back(), 1, 1 << 20);
  }
  test::free_all(blocks);
}

// Waits until it holds; the limit is far beyond any load, and only ends a test that would never end.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class Background : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    set_value(option::decay, 20);
  }
};

TEST_F(Background, NoThreadIsStartedBeforeItMayBe) {
  burst();
  EXPECT_FALSE(has_thread_called("tenure"));
}

TEST_F(Background, NoThreadIsStartedWhenTheOptionIsOffAndPagesGoBackInline) {
  allow_background();
  set_value(option::background, 0);
  burst();
  EXPECT_TRUE(eventually([] {
    deallocate(test::allocate(8 << 20));
    return dirty_bytes() <= (8 << 20);
  }));
  EXPECT_FALSE(has_thread_called("tenure"));
  set_value(option::background, 1);
}

// Free blocks within spans whose memory went back.
std::uint64_t absent_bytes() {
  std::uint64_t sum = 0;
  for (const wire::size_class_statistics& one : telemetry::statistics().classes) {
    sum += __atomic_load_n(&one.absent_blocks, __ATOMIC_RELAXED) * __atomic_load_n(&one.block_bytes, __ATOMIC_RELAXED);
  }
  return sum;
}

TEST_F(Background, PagesWithinSpansGoBackInlineToo) {
  allow_background();
  set_value(option::background, 0);
  constexpr std::size_t block_bytes = 1024;
  std::vector<void*> kept;
  std::vector<void*> freed;
  for (std::size_t i = 0; i < (32 << 20) / block_bytes; ++i) {
    (i % 32 == 0 ? kept : freed).push_back(test::allocate(block_bytes));
  }
  test::free_all(freed);
  const std::uint64_t absent = absent_bytes();
  EXPECT_TRUE(eventually([&] {
    deallocate(test::allocate(8 << 20));
    return absent_bytes() >= absent + (16 << 20);
  }));
  EXPECT_FALSE(has_thread_called("tenure"));
  test::free_all(kept);
  set_value(option::background, 1);
}

TEST_F(Background, PagesOfABurstGoBackWhileTheProgramSleeps) {
  allow_background();
  const std::size_t before = resident_bytes();
  for (int wave = 0; wave < 3; ++wave) {  // it sleeps in between and is woken
    burst();
    EXPECT_TRUE(eventually([] { return has_thread_called("tenure"); }));
    ASSERT_TRUE(eventually([] { return dirty_bytes() == 0; })) << "wave " << wave;
    if (!is_sanitized) {  // whose shadow stays
      EXPECT_LT(resident_bytes(), before + burst_bytes / 4);
    }
  }
}

TEST_F(Background, BatchesThatLieUnusedGoBackToo) {
  allow_background();
  std::vector<void*> blocks;
  for (int i = 0; i < 20000; ++i) blocks.push_back(test::allocate(512));
  std::thread([&] { test::free_all(blocks); }).join();
  EXPECT_TRUE(eventually([] {
    burst();
    return test::figures().batch_bytes == 0;
  }));
  check_heap();
}

}  // namespace
}  // namespace tenure::core
