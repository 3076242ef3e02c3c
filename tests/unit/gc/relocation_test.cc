// What moves when a plan moves objects, what stays, and that nobody who leads to it notices.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"
#include "support/rounds.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_relocation_tests {
namespace {

struct item {
  gc::member<item> next;
  std::uint64_t id = 0;
  std::uint64_t check = 0;
};
struct text {
  gc::member<item> target;
  std::string words = "short";  // libstdc++'s leads into itself
};
struct big {
  gc::member<item> first[16];
  std::unique_ptr<int> owned;
};
struct note {
  gc::ephemeron<item, item> about;
};
struct by_address {
  bool operator()(const gc::member<item>& a, const gc::member<item>& b) const noexcept { return a.get() < b.get(); }
};
struct shelf {
  gc::vector<gc::member<item>> items;
  gc::unordered_map<gc::member<item>, int> numbers;
  gc::map<gc::member<item>, int, by_address> ordered;
  gc::unordered_map<gc::string, gc::member<item>> by_name;
  gc::weak_map<item, item> notes;
};
struct tracked {
  ~tracked() {
    if (on_end) on_end();
  }
  TENURE_GC_MEMBERS(tracked, next, on_end);
  gc::member<item> next;
  void (*on_end)() = nullptr;
};

class relocation : public ::testing::TestWithParam<gc::plan> {
 protected:
  gc::local<item> make(std::uint64_t id) {
    gc::local<item> made = heap_.make<item>();
    made->id = id;
    made->check = id * 31;
    return made;
  }
  // Objects that nothing on the stack leads to: a root to the first of a chain, and what is between them dies.
  gc::root<item> make_chain(std::uint64_t count) {
    gc::root<item> first(make(0));
    gc::root<item> last(first);
    for (std::uint64_t id = 1; id < count; ++id) {
      for (int i = 0; i < 3; ++i) make(~id);
      last->next = make(id);
      last = last->next.get();
    }
    return first;
  }
  static void expect_chain(const gc::root<item>& first, std::uint64_t count) {
    gc::local<item> at(first.get());
    for (std::uint64_t id = 0; id < count; ++id, at = at->next) {
      ASSERT_NE(at, nullptr);
      ASSERT_EQ(at->id, id);
      ASSERT_EQ(at->check, id * 31);
    }
    ASSERT_EQ(at, nullptr);
  }
  std::uint64_t moved() const { return heap_.statistics().moved_objects; }

