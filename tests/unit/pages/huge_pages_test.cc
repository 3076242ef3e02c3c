// Huge pages: only where the memory is there anyway, and given up when it goes.
#include "core/pages/huge_pages.h"

#include <cstring>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "core/base/options.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

constexpr std::uint32_t block_pages = (96u << 20) >> page_shift;
constexpr std::size_t block_bytes = std::size_t{block_pages} << page_shift;

// The kernel's own figure for this process, in KiB.
std::uint64_t rollup_kib(const std::string& field) {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string name;
  while (file >> name) {
    if (name == field + ":") {
      std::uint64_t kib = 0;
      file >> kib;
      return kib;
    }
  }
  return 0;
}

void* memory_of(const span* of) { return reinterpret_cast<void*>(page_address(of->first_page)); }

std::size_t look_often() {
  std::size_t rebuilt = 0;
  for (int look = 0; look < 20; ++look) rebuilt += tend_huge_pages();
  return rebuilt;
}

bool kernel_collapses() {
  span* probe = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(probe), 1, block_bytes);
  const bool any = look_often() != 0;
  release_span(probe, false);
  return_pages(0);
  return any;
}

class huge_pages_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_collapses()) GTEST_SKIP() << "the kernel has no MADV_COLLAPSE or no huge page to give";
  }
};

TEST_F(huge_pages_test, come_to_memory_that_is_resident_and_go_with_it) {
  span* dense = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(dense), 7, block_bytes);
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  const std::size_t rebuilt = look_often();
  EXPECT_GT(rebuilt, 0u);
  EXPECT_GE(rollup_kib("AnonHugePages") * 1024, rebuilt * huge_page_bytes);
  EXPECT_LE(rollup_kib("Rss"), resident_before_kib * 105 / 100);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, rebuilt * huge_page_bytes);
  for (std::size_t i = 0; i < block_bytes; i += 4096) ASSERT_EQ(static_cast<unsigned char*>(memory_of(dense))[i], 7);
  release_span(dense, false);
  return_pages(0);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  EXPECT_LE(rollup_kib("Rss") * 1024, resident_before_kib * 1024 - block_bytes / 2);
}

TEST_F(huge_pages_test, stay_away_from_memory_that_nobody_touched) {
  span* sparse = allocate_span(block_pages, 1, span_kind::large, true);
  for (std::size_t i = 0; i < block_bytes; i += 8192) static_cast<char*>(memory_of(sparse))[i] = 1;
  EXPECT_EQ(look_often(), 0u);
  release_span(sparse, false);
  return_pages(0);
}

TEST_F(huge_pages_test, stay_away_when_the_option_is_off) {
  ASSERT_TRUE(set_value(option::huge_pages, 0));
  span* dense = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(dense), 7, block_bytes);
  EXPECT_EQ(look_often(), 0u);
  ASSERT_TRUE(set_value(option::huge_pages, 1));
  release_span(dense, false);
  return_pages(0);
}

}  // namespace
}  // namespace tenure::core
