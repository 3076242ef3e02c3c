#include "core/os/virtual_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace tenure::os {
namespace {

constexpr std::size_t bytes = 64 * 1024;

class VirtualMemory : public ::testing::Test {
 protected:
  void* map(std::size_t count = bytes) {
    void* memory = map_anywhere(count);
    EXPECT_NE(memory, nullptr);
    mapped_.push_back({memory, count});
    return memory;
  }
  void TearDown() override {
    fail_from_nth_call(0);
    for (const auto& [memory, count] : mapped_) unmap(memory, count);
  }

  std::vector<std::pair<void*, std::size_t>> mapped_;
};

bool all_zero(const void* memory, std::size_t count) {
  const auto* words = static_cast<const unsigned char*>(memory);
  for (std::size_t i = 0; i < count; ++i) {
    if (words[i] != 0) return false;
  }
  return true;
}

TEST_F(VirtualMemory, FreshMemoryIsZeroAndWritable) {
  void* memory = map();
  EXPECT_TRUE(all_zero(memory, bytes));
  std::memset(memory, 0x5a, bytes);
}

TEST_F(VirtualMemory, MapAtTakesAFreePlaceAndNeverAnOccupiedOne) {
  char* place = static_cast<char*>(map(4 * bytes));
  EXPECT_FALSE(map_at(place, bytes));
  std::memset(place, 7, 4 * bytes);
  unmap(place + bytes, bytes);
  EXPECT_FALSE(is_occupied(place + bytes));
  EXPECT_TRUE(is_occupied(place));
  EXPECT_FALSE(map_at(place + bytes, 2 * bytes)) << "its second half is occupied";
  EXPECT_EQ(place[2 * bytes], 7) << "the occupant was overwritten";
  EXPECT_TRUE(map_at(place + bytes, bytes));
  EXPECT_TRUE(all_zero(place + bytes, bytes));
  EXPECT_TRUE(is_occupied(place + bytes));
}

TEST_F(VirtualMemory, ReservedZeroesReadAsZeroAndBecomeWritableInParts) {
  constexpr std::size_t large = std::size_t{1} << 32;  // address space only
  auto* memory = static_cast<char*>(map_reserved_zeroes(large));
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(memory[0], 0);
  EXPECT_EQ(memory[large - 1], 0);
  ASSERT_TRUE(make_writable(memory + bytes, bytes));
  memory[bytes] = 1;
  memory[2 * bytes - 1] = 1;
  EXPECT_EQ(memory[2 * bytes], 0);
  unmap(memory, large);
}

TEST_F(VirtualMemory, ReservedZeroesAreReadOnlyUntilTheyAreMadeWritable) {
  auto* memory = static_cast<volatile char*>(map_reserved_zeroes(bytes));
  ASSERT_NE(memory, nullptr);
  EXPECT_DEATH(*memory = 1, "");
  unmap(const_cast<char*>(memory), bytes);
}

TEST_F(VirtualMemory, ReleasedPagesReadAsZero) {
  auto* memory = static_cast<char*>(map());
  std::memset(memory, 0x5a, bytes);
  const std::size_t page = page_bytes();
  ASSERT_TRUE(release(memory + page, 2 * page));
  EXPECT_TRUE(all_zero(memory + page, 2 * page));
  EXPECT_EQ(memory[page - 1], 0x5a);
  EXPECT_EQ(memory[3 * page], 0x5a);
}

TEST_F(VirtualMemory, MovedPagesTakeTheirContentAlongAndLeaveZeroes) {
  auto* from = static_cast<unsigned char*>(map());
  auto* to = static_cast<unsigned char*>(map());
  for (std::size_t i = 0; i < bytes; ++i) from[i] = static_cast<unsigned char>(i * 7 + i / 256);
  std::memset(to, 0xff, bytes);
  const move_outcome outcome = move_pages(from, bytes, to, bytes);
  ASSERT_TRUE(outcome.moved && outcome.from_mapped && outcome.to_mapped);
  for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(to[i], static_cast<unsigned char>(i * 7 + i / 256));
  EXPECT_TRUE(all_zero(from, bytes));
  std::memset(from, 1, bytes);  // still mapped, still writable
}

TEST_F(VirtualMemory, MoveThatIsRefusedMovesNothing) {
  auto* from = static_cast<unsigned char*>(map());
  auto* to = static_cast<unsigned char*>(map());
  std::memset(from, 1, bytes);
  std::memset(to, 2, bytes);
  fail_from_nth_call(1);
  EXPECT_FALSE(move_pages(from, bytes, to, bytes).moved);
  EXPECT_EQ(from[0], 1);
  EXPECT_EQ(to[0], 2);
}

TEST_F(VirtualMemory, HintsDoNotChangeTheContent) {
  constexpr std::size_t huge = 4 << 20;
  auto* memory = static_cast<char*>(map(huge));
  std::memset(memory, 0x5a, bytes);
  populate(memory, huge);
  collapse(memory, huge);
  EXPECT_EQ(memory[0], 0x5a);
  EXPECT_EQ(memory[bytes - 1], 0x5a);
  EXPECT_TRUE(all_zero(memory + bytes, huge - bytes));
}

TEST_F(VirtualMemory, HugePagesAreForThoseToWhomTheKernelSaysSo) {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  using enum huge_page_policy;
  const std::map<std::string, huge_page_policy> policies = {{"[always] madvise never\n", always},
                                                            {"always [madvise] never\n", on_request},
                                                            {"always madvise [never]\n", never}};
  const auto found = policies.find(text);
  EXPECT_EQ(kernel_huge_page_policy(), found == policies.end() ? unknown : found->second);
}

TEST_F(VirtualMemory, HugePagesComeOnlyWhereTheyAreLetIn) {
  if (kernel_huge_page_policy() != huge_page_policy::on_request)
    GTEST_SKIP() << "the kernel gives them to all, to nobody, or has none";
  constexpr std::size_t huge = 2 << 20;
  auto* memory = static_cast<char*>(map(3 * huge));
  let_huge_pages_in(memory, 3 * huge, false);
  char* inner = memory + huge - reinterpret_cast<std::uintptr_t>(memory) % huge;
  inner[0] = 1;
  EXPECT_LT(resident_percent(inner, huge), 100u);
  ASSERT_TRUE(release(inner, huge));
  let_huge_pages_in(inner, huge, true);
  inner[1] = 1;
  let_huge_pages_in(inner, huge, false);
  const std::size_t percent = resident_percent(inner, huge);
  EXPECT_EQ(inner[1], 1);
  EXPECT_TRUE(all_zero(inner + 2, huge - 2));
  if (percent != 100) GTEST_SKIP() << "the kernel had no huge page";
}

TEST_F(VirtualMemory, InjectedFailuresBeginAtTheNthCallAndLastUntilSwitchedOff) {
  void* memory = map();
  const std::uint64_t before = refused_calls();
  fail_from_nth_call(3);
  EXPECT_TRUE(release(memory, bytes));
  EXPECT_TRUE(release(memory, bytes));
  EXPECT_FALSE(release(memory, bytes));
  EXPECT_EQ(map_anywhere(bytes), nullptr);
  EXPECT_EQ(map_reserved_zeroes(bytes), nullptr);
  EXPECT_FALSE(make_writable(memory, bytes));
  EXPECT_FALSE(map_at(static_cast<char*>(memory) + (1 << 30), bytes));
  EXPECT_EQ(refused_calls() - before, 5u);
  fail_from_nth_call(0);
  EXPECT_TRUE(release(memory, bytes));
  EXPECT_EQ(refused_calls() - before, 5u);
}

TEST_F(VirtualMemory, ErrnoStaysWhenTheKernelRefuses) {
  void* gone = map_anywhere(bytes);
  unmap(gone, bytes);
  errno = ERANGE;
  EXPECT_EQ(map_anywhere(std::size_t{1} << 62), nullptr);
  EXPECT_FALSE(make_writable(gone, page_bytes()));
  EXPECT_FALSE(is_occupied(gone));
  EXPECT_EQ(errno, ERANGE);
}

TEST_F(VirtualMemory, AddressSpaceLimitIsTheProcesses) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(address_space_limit_bytes(), limit.rlim_cur == RLIM_INFINITY ? ~0ull : limit.rlim_cur);
  EXPECT_EQ(page_bytes(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace
}  // namespace tenure::os
