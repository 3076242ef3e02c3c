// Random layouts, made by make_layouts.py when the tests are built, against what constructors note: each managed
// pointer in them is of a class that notes its own address, or the class around it does. Of each type an object by
// itself, a managed one of each plan that collects, and a managed array.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tenure/gc.hpp>

#include "unit/gc/plans.h"

using namespace tenure;

namespace {

struct target {
  std::uint64_t number = 0;
};

// What was constructed since it was emptied.
struct noted_slot {
  gc::member<target>* plain = nullptr;
  gc::atomic_member<target>* atomic = nullptr;

  const void* address() const { return plain != nullptr ? static_cast<const void*>(plain) : atomic; }
  void set(const gc::local<target>& to) const {
    if (plain != nullptr) {
      *plain = to;
    } else {
      atomic->store(to);
    }
  }
  std::uint64_t number() const { return plain != nullptr ? (*plain)->number : atomic->load()->number; }
};
std::vector<noted_slot> noted_slots;
void note(gc::member<target>* slot) { noted_slots.push_back({slot, nullptr}); }
void note(gc::atomic_member<target>* slot) { noted_slots.push_back({nullptr, slot}); }

class noted {
 public:
  noted() { note(&target_); }
  TENURE_GC_MEMBERS(noted, target_);

 private:
  gc::member<target> target_;
};

struct alignas(32) wide_number {
  char letter;
};
struct alignas(16) wide_pointer {
  char letter;
  noted to;
};

#include "random_layouts.h"

std::set<std::size_t> noted_offsets(const void* object) {
  std::set<std::size_t> found;
  for (const noted_slot& each : noted_slots) {
    found.insert(static_cast<std::size_t>(static_cast<const char*>(each.address()) - static_cast<const char*>(object)));
  }
  return found;
}

template <class T>
class random_layout : public ::testing::Test {};
TYPED_TEST_SUITE(random_layout, random_layouts);

TYPED_TEST(random_layout, slots_are_where_constructors_were) {
  noted_slots.clear();
  const auto object = std::make_unique<TypeParam>();
  constexpr gc::detail::slot_counts all = gc::detail::slots_in<TypeParam>;
  std::vector<std::uint32_t> offsets(all.slots + 1);
  gc::detail::slot_list sink{reinterpret_cast<std::uintptr_t>(object.get()), offsets.data(), all};
  gc::detail::list_slots(*object, sink);
  ASSERT_EQ(sink.count.slots, all.slots);
  EXPECT_EQ(all.pairs, 0u);
  // A virtual base that two bases share is listed by both.
  EXPECT_EQ(noted_offsets(object.get()), (std::set<std::size_t>(offsets.begin(), offsets.end() - 1)));
}

// Each slot keeps what it leads to, and a collector writes where the slots are and nowhere else.
void fill_and_collect(gc::heap& heap) {
  const std::vector<noted_slot> slots = noted_slots;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const gc::local<target> made = heap.make<target>();
    made->number = i;
    slots[i].set(made);
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 1 + slots.size());
  heap.collect_young();
  for (std::size_t i = 0; i < slots.size(); ++i) ASSERT_EQ(slots[i].number(), i);
  for (std::size_t i = 0; i < slots.size(); i += 2) slots[i].set(nullptr);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 1 + slots.size() / 2);
  for (std::size_t i = 1; i < slots.size(); i += 2) ASSERT_EQ(slots[i].number(), i);
  heap.check();
}

TYPED_TEST(random_layout, objects_are_traced) {
  for (const test::named_plan& plan : test::all_collecting) {
    test::any_heap heap({.name = plan.name, .plan = plan.plan, .verify = true, .poison = true});
    noted_slots.clear();
    const gc::local<TypeParam> object = heap.make<TypeParam>();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object.get()) % alignof(TypeParam), 0u);
    fill_and_collect(heap);
    ASSERT_FALSE(::testing::Test::HasFailure()) << plan.name;
  }
}

TYPED_TEST(random_layout, elements_are_traced) {
  gc::heap heap({.name = "elements", .verify = true, .poison = true});
  noted_slots.clear();
  const auto row = heap.make_array<TypeParam>(5);
  fill_and_collect(heap);
}

}  // namespace
