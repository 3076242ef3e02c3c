// The marker alone: all of a graph is marked, also when its stack has hardly any room.
#include "library/gc/marker.h"

#include <gtest/gtest.h>

#include <tenure/gc.hpp>

#include "library/gc/cycle.h"
#include "library/gc/reach.h"
#include "library/gc/sweep.h"
#include "unit/gc/graph.h"

using namespace tenure;

namespace gc_marker_tests {
namespace {

using object = test::thing<false>;

TEST(marker, marks_everything_with_any_stack) {
  for (const std::size_t entries : {0, 1, 7, 1000, 1'000'000}) {
    gc::heap heap({.name = "marked", .plan = gc::plan::mark_sweep});
    // A wide tree, which needs a stack, ending in long chains.
    gc::local<object> top = heap.make<object>();
    std::vector<gc::root<object>> row{gc::root<object>(top)};
    std::size_t count = 1;
    for (int level = 0; level < 9; ++level) {
      std::vector<gc::root<object>> next;
      for (const gc::root<object>& parent : row) {
        for (gc::member<object>& link : parent->links) {
          link = heap.make<object>();
          next.emplace_back(gc::local<object>(link));
          if (next.size() > 300) next.erase(next.begin(), next.begin() + 100);
          ++count;
        }
      }
      row = std::move(next);
    }
    row.clear();
    const gc::holding guard(gc::cycle_lock());
    const gc::stopped_world stopped(nullptr);
    gc::clear_marks(heap.state());
    gc::marker marks(heap.state());
    marks.limit_stack(entries);
    marks.push(top.get(), nullptr);
    marks.drain();
    EXPECT_EQ(marks.marked_objects(), count) << entries << " entries";
    for (const auto& [cell, how] : gc::walk_from_roots(heap.state())) {
      EXPECT_TRUE(gc::window::get().place(cell).is_marked());
    }
  }
}

// A root is looked at once: what it leads to must not be lost for lack of room.
TEST(marker, marks_what_only_roots_lead_to_with_any_stack) {
  for (const std::size_t entries : {0, 1, 7, 1000}) {
    gc::heap heap({.name = "rooted", .plan = gc::plan::mark_sweep});
    std::vector<gc::root<object>> roots;
    for (int i = 0; i < 100; ++i) {
      roots.emplace_back(heap.make<object>());
      roots.back()->links[0] = heap.make<object>();
    }
    const gc::holding guard(gc::cycle_lock());
    const gc::stopped_world stopped(nullptr);
    gc::clear_marks(heap.state());
    gc::marker marks(heap.state());
    marks.limit_stack(entries);
    for (const gc::root<object>& root : roots) marks.push(root.get(), nullptr);
    marks.drain();
    EXPECT_EQ(marks.marked_objects(), 200u) << entries << " entries";
  }
}

}  // namespace
}  // namespace gc_marker_tests
