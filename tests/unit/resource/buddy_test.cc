// Buddy against a plain model: which blocks of a power of two are free is recomputed from the blocks in use alone.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <tenure/buddy.hpp>

#include <map>
#include <random>
#include <stdexcept>

namespace tenure {
namespace {

constexpr std::size_t smallest = 4096;

std::size_t round_up(std::size_t bytes) {
  std::size_t block = smallest;
  while (block < bytes) block *= 2;
  return block;
}

// Where the first free block of that size is, or 0: by looking at every aligned place, whether a block in use touches
// it.
std::uintptr_t lowest_free(const std::map<std::uintptr_t, std::size_t>& used, std::uintptr_t begin, std::size_t bytes,
                           std::size_t block) {
  for (std::size_t at = 0; at + block <= bytes; at += block) {
    bool is_free = true;
    for (const auto& [start, length] : used) {
      is_free = is_free && (start + length <= begin + at || start >= begin + at + block);
    }
    if (is_free) return begin + at;
  }
  return 0;
}

std::size_t largest_free(const std::map<std::uintptr_t, std::size_t>& used, std::uintptr_t begin, std::size_t bytes) {
  for (std::size_t block = std::size_t{1} << 40; block >= smallest; block /= 2) {
    if (lowest_free(used, begin, bytes, block) != 0) return block;
  }
  return 0;
}

// Address space without access: whoever touches it faults.
struct untouchable {
  explicit untouchable(std::size_t length) : bytes(length) {
    begin = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~untouchable() { ::munmap(begin, bytes); }
  untouchable(const untouchable&) = delete;
  untouchable& operator=(const untouchable&) = delete;
  std::size_t bytes;
  void* begin;
};

TEST(Buddy, AgreesWithAModelAndTouchesNothing) {
  for (const std::size_t leaves : {1u, 2u, 3u, 37u, 64u, 100u}) {
    const untouchable range(leaves * smallest);
    buddy tested({.begin = range.begin, .bytes = range.bytes, .smallest_bytes = smallest});
    const auto begin = reinterpret_cast<std::uintptr_t>(range.begin);
    std::map<std::uintptr_t, std::size_t> used;
    std::mt19937_64 dice(leaves);
    for (int step = 0; step < 2000; ++step) {
      const std::size_t largest = largest_free(used, begin, range.bytes);
      ASSERT_EQ(tested.largest_free_bytes(), largest);
      if (dice() % 5 < 3) {
        const std::size_t bytes = 1 + dice() % (smallest << (dice() % 6));
        if (round_up(bytes) > largest) {
          ASSERT_THROW(static_cast<void>(tested.allocate(bytes)), std::bad_alloc);
          continue;
        }
        const auto start = reinterpret_cast<std::uintptr_t>(tested.allocate(bytes));
        ASSERT_EQ((start - begin) % round_up(bytes), 0u);
        for (const auto& [other, length] : used) {
          ASSERT_TRUE(other + length <= start || start + round_up(bytes) <= other);
        }
        ASSERT_LE(start + round_up(bytes), begin + range.bytes);
        used[start] = round_up(bytes);
        ASSERT_EQ(tested.block_bytes(reinterpret_cast<void*>(start)), round_up(bytes));
      } else if (!used.empty()) {
        auto chosen = std::next(used.begin(), static_cast<std::ptrdiff_t>(dice() % used.size()));
        tested.deallocate(reinterpret_cast<void*>(chosen->first), chosen->second);
        used.erase(chosen);
      }
      tested.check();
    }
    for (const auto& [start, length] : used) tested.deallocate(reinterpret_cast<void*>(start), length);
    tested.check();
  }
}

TEST(Buddy, KeepsLargeBlocksWhole) {
  const untouchable range(64 * smallest);
  buddy tested({.begin = range.begin, .bytes = range.bytes, .smallest_bytes = smallest});
  void* small = tested.allocate(smallest);
  static_cast<void>(tested.allocate(smallest));
  EXPECT_EQ(tested.largest_free_bytes(), 32 * smallest);
  tested.deallocate(small, smallest);
  static_cast<void>(tested.allocate(32 * smallest));
  // 1 of the other half is used: a small one must not break its free quarter.
  static_cast<void>(tested.allocate(smallest));
  EXPECT_EQ(tested.largest_free_bytes(), 16 * smallest);
}

TEST(Buddy, FillsFromTheBeginWhereToldTo) {
  const untouchable range(100 * smallest);
  buddy tested({.begin = range.begin, .bytes = range.bytes, .smallest_bytes = smallest, .fills_from_begin = true});
  const auto begin = reinterpret_cast<std::uintptr_t>(range.begin);
  std::map<std::uintptr_t, std::size_t> used;
  std::mt19937_64 dice(7);
  for (int step = 0; step < 2000; ++step) {
    const std::size_t bytes = smallest << (dice() % 4);
    if (dice() % 5 < 3) {
      const std::uintptr_t expected = lowest_free(used, begin, range.bytes, bytes);
      if (expected == 0) continue;
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(tested.allocate(bytes)), expected);
      used[expected] = bytes;
    } else if (!used.empty()) {
      const auto chosen = std::next(used.begin(), static_cast<std::ptrdiff_t>(dice() % used.size()));
      tested.deallocate(reinterpret_cast<void*>(chosen->first), chosen->second);
      used.erase(chosen);
    }
  }
  for (const auto& [start, length] : used) tested.deallocate(reinterpret_cast<void*>(start), length);
  tested.check();
}

TEST(Buddy, RefusesRangesThatDoNotFit) {
  const untouchable range(4 * smallest);
  auto* begin = static_cast<char*>(range.begin);
  EXPECT_THROW(buddy({.begin = begin, .bytes = 100, .smallest_bytes = smallest}), std::invalid_argument);
  EXPECT_THROW(buddy({.begin = begin + 8, .bytes = smallest, .smallest_bytes = smallest}), std::invalid_argument);
  EXPECT_THROW(buddy({.begin = begin, .bytes = smallest, .smallest_bytes = 3000}), std::invalid_argument);
  EXPECT_THROW(buddy({.begin = begin, .bytes = 0}), std::invalid_argument);
}

TEST(Buddy, EndsMisuseInAMessage) {
  const untouchable range(16 * smallest);
  buddy tested({.name = "device",
                .begin = range.begin,
                .bytes = range.bytes,
                .smallest_bytes = smallest,
                .checks = resource_checks::off});
  void* block = tested.allocate(2 * smallest);
  int elsewhere = 0;
  EXPECT_DEATH(tested.deallocate(block, smallest), "a size that is not this block's.*8192 bytes, buddy \"device\"");
  EXPECT_DEATH(tested.deallocate(static_cast<char*>(block) + smallest, smallest), "no block in use");
  EXPECT_DEATH(tested.deallocate(&elsewhere, smallest), "outside of the range");
  tested.deallocate(block, 2 * smallest);
  EXPECT_DEATH(tested.deallocate(block, 2 * smallest), "no block in use, or no longer");
}

TEST(Buddy, TellsBothSitesWithChecksOn) {
  const untouchable range(16 * smallest);
  buddy tested({.name = "device",
                .begin = range.begin,
                .bytes = range.bytes,
                .smallest_bytes = smallest,
                .checks = resource_checks::on});
  void* block = tested.allocate(2 * smallest);
  EXPECT_DEATH(tested.deallocate(block, smallest), "is not this block's(.|\n)*allocated\n(.|\n)*released here\n");
  tested.deallocate(block, 2 * smallest);
  EXPECT_DEATH(tested.deallocate(block, 2 * smallest),
               "double release: 0x.*a block of 8192 bytes, buddy \"device\"(.|\n)*allocated\n(.|\n)*released first\n"
               "(.|\n)*released again\n");
  tested.check();
}

// In a range that is given nothing is touched but what the caller says may be.
TEST(Buddy, WatchesReleasedBlocksOfItsOwnerWhereItIsToldTo) {
  std::vector<std::byte> memory(33 * smallest);
  void* begin = memory.data();
  std::size_t room = memory.size();
  ASSERT_NE(std::align(smallest, 32 * smallest, begin, room), nullptr);
  const auto use = [&](bool forgets) {
    buddy tested({.name = "lent",
                  .begin = begin,
                  .bytes = 32 * smallest,
                  .smallest_bytes = smallest,
                  .checks = resource_checks::on});
    auto* const block = static_cast<volatile char*>(tested.allocate(4 * smallest));
    tested.deallocate(const_cast<char*>(block), 4 * smallest);
    tested.watch_released(const_cast<char*>(block));
    block[100] = 1;
    if (forgets) tested.forget_released(begin, smallest);
    // A part of what was a larger block.
    static_cast<void>(tested.allocate(smallest));
    std::_Exit(7);
  };
  EXPECT_DEATH(use(false), "write into a block after its release: 0x[^\n]*a block of 16384 bytes, buddy \"lent\"");
  EXPECT_EXIT(use(true), ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace tenure
