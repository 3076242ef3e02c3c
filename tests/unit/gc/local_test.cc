// local<T> and root<T>: what they keep alive, in whatever order they come and go.
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

using namespace tenure;

namespace gc_local_tests {
namespace {

struct item {
  gc::member<item> next;
  int value = 0;
};

class local_test : public ::testing::Test {
 protected:
  std::size_t live() {
    heap_.collect();
    return heap_.statistics().live_objects;
  }
  gc::local<item> make(int value) {
    auto made = heap_.make<item>();
    made->value = value;
    return made;
  }
  gc::heap heap_{{.name = "locals", .verify = true, .poison = true}};
};

TEST_F(local_test, keeps_its_target_until_it_is_gone) {
  {
    const gc::local<item> first = make(1);
    EXPECT_EQ(live(), 1u);
    EXPECT_EQ(first->value, 1);
  }
  EXPECT_EQ(live(), 0u);
}

TEST_F(local_test, copies_moves_and_assignments_keep_what_they_say) {
  gc::local<item> a = make(1);
  gc::local<item> b = a;
  a = nullptr;
  EXPECT_EQ(live(), 1u);
  gc::local<item> c = std::move(b);
  EXPECT_EQ(b, nullptr);  // NOLINT(bugprone-use-after-move): that is the subject
  EXPECT_EQ(live(), 1u);
  b = make(2);
  EXPECT_EQ(live(), 2u);
  c = std::move(b);
  EXPECT_EQ(live(), 1u);
  EXPECT_EQ(c->value, 2);
  c = c->next;
  EXPECT_EQ(live(), 0u);
}

TEST_F(local_test, may_go_in_any_order) {
  std::vector<gc::local<item>> kept;  // not their place, but it must hold
  for (int i = 0; i < 100; ++i) kept.push_back(make(i));
  const gc::local<item> after = make(1000);
  for (int i = 0; i < 50; ++i) kept.erase(kept.begin() + i);
  EXPECT_EQ(live(), 51u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(kept[static_cast<std::size_t>(i)]->value, 2 * i + 1);
  kept.clear();
  EXPECT_EQ(live(), 1u);
  EXPECT_EQ(after->value, 1000);
}

// More than a segment of slots has, up and down over its border.
int descend(gc::heap& heap, int depth) {
  const gc::local<item> here = heap.make<item>();
  here->value = depth;
  const int below = depth == 0 ? 0 : descend(heap, depth - 1);
  return below + (here->value == depth);
}
TEST_F(local_test, go_as_deep_as_the_stack) {
  EXPECT_EQ(descend(heap_, 8500), 8501);
  EXPECT_EQ(live(), 0u);
}
int descend_all(gc::heap& heap, int depth) {
  const gc::local<item> here = heap.make<item>();
  if (depth == 0) {
    heap.collect();
    return static_cast<int>(heap.statistics().live_objects);
  }
  return descend_all(heap, depth - 1);
}
TEST_F(local_test, all_segments_are_looked_at) { EXPECT_EQ(descend_all(heap_, 8500), 8501); }

TEST_F(local_test, an_exception_takes_them_along) {
  try {
    const gc::local<item> lost = make(1);
    throw 1;
  } catch (int) {
  }
  EXPECT_EQ(live(), 0u);
}

TEST_F(local_test, a_pointer_into_an_object_keeps_all_of_it) {
  gc::local<item> whole = make(7);
  const gc::local<int> part(&whole->value);
  whole = nullptr;
  EXPECT_EQ(live(), 1u);
  EXPECT_EQ(*part, 7);
}

TEST_F(local_test, roots_live_anywhere_and_go_in_any_thread) {
  auto held = std::make_unique<gc::root<item>>(make(3));
  std::optional<gc::root<item>> copy = *held;
  held.reset();
  EXPECT_EQ(live(), 1u);
  std::thread([&] {
    EXPECT_EQ((*copy)->value, 3);
    copy.reset();
  }).join();
  EXPECT_EQ(live(), 0u);
}

TEST_F(local_test, thousands_of_roots) {
  std::vector<gc::root<item>> all;
  for (int i = 0; i < 3000; ++i) all.emplace_back(make(i));
  EXPECT_EQ(live(), 3000u);
  for (int i = 0; i < 3000; i += 2) all[static_cast<std::size_t>(i)] = nullptr;
  EXPECT_EQ(live(), 1500u);
  all.clear();
  EXPECT_EQ(live(), 0u);
}

using local_death_test = local_test;
TEST_F(local_death_test, a_local_destroyed_by_another_thread_ends_the_program) {
  EXPECT_DEATH(
      {
        auto held = std::make_unique<gc::local<item>>(make(1));
        std::thread([&] { held.reset(); }).join();
      },
      "destroyed by another thread");
}

TEST_F(local_death_test, a_member_to_what_is_not_managed_ends_the_program) {
  EXPECT_DEATH(
      {
        item outside;
        const gc::local<item> inside = make(1);
        inside->next = &outside;
        heap_.collect();
      },
      "not managed");
}

}  // namespace
}  // namespace gc_local_tests
