#include "core/pages/page_map.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <memory>

#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"

namespace tenure::core {
namespace {

constexpr std::uint32_t beyond_every_growth = 8192;  // pages: more than a chunk that is asked for ahead of need

char* address_of(const span* of) { return reinterpret_cast<char*>(page_address(of->first_page)); }

class PageMap : public ::testing::Test {
 protected:
  static span* allocate(std::uint32_t pages) {
    span* made = allocate_span(pages, 1, span_kind::large, false);
    EXPECT_NE(made, nullptr);
    return made;
  }
};

TEST_F(PageMap, EveryPointerIsForeignBeforeTheFirstChunk) {
  ASSERT_EQ(window.page_count, 0u) << "this test comes first in its process";
  int on_stack = 0;
  const auto on_heap = std::make_unique<int>(0);
  for (const void* address : {static_cast<const void*>(nullptr), static_cast<const void*>(&on_stack),
                              static_cast<const void*>(on_heap.get())}) {
    EXPECT_FALSE(is_mapped(address));
    EXPECT_EQ(find_span(address), nullptr);
  }
}

TEST_F(PageMap, LeadsFromEveryAddressOfASpanToItAndFromNoOther) {
  span* low = allocate(3);
  span* high = allocate(5);
  for (const span* of : {low, high}) {
    for (std::size_t offset = 0; offset < of->page_count * page_size_bytes; offset += 4096 - 1) {
      ASSERT_EQ(find_span(address_of(of) + offset), of);
    }
  }
  int on_stack = 0;
  EXPECT_EQ(find_span(&on_stack), nullptr);
  EXPECT_EQ(find_span(nullptr), nullptr);
  EXPECT_EQ(find_span(reinterpret_cast<void*>(window.begin - 1)), nullptr);
  EXPECT_EQ(find_span(reinterpret_cast<void*>(page_address(window.mapped_pages))), nullptr);
  EXPECT_EQ(find_span(reinterpret_cast<void*>(~std::uintptr_t{0})), nullptr);
  char* gone = address_of(low);
  release_span(low, false);
  EXPECT_EQ(find_span(gone), nullptr);
  EXPECT_EQ(find_span(gone + page_size_bytes), nullptr) << "the middle of what was freed";
  EXPECT_TRUE(is_mapped(gone));
  release_span(high, false);
}

TEST_F(PageMap, PageAndAddressAreEachOthersInverse) {
  span* made = allocate(2);
  EXPECT_EQ(page_index(address_of(made)), made->first_page);
  EXPECT_EQ(page_index(address_of(made) + page_size_bytes - 1), made->first_page);
  EXPECT_EQ(page_index(address_of(made) + page_size_bytes), made->first_page + 1);
  release_span(made, false);
}

TEST_F(PageMap, ClassIsThatOfTheSpansPagesOnly) {
  span* before = allocate(1);
  span* made = allocate(4);
  span* after = allocate(1);
  set_class(made, 9);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(window.class_map[made->first_page + i], 9);
  EXPECT_EQ(window.class_map[before->first_page], 0);
  EXPECT_EQ(window.class_map[after->first_page], 0);
  set_class(made, 0);
  EXPECT_EQ(window.class_map[made->first_page], 0);
  for (span* of : {before, made, after}) release_span(of, false);
}

TEST_F(PageMap, SomebodyElsesMappingInTheWayIsLeftAloneAndStaysForeign) {
  release_span(allocate(1), false);
  char* obstacle = reinterpret_cast<char*>(page_address(window.mapped_pages));
  ASSERT_TRUE(os::map_at(obstacle, 2 * page_size_bytes));
  std::memset(obstacle, 0x5a, 2 * page_size_bytes);
  span* made = allocate(beyond_every_growth);
  EXPECT_GT(address_of(made), obstacle);
  std::memset(address_of(made), 1, page_size_bytes);
  EXPECT_EQ(obstacle[0], 0x5a);
  EXPECT_EQ(obstacle[2 * page_size_bytes - 1], 0x5a);
  EXPECT_EQ(find_span(obstacle), nullptr);
  // The gap is stepped over by who looks at all spans.
  int seen = 0;
  lock_page_heap();
  visit_spans([](void* context, span*) { ++*static_cast<int*>(context); }, &seen);
  check_page_heap();
  unlock_page_heap();
  EXPECT_EQ(seen, 1);
  release_span(made, false);
  os::unmap(obstacle, 2 * page_size_bytes);
}

TEST_F(PageMap, WindowsEndIsRefusedNotOverrun) {
  const std::uintptr_t mapped = window.mapped_pages;
  const auto all = static_cast<std::uint32_t>(std::min<std::uintptr_t>(window.page_count, 0x7fffffff));
  EXPECT_EQ(allocate_span(all, 1, span_kind::large, false), nullptr);
  EXPECT_EQ(allocate_span(0x7fffffff, 1, span_kind::large, false), nullptr);
  EXPECT_EQ(window.mapped_pages, mapped);
}

TEST_F(PageMap, RefusalOfMemoryIsNullAndTheNextRequestIsServed) {
  os::fail_from_nth_call(1);
  EXPECT_EQ(allocate_span(beyond_every_growth * 2, 1, span_kind::large, false), nullptr);
  os::fail_from_nth_call(0);
  span* made = allocate(beyond_every_growth * 2);
  release_span(made, false);
}

}  // namespace
}  // namespace tenure::core
