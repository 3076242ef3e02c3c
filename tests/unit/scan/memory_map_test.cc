// The map of this process held against what the test has mapped itself, and lines that are none.
#include "core/scan/memory_map.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cstring>
#include <string>
#include <vector>

namespace tenure::core {
namespace {

mapping parsed(const std::string& line) {
  mapping result;
  EXPECT_TRUE(parse_mapping(line.data(), line.size(), &result)) << line;
  return result;
}

TEST(MemoryMap, ALineSaysWhereAndWhat) {
  const mapping data =
      parsed("7f0000001000-7f0000003000 rw-p 00012000 fe:01 1234567                    /usr/lib/libx.so");
  EXPECT_EQ(data.begin, 0x7f0000001000u);
  EXPECT_EQ(data.end, 0x7f0000003000u);
  EXPECT_TRUE(data.is_readable && data.is_writable && data.is_of_file);
  EXPECT_FALSE(data.is_executable || data.is_shared || data.is_main_stack);
  EXPECT_TRUE(parsed("1000-2000 r-xp 00000000 fe:01 5 /bin/a b").is_executable);
  EXPECT_TRUE(parsed("1000-2000 rw-s 00000000 00:01 5 /dev/shm/x").is_shared);
  EXPECT_TRUE(parsed("7ffc0000-7ffd0000 rw-p 00000000 00:00 0                          [stack]").is_main_stack);
  EXPECT_FALSE(parsed("7ffc0000-7ffd0000 rw-p 00000000 00:00 0 ").is_of_file);
  EXPECT_FALSE(parsed("7ffc0000-7ffd0000 rw-p 00000000 00:00 0 [stack:12]").is_main_stack);
}

TEST(MemoryMap, WhatIsNoLineIsRefused) {
  mapping result;
  for (const std::string line :
       {"", "-", "1000", "1000-", "1000-2000", "1000-2000 ", "1000-2000 rw", "2000-1000 rw-p 0 0 0",
        "x000-2000 rw-p 00000000 00:00 0", "1000 2000 rw-p 00000000 00:00 0"})
    EXPECT_FALSE(parse_mapping(line.data(), line.size(), &result)) << line;
}

TEST(MemoryMap, FindsWhatIsMapped) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto* memory = static_cast<char*>(::mmap(nullptr, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::mprotect(memory + page, 2 * page, PROT_READ | PROT_WRITE), 0);
  memory_map map;
  ASSERT_TRUE(map.read());
  const auto begin = reinterpret_cast<std::uintptr_t>(memory) + page;
  const mapping* const found = map.find(begin + page + 7);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->begin, begin);
  EXPECT_EQ(found->end, begin + 2 * page);
  EXPECT_TRUE(found->is_behind_guard && found->is_writable);
  EXPECT_EQ(map.find(0), nullptr);
  EXPECT_EQ(map.find(~std::uintptr_t{0}), nullptr);
  const auto code = reinterpret_cast<std::uintptr_t>(&parse_mapping);
  ASSERT_NE(map.find(code), nullptr);
  EXPECT_TRUE(map.find(code)->is_executable && map.find(code)->is_of_file);
  int local = 0;
  ASSERT_NE(map.find(reinterpret_cast<std::uintptr_t>(&local)), nullptr);
  for (std::size_t i = 1; i < map.count(); ++i) EXPECT_LE(map[i - 1].end, map[i].begin);
  ::munmap(memory, 4 * page);
}

TEST(TouchedPages, AreThoseThatWereWrittenTo) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  constexpr std::size_t pages = 2000;
  auto* memory =
      static_cast<char*>(::mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ::madvise(memory, pages * page, MADV_NOHUGEPAGE);
  std::vector<bool> touched(pages);
  for (std::size_t i = 0; i < pages; i += 1 + i % 7) {
    memory[i * page] = 1;
    touched[i] = true;
  }
  touched_pages asked;
  std::vector<bool> visited(pages);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  std::uintptr_t last = 0;
  asked.for_each(begin, begin + pages * page, [&](std::uintptr_t from, std::uintptr_t to) {
    EXPECT_GE(from, last);
    EXPECT_LT(from, to);
    last = to;
    for (std::uintptr_t at = from; at < to; at += page) visited[(at - begin) / page] = true;
  });
  // Where the kernel does not tell, everything is visited.
  bool is_told = ::access("/proc/self/pagemap", R_OK) == 0;
  for (std::size_t i = 0; i < pages; ++i) {
    if (touched[i] || !is_told) {
      EXPECT_TRUE(visited[i]) << i;
    } else {
      EXPECT_FALSE(visited[i]) << i;
    }
  }
  std::size_t bytes = 0;
  asked.for_each(begin + 8, begin + 24, [&](std::uintptr_t from, std::uintptr_t to) { bytes += to - from; });
  EXPECT_EQ(bytes, 16u);
  ::munmap(memory, pages * page);
}

}  // namespace
}  // namespace tenure::core