  test::any_heap heap_{{.name = "moving", .plan = GetParam(), .verify = true, .poison = true, .always_evacuate = true}};
};

// Not inlined: no address is left in the caller's frame.
template <class Function>
[[gnu::noinline]] void apart(Function function) {
  function();
}

TEST_P(relocation, brings_objects_together_and_leads_members_to_them) {
  constexpr std::uint64_t count = 20'000;
  const gc::root<item> first = make_chain(count);
  const std::size_t blocks_before = heap_.statistics().block_bytes;
  heap_.collect();
  const gc::heap_statistics after = heap_.statistics();
  EXPECT_EQ(after.live_objects, count);
  EXPECT_GT(after.moved_objects, count / 2);
  EXPECT_LT(after.block_bytes, blocks_before / 2);
  // As many blocks as they fit into, and those that something on the stack holds.
  EXPECT_LE(after.block_bytes, after.live_bytes + after.live_bytes / 8 + 16 * 64 * 1024);
  expect_chain(first, count);
  heap_.check();
}

TEST_P(relocation, what_locals_pins_and_raw_pointers_lead_to_stays) {
  std::vector<gc::pin<item>> pins;
  std::vector<const item*> addresses;
  apart([&] {
    for (std::uint64_t i = 0; i < 500; ++i) {
      make(~i);
      const gc::local<item> held = make(i);
      pins.emplace_back(held);
    }
  });
  for (const gc::pin<item>& each : pins) addresses.push_back(each.get());
  const gc::local<item> named = make(1000);
  gc::root<item> holder(make(1001));
  holder->next = make(1002);
  item& raw = *holder->next;
  const std::uint64_t* inside = &raw.check;
  const item* named_at = named.get();
  heap_.collect();
  for (std::size_t i = 0; i < pins.size(); ++i) {
    ASSERT_EQ(pins[i].get(), addresses[i]);
    ASSERT_EQ(pins[i]->id, i);
  }
  EXPECT_EQ(named.get(), named_at);
  EXPECT_EQ(holder->next, &raw);
  EXPECT_EQ(*inside, 1002u * 31);
  EXPECT_GE(heap_.statistics().pinned_objects, pins.size() + 2);
}

TEST_P(relocation, roots_and_references_of_each_kind_follow) {
  constexpr std::uint64_t count = 3000;
  std::vector<gc::root<item>> roots;
  std::vector<gc::weak<item>> weak;
  std::vector<gc::soft<item>> soft;
  std::vector<gc::weak<std::uint64_t>> parts;
  std::vector<gc::phantom<item>> phantoms;
  std::vector<std::uintptr_t> before;
  gc::phantom_queue<std::uint64_t> over;
  gc::guardian<item> guardian;
  apart([&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      make(~i);
      const gc::local<item> made = make(i);
      roots.emplace_back(made);
      weak.emplace_back(made);
      soft.emplace_back(made);
      parts.emplace_back(gc::local<std::uint64_t>(&made->check));
      phantoms.emplace_back(made, over, i);
      guardian.guard(made);
      before.push_back(~reinterpret_cast<std::uintptr_t>(made.get()));
    }
  });
  heap_.collect();
  std::uint64_t elsewhere = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSERT_EQ(roots[i]->id, i);
    ASSERT_EQ(weak[i].lock(), roots[i].get());
    ASSERT_EQ(soft[i].lock(), roots[i].get());
    ASSERT_EQ(parts[i].lock(), &roots[i]->check);
    ASSERT_FALSE(phantoms[i].is_over());
    elsewhere += ~reinterpret_cast<std::uintptr_t>(roots[i].get()) != before[i] ? 1 : 0;
  }
  EXPECT_GT(elsewhere, count / 4);
  EXPECT_EQ(guardian.take(), nullptr);
  // Half of them die where they have come to.
  for (std::uint64_t i = 0; i < count; i += 2) roots[i] = nullptr;
  soft.clear();
  heap_.collect();
  std::set<std::uint64_t> given_back;
  while (const gc::local<item> back = guardian.take()) given_back.insert(back->id);
  EXPECT_EQ(given_back.size(), count / 2);
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(given_back.contains(i), i % 2 == 0);
  heap_.collect();
  std::set<std::uint64_t> told;
  while (const std::optional<std::uint64_t> id = over.take()) told.insert(*id);
  EXPECT_EQ(told, given_back);
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(weak[i].expired(), i % 2 == 0);
  phantoms.clear();
}

TEST_P(relocation, containers_find_what_they_hold) {
  gc::root<shelf> made(heap_.make<shelf>());
  std::vector<gc::root<item>> keys;
  apart([&] {
    const gc::local<shelf> lost = heap_.make<shelf>();
    for (std::uint64_t i = 0; i < 400; ++i) {
      // Nodes that go lie between those that stay.
      for (std::uint64_t k = 0; k < 10; ++k) {
        lost->ordered[make(~i)] = 0;
        lost->by_name["lost " + std::to_string(i * 10 + k)] = nullptr;
      }
      const gc::local<item> each = make(i);
      keys.emplace_back(each);
      made->items.push_back(each);
      made->numbers[each] = static_cast<int>(i);
      made->ordered[each] = static_cast<int>(i);
      made->by_name["item " + std::to_string(i)] = each;
      made->notes.set(each, make(i + 1000));
    }
  });
  for (int round = 0; round < 3; ++round) heap_.collect();
  EXPECT_GT(moved(), 200u);
  for (std::uint64_t i = 0; i < 400; ++i) {
    const gc::local<item> each(keys[i].get());
    ASSERT_EQ(made->items[i]->id, i);
    ASSERT_EQ(made->numbers[each], static_cast<int>(i));
    ASSERT_EQ(made->ordered[each], static_cast<int>(i));
    ASSERT_EQ(made->by_name["item " + std::to_string(i)]->id, i);
    ASSERT_EQ(made->notes.get(each)->id, i + 1000);
  }
  EXPECT_EQ(made->numbers.size(), 400u);
}

