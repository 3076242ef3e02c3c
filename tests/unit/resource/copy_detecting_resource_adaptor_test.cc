// Copies that containers make in silence: counted where elements were seen to move, and nowhere else.
#include <gtest/gtest.h>
#include <tenure/adaptor/copy_detecting_resource_adaptor.hpp>

#include <map>
#include <string>
#include <vector>

namespace tenure {
namespace {

// The oracle: how often one was moved or copied.
struct counted_element {
  static inline int moves = 0;
  counted_element() = default;
  counted_element(const counted_element&) { ++moves; }
  counted_element(counted_element&&) noexcept { ++moves; }
  counted_element& operator=(const counted_element& other) {
    if (&other != this) ++moves;
    return *this;
  }
};

using elements = std::pmr::vector<counted_element>;

TEST(CopyDetectingAdaptor, CountsAssignmentsThatMoveEveryElement) {
  copy_detecting_resource_adaptor watched({.name = "watched"}), other({.name = "other"});
  elements kept(&watched);
  elements same(10, &watched), foreign(10, &other);
  counted_element::moves = 0;
  kept = std::move(same);
  EXPECT_EQ(counted_element::moves, 0);
  EXPECT_EQ(watched.copies(), 0u);
  kept = std::move(foreign);
  EXPECT_EQ(counted_element::moves, 10);
  EXPECT_EQ(watched.copies() + other.copies(), 1u);  // only one of them is asked
}

TEST(CopyDetectingAdaptor, CountsConstructorsWithAnAllocator) {
  copy_detecting_resource_adaptor watched({.name = "watched"}), standing_in({.name = "default"});
  std::pmr::memory_resource* const was = std::pmr::set_default_resource(&standing_in);
  elements on_default(10);
  std::pmr::set_default_resource(was);
  counted_element::moves = 0;
  const elements taken(std::move(on_default), &watched);
  EXPECT_EQ(counted_element::moves, 10);
  EXPECT_EQ(watched.copies() + standing_in.copies(), 1u);
}

[[gnu::noinline]] void assign_here(std::pmr::map<int, int>& to) { to = std::pmr::map<int, int>({{1, 2}}); }
[[gnu::noinline]] void assign_there(std::pmr::map<int, int>& to) { to = std::pmr::map<int, int>({{1, 2}, {3, 4}}); }

TEST(CopyDetectingAdaptor, TellsWhereFrom) {
  copy_detecting_resource_adaptor watched({.name = "orders"});
  std::pmr::map<int, int> kept(&watched);
  volatile int few = 3, many = 5;
  const int here = few, there = many;
#pragma GCC unroll 1
  for (int i = 0; i < here; ++i) assign_here(kept);
#pragma GCC unroll 1
  for (int i = 0; i < there; ++i) assign_there(kept);
  const auto sites = watched.copies_by_site();
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[0].copies, 5u);
  EXPECT_EQ(sites[1].copies, 3u);
  EXPECT_EQ(sites[0].other, std::pmr::get_default_resource());
  EXPECT_GT(sites[0].asked.frame_count, 0u);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(watched.report_copies(), 8u);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("5 copies element by element, between it and another resource, copy detector \"orders\""),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("resources compared\n      at 0x"), std::string::npos) << text;
}

}  // namespace
}  // namespace tenure
