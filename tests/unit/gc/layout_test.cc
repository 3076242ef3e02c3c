// Layouts: the slots that the compiler finds, against the places that the members themselves report.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <tenure/gc.hpp>

using namespace tenure;

namespace gc_layout_tests {
namespace {

struct item {
  int value = 0;
};

// The oracle: offsets of members, found by their addresses in a real object.
template <class T>
std::set<std::size_t> listed(const T& object) {
  constexpr gc::detail::slot_counts all = gc::detail::slots_in<T>;
  std::uint32_t offsets[all.slots + all.pairs + 1];
  gc::detail::slot_list sink{reinterpret_cast<std::uintptr_t>(&object), offsets, all};
  gc::detail::list_slots(const_cast<T&>(object), sink);
  EXPECT_EQ(sink.count.slots, all.slots);
  EXPECT_EQ(sink.count.pairs, all.pairs);
  return {offsets, offsets + all.slots + all.pairs};
}
template <class T, class... Members>
std::set<std::size_t> offsets_of(const T& object, const Members&... members) {
  return {
      static_cast<std::size_t>(reinterpret_cast<const char*>(&members) - reinterpret_cast<const char*>(&object))...};
}

struct plain {
  char letter;
  gc::member<item> first;
  double number;
  gc::atomic_member<item> second;
  std::string text;
};

TEST(layout, aggregates_need_no_declaration) {
  const plain object{};
  EXPECT_EQ(listed(object), offsets_of(object, object.first, object.second));
  static_assert(gc::detail::field_count<plain> == 5);
}

struct inner {
  int number;
  gc::member<item> target;
};
struct outer {
  int counts[3];
  inner parts[2];
  std::array<gc::member<item>, 2> array;
  std::pair<int, gc::member<item>> pair;
  std::tuple<char, inner, gc::member<item>> tuple;
  gc::member<item> grid[2][2];
  unsigned flag : 3;
  unsigned rest : 29;
};

TEST(layout, arrays_pairs_tuples_and_nested_aggregates_are_seen_through) {
  const outer object{};
  static_assert(gc::detail::field_count<outer> == 8);
  EXPECT_EQ(listed(object),
            offsets_of(object, object.parts[0].target, object.parts[1].target, object.array[0], object.array[1],
                       object.pair.second, std::get<1>(object.tuple).target, std::get<2>(object.tuple),
                       object.grid[0][0], object.grid[0][1], object.grid[1][0], object.grid[1][1]));
}

struct leaves {
  std::string text;
  std::vector<int> numbers;
  std::map<std::string, std::vector<double>> table;
  std::unique_ptr<int> owned;
  std::optional<std::string> perhaps;
  std::variant<int, std::string> either;
  int* raw;
  std::vector<leaves> more;
};
static_assert(!gc::detail::has_slots<leaves>);
static_assert(!gc::detail::may_hold_managed<leaves>());
static_assert(gc::detail::may_hold_managed<std::vector<inner>>());

class account {
 public:
  account() = default;
  static std::set<std::size_t> offsets(const account& object) {
    return offsets_of(object, object.owner_, object.history_[0], object.history_[1]);
  }

 private:
  TENURE_GC_MEMBERS(account, name_, owner_, balance_, history_);
  std::string name_;
  gc::member<item> owner_;
  bool closed_ = false;
  double balance_ = 0;
  gc::member<item> history_[2];

 public:
  bool closed() const { return closed_; }
};

TEST(layout, a_class_lists_its_members_and_may_leave_out_small_ones) {
  const account object;
  EXPECT_EQ(listed(object), account::offsets(object));
  EXPECT_FALSE(object.closed());
}

struct shape {
  virtual ~shape() = default;
  virtual int area() const { return 0; }
  gc::member<item> style;
  TENURE_GC_MEMBERS(shape, style);
};
struct named {
  explicit named(std::string given) : name(std::move(given)) {}
  virtual ~named() = default;
  std::string name;
  gc::member<item> label;
  TENURE_GC_MEMBERS(named, name, label);
};
struct square : shape, named {
  explicit square(int given) : named("square"), side(given) {}
  int area() const override { return side * side; }
  int side;
  gc::member<item> pattern;
  TENURE_GC_MEMBERS_OF(square, (shape, named), side, pattern);
};

TEST(layout, multiple_inheritance_and_pointers_to_bases) {
  const square object(3);
  EXPECT_EQ(listed(object), offsets_of(object, object.style, object.label, object.pattern));
  gc::heap heap({.name = "shapes", .verify = true});
  gc::local<named> base = heap.make<square>(3);
  base->label = heap.make<item>();
  heap.collect();
  EXPECT_EQ(base->name, "square");
  EXPECT_EQ(gc::dynamic_pointer_cast<shape>(base)->area(), 9);
  EXPECT_EQ(heap.statistics().live_objects, 2u);
}

struct top {
  virtual ~top() = default;
  gc::member<item> shared;
  TENURE_GC_MEMBERS(top, shared);
};
struct left : virtual top {
  gc::member<item> own;
  TENURE_GC_MEMBERS_OF(left, (top), own);
};
struct right : virtual top {
  gc::member<item> own;
  TENURE_GC_MEMBERS_OF(right, (top), own);
};
struct bottom : left, right {
  gc::member<item> last;
  TENURE_GC_MEMBERS_OF(bottom, (left, right), last);
};

TEST(layout, virtual_bases_are_found_where_the_object_has_them) {
  const bottom object;
  EXPECT_EQ(listed(object), offsets_of(object, object.shared, object.left::own, object.right::own, object.last));
  gc::heap heap({.name = "diamonds", .verify = true});
  gc::local<bottom> made = heap.make<bottom>();
  made->shared = heap.make<item>();
  made->left::own = heap.make<item>();
  made->right::own = heap.make<item>();
  made->last = heap.make<item>();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 5u);
  made->shared = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 4u);
}

// An object is traced while its constructor runs, before its layout is known, too.
struct slow_top {
  virtual ~slow_top() = default;
  gc::member<item> kept;
  TENURE_GC_MEMBERS(slow_top, kept);
};
struct slow_start : virtual slow_top {
  explicit slow_start(gc::heap& heap) {
    kept = heap.make<item>();
    kept->value = 42;
    heap.collect();
    later = heap.make<item>();
  }
  gc::member<item> later;
  TENURE_GC_MEMBERS_OF(slow_start, (slow_top), later);
};
TEST(layout, a_collection_in_the_first_constructor_of_a_type_sees_its_members) {
  gc::heap heap({.name = "constructing", .verify = true, .poison = true});
  const gc::local<slow_start> made = heap.make<slow_start>(heap);
  EXPECT_EQ(made->kept->value, 42);
}

struct alignas(32) wide {
  gc::member<item> target;
  char bytes[24];
};
TEST(layout, alignment_is_kept) {
  gc::heap heap({.name = "aligned"});
  std::vector<gc::root<wide>> kept;
  for (int i = 0; i < 100; ++i) {
    kept.emplace_back(heap.make<wide>());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(kept.back().get()) % 32, 0u);
  }
  const auto row = heap.make_array<wide>(10);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(row->data()) % 32, 0u);
  (*row)[9].target = heap.make<item>();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 102u);
}

TEST(layout, names_are_the_compilers) {
  EXPECT_EQ(gc::detail::name_of<int>(), "int");
  static_assert(gc::detail::is_standard<std::string>());
  static_assert(!gc::detail::is_standard<plain>());
}

}  // namespace
}  // namespace gc_layout_tests