TEST_P(relocation, values_of_ephemerons_follow_and_keys_stay) {
  gc::root<gc::array<gc::member<note>>> notes(heap_.make_array<gc::member<note>>(300));
  std::vector<gc::root<item>> keys;
  apart([&] {
    for (std::uint64_t i = 0; i < 300; ++i) {
      for (int k = 0; k < 30; ++k) heap_.make<note>();
      const gc::local<item> key = make(i);
      keys.emplace_back(key);
      const gc::local<note> pair = heap_.make<note>();
      pair->about.set(key, make(i + 1000));
      (*notes)[i] = pair;
    }
  });
  for (int round = 0; round < 3; ++round) {
    heap_.collect();
    for (std::uint64_t i = 0; i < 300; ++i) {
      ASSERT_EQ((*notes)[i]->about.key(), keys[i].get());
      ASSERT_EQ((*notes)[i]->about.value()->id, i + 1000);
    }
  }
  EXPECT_GT(moved(), 100u);
  keys.clear();
  heap_.collect();
  for (std::uint64_t i = 0; i < 300; ++i) ASSERT_EQ((*notes)[i]->about.value(), nullptr);
}

// Of a type that may not be moved; of those that are large.
TEST_P(relocation, what_may_not_be_moved_stays_and_is_led_on) {
  std::vector<gc::root<text>> texts;
  gc::root<gc::array<gc::member<item>>> table(heap_.make_array<gc::member<item>>(20'000));
  const void* table_at = table.get();
  std::vector<std::uintptr_t> before;
  apart([&] {
    for (std::uint64_t i = 0; i < 1000; ++i) {
      heap_.make<text>();
      for (int k = 0; k < 8; ++k) make(~i);
      const gc::local<text> each = heap_.make<text>();
      each->target = make(i);
      each->words += std::to_string(i);
      (*table)[i * 20] = each->target;
      texts.emplace_back(each);
      before.push_back(~reinterpret_cast<std::uintptr_t>(each.get()));
    }
  });
  heap_.collect();
  EXPECT_EQ(table.get(), table_at);
  EXPECT_GT(moved(), 300u);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(~reinterpret_cast<std::uintptr_t>(texts[i].get()), before[i]);
    ASSERT_EQ(texts[i]->words, "short" + std::to_string(i));
    ASSERT_EQ(texts[i]->target->id, i);
    ASSERT_EQ((*table)[i * 20], texts[i]->target);
  }
}

TEST_P(relocation, objects_of_several_sizes_and_owners_of_memory) {
  std::vector<gc::root<big>> kept;
  apart([&] {
    for (int i = 0; i < 600; ++i) {
      heap_.make<big>();
      const gc::local<big> each = heap_.make<big>();
      each->owned = std::make_unique<int>(i);
      each->first[i % 16] = make(static_cast<std::uint64_t>(i));
      kept.emplace_back(each);
    }
  });
  for (int round = 0; round < 2; ++round) {
    heap_.collect();
    heap_.wait_for_destructors();
  }
  EXPECT_GT(moved(), 100u);
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(*kept[static_cast<std::size_t>(i)]->owned, i);
    ASSERT_EQ(kept[static_cast<std::size_t>(i)]->first[i % 16]->id, static_cast<std::uint64_t>(i));
  }
}

// The end of a full array is where the next object begins.
TEST_P(relocation, what_only_its_end_is_known_of_stays) {
  std::vector<gc::root<shelf>> shelves;
  std::array<const gc::member<item>*, 64> ends{};
  apart([&] {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      shelves.emplace_back(heap_.make<shelf>());
      for (int k = 0; k < 30; ++k) heap_.make_array<gc::member<item>>(5 + i % 8);
      gc::vector<gc::member<item>>& items = shelves.back()->items;
      do items.push_back(nullptr);
      while (items.size() != items.capacity());
      ends[i] = &*items.begin() + items.size();
    }
  });
  heap_.collect();
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const gc::vector<gc::member<item>>& items = shelves[i]->items;
    ASSERT_EQ(&*items.begin() + items.size(), ends[i]);
  }
}

// The key is a member of an object; what it leads to moves when the node is made.
TEST_P(relocation, keys_out_of_members_are_found_again) {
  test::any_heap heap({.name = "keys",
                       .plan = GetParam(),
                       .collect_every_allocations = 1,
                       .verify = true,
                       .poison = true,
                       .always_evacuate = true});
  gc::root<shelf> made(heap.make<shelf>());
  gc::root<item> first(heap.make<item>());
  for (int i = 0; i < test::rounds(60); ++i) {
    apart([&] {
      first->next = heap.make<item>();
      first->next->next = heap.make<item>();
    });
    made->numbers[first->next] = i;
    made->ordered[first->next] = i;
    made->numbers.insert_or_assign(first->next->next, i + 1000);
    ASSERT_EQ(made->numbers.at(first->next), i);
    ASSERT_EQ(made->ordered.at(first->next), i);
    ASSERT_EQ(made->numbers.at(first->next->next), i + 1000);
  }
  ASSERT_EQ(made->numbers.size(), test::rounds(60u) * 2);
  ASSERT_EQ(made->ordered.size(), test::rounds(60u));
}

