#include "core/pages/metadata.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "core/os/virtual_memory.h"
#include "support/dice.h"

namespace tenure::core {
namespace {

bool all_zero(const void* memory, std::size_t bytes) {
  const auto* begin = static_cast<const unsigned char*>(memory);
  return std::all_of(begin, begin + bytes, [](unsigned char byte) { return byte == 0; });
}

TEST(Metadata, PiecesAreZeroAlignedAndApart) {
  test::dice random(3);
  std::map<std::uintptr_t, std::size_t> pieces;
  const std::uint64_t before = metadata_bytes();
  std::uint64_t asked = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::size_t bytes = 1 + random() % (i % 100 == 0 ? 1 << 20 : 3000);
    void* piece = allocate_metadata(bytes);
    ASSERT_NE(piece, nullptr);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(piece) % 64, 0u);
    ASSERT_TRUE(all_zero(piece, bytes));
    std::memset(piece, 0x5a, bytes);
    pieces[reinterpret_cast<std::uintptr_t>(piece)] = bytes;
    asked += bytes;
  }
  std::uintptr_t end = 0;
  for (const auto& [begin, bytes] : pieces) {
    EXPECT_GE(begin, end);
    end = begin + bytes;
  }
  EXPECT_GE(metadata_bytes() - before, asked);
  EXPECT_LE(metadata_bytes() - before, asked + 3000 * 64);
}

TEST(Metadata, ThreadsGetPiecesOfTheirOwn) {
  std::vector<std::vector<unsigned char*>> pieces(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < pieces.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        auto* piece = static_cast<unsigned char*>(allocate_metadata(100));
        std::memset(piece, static_cast<int>(t), 100);
        pieces[t].push_back(piece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < pieces.size(); ++t) {
    for (const unsigned char* piece : pieces[t]) {
      ASSERT_TRUE(std::all_of(piece, piece + 100, [t](unsigned char byte) { return byte == t; }));
    }
  }
}

TEST(Metadata, RefusalIsNullAndPassesOver) {
  os::fail_from_nth_call(1);
  void* piece = nullptr;
  for (int i = 0; i < 1000 && (piece = allocate_metadata(4096)) != nullptr; ++i) {
  }
  EXPECT_EQ(piece, nullptr);
  const std::uint64_t refused_at = metadata_bytes();
  EXPECT_EQ(allocate_metadata(4096), nullptr);
  EXPECT_EQ(metadata_bytes(), refused_at);
  os::fail_from_nth_call(0);
  EXPECT_NE(allocate_metadata(4096), nullptr);
}

}  // namespace
}  // namespace tenure::core