// Another thread copies roots, and looks at objects by way of locals.
TEST_P(relocation, another_thread_may_copy_roots) {
  const gc::root<item> shared = make_chain(200);
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> wrong{0};
  std::thread other([&] {
    while (!is_over) {
      const gc::root<item> copy(shared);
      gc::root<item> assigned;
      assigned = copy;
      const gc::pin<item> pinned(assigned);
      const gc::local<item> seen(assigned);
      if (seen->id != 0 || seen->check != 0 || pinned.get() != seen.get()) ++wrong;
      if (seen->next->id != 1 || seen->next->check != 31) ++wrong;
    }
  });
  for (int i = 0; i < test::rounds(300); ++i) {
    make(~std::uint64_t{0});
    heap_.collect();
  }
  is_over = true;
  other.join();
  EXPECT_EQ(wrong.load(), 0u);
  expect_chain(shared, 200);
}

// The heap is another thread's: what it has in hand is not seen from here.
TEST_P(relocation, a_cycle_of_another_thread_moves_nothing) {
  const gc::root<item> first = make_chain(5000);
  std::thread([&] { heap_.collect(); }).join();
  EXPECT_EQ(moved(), 0u);
  EXPECT_EQ(heap_.statistics().live_objects, 5000u);
  heap_.collect();
  EXPECT_GT(moved(), 0u);
  expect_chain(first, 5000);
}

TEST_P(relocation, nothing_moves_while_another_thread_has_a_local) {
  const gc::root<item> first = make_chain(5000);
  std::atomic<int> step{0};
  std::thread other([&] {
    const gc::local<item> held(first.get());
    step = 1;
    step.notify_all();
    step.wait(1);
  });
  step.wait(0);
  heap_.collect();
  EXPECT_EQ(moved(), 0u);
  step = 2;
  step.notify_all();
  other.join();
  heap_.collect();
  EXPECT_GT(moved(), 0u);
}

TEST_P(relocation, nothing_moves_while_a_destructor_runs) {
  static std::atomic<int> step{0};
  step = 0;
  const gc::root<item> first = make_chain(5000);
  apart([&] {
    const gc::local<tracked> dying = heap_.make<tracked>();
    dying->next = first.get();
    dying->on_end = [] {
      step = 1;
      step.notify_all();
      step.wait(1);
    };
  });
  heap_.collect();
  const std::uint64_t moved_before = moved();
  step.wait(0);
  heap_.collect();
  EXPECT_EQ(moved(), moved_before);
  step = 2;
  step.notify_all();
  heap_.wait_for_destructors();
  expect_chain(first, 5000);
}

TEST_P(relocation, goes_to_the_next_thread_when_its_own_ends) {
  gc::root<item> first;
  std::thread([&] { first = make_chain(2000); }).join();
  make(0);
  heap_.collect();
  EXPECT_GT(moved(), 0u);
  expect_chain(first, 2000);
}

TEST_P(relocation, refuses_a_second_thread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        test::any_heap heap({.name = "mine", .plan = GetParam()});
        heap.make<item>();
        std::thread([&] { heap.make<item>(); }).join();
      },
      "gc::heap \"mine\" moves its objects and belongs to thread");
}

TEST_P(relocation, without_room_objects_stay) {
  test::any_heap heap({.name = "narrow",
                       .plan = GetParam(),
                       .limit_bytes = 1 << 20,
                       .verify = true,
                       .poison = true,
                       .always_evacuate = true});
  std::vector<gc::root<item>> kept;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    kept.emplace_back(heap.make<item>());
    kept.back()->id = i;
  }
  for (int round = 0; round < 3; ++round) heap.collect();
  for (std::uint64_t i = 0; i < 20'000; ++i) ASSERT_EQ(kept[i]->id, i);
  EXPECT_LE(heap.statistics().block_bytes, std::size_t{1} << 20);
}

INSTANTIATE_TEST_SUITE_P(plans, relocation, test::moving_plans(), test::plan_name);

TEST(relocation_of_plans, semispace_lays_a_list_out_in_its_order) {
  test::any_heap heap({.name = "ordered", .plan = gc::plan::semispace});
  constexpr std::uint64_t count = 5000;
  std::vector<gc::root<item>> made;
  for (std::uint64_t i = 0; i < count; ++i) made.emplace_back(heap.make<item>());
  test::dice dice(7);
  for (std::uint64_t i = count; i > 1; --i) std::swap(made[i - 1], made[dice.below(static_cast<std::uint32_t>(i))]);
  for (std::uint64_t i = 0; i + 1 < count; ++i) made[i]->next = made[i + 1].get();
  made.resize(1);
  heap.collect();
  std::uint64_t neighbours = 0;
  for (const item* at = made[0].get(); at->next != nullptr; at = at->next.get()) {
    const auto distance = reinterpret_cast<const char*>(at->next.get()) - reinterpret_cast<const char*>(at);
    neighbours += distance > 0 && distance <= 16 * 32 ? 1 : 0;
  }
  // All but where a block ends. What the stack happens to pin begins a list of its own, which is copied in turns.
  EXPECT_GT(neighbours, count - 50);
}

TEST(relocation_of_plans, immix_moves_when_it_is_worth_it) {
  test::any_heap heap({.name = "opportunistic", .plan = gc::plan::immix, .verify = true, .poison = true});
  std::vector<gc::root<item>> kept;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    kept.emplace_back(heap.make<item>());
    kept.back()->id = i;
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().moved_objects, 0u);
  // Holes in all blocks, but few.
  for (std::size_t i = 0; i < kept.size(); i += 8) kept[i] = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().moved_objects, 0u);
  // Of the second half of the blocks little is left.
  for (std::size_t i = kept.size() / 2; i < kept.size(); ++i) {
    if (i % 10 != 1) kept[i] = nullptr;
  }
  const std::size_t blocks_before = heap.statistics().block_bytes;
  heap.collect();
  EXPECT_GT(heap.statistics().moved_objects, 0u);
  EXPECT_LT(heap.statistics().block_bytes, blocks_before);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].get() != nullptr) {
      ASSERT_EQ(kept[i]->id, i);
    }
  }
}

TEST(relocation_of_plans, heaps_that_move_all_are_made_by_heap_of) {
  for (const gc::plan plan : {gc::plan::mark_compact, gc::plan::semispace}) {
    EXPECT_THROW(gc::heap({.plan = plan}), std::invalid_argument);
  }
  gc::heap_of<gc::plan::semispace> heap({.name = "typed"});
  EXPECT_EQ(heap.plan(), gc::plan::semispace);
  gc::root<item> kept(heap.make<item>());
  kept->next = heap.make<item>();
  heap.make_array<gc::member<item>>(10);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 2u);
  EXPECT_EQ(gc::heap_snapshot(heap.as_heap()).objects().size(), 2u);
}

// What may be moved.
struct plain {
  int number;
  double ratio;
  int* raw;
};
struct with_base : plain {
  int more;
};
struct recursive {
  gc::vector<recursive> parts;
  gc::member<recursive> parent;
};
class listed {
 public:
  explicit listed(int value) : value_(value) {}

 private:
  TENURE_GC_MEMBERS(listed, value_, next_);
  int value_;
  gc::member<listed> next_;
};
struct ending {
  ~ending() { *at = 0; }
  int* at;
};
struct forbidden {
  forbidden* self = this;
};

}  // namespace
}  // namespace gc_relocation_tests

template <>
inline constexpr gc::moving tenure::gc::moving_of<gc_relocation_tests::forbidden> = gc::moving::forbidden;

namespace gc_relocation_tests {
namespace {

static_assert(gc::is_relocatable<plain> && gc::is_relocatable<with_base> && gc::is_relocatable<listed>);
static_assert(gc::is_relocatable<recursive> && gc::is_relocatable<item[3]> && gc::is_relocatable<big>);
static_assert(gc::is_relocatable<shelf> && gc::is_relocatable<gc::string> && gc::is_relocatable<note>);
static_assert(gc::is_relocatable<gc::weak<item>> && gc::is_relocatable<std::pair<int, gc::member<item>>>);
static_assert(!gc::is_relocatable<text> && !gc::is_relocatable<gc::vector<std::string>>);
static_assert(!gc::is_relocatable<gc::map<int, text>> && !gc::is_relocatable<forbidden>);
static_assert(!gc::is_relocatable<ending>);
static_assert(!gc::is_relocatable<tracked> && !gc::is_relocatable<std::mutex>);

}  // namespace
}  // namespace gc_relocation_tests
