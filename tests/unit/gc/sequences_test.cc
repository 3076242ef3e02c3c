// vector, deque and string, on random operations beside those of the standard library, in heaps that collect all the
// time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>
#include <sstream>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"
#include "support/rounds.h"
#include "unit/gc/containers.h"
#include "unit/gc/restless_collector.h"

using namespace tenure;
using test::counted;
using test::id_of;
using test::make_number;
using test::number;

namespace gc_sequences_tests {
namespace {

using element = gc::member<number>;

static_assert(sizeof(gc::vector<element>) == sizeof(void*) && std::is_trivially_destructible_v<gc::vector<element>>);
static_assert(sizeof(gc::string) == sizeof(void*) && sizeof(gc::deque<counted>) == sizeof(void*));
static_assert(gc::detail::slots_in<gc::vector<counted>>.slots == 1 && gc::detail::slots_in<gc::string>.slots == 1);
static_assert(std::random_access_iterator<gc::vector<element>::iterator>);
static_assert(std::random_access_iterator<gc::deque<counted>::const_iterator>);
static_assert(std::contiguous_iterator<gc::vector<int>::iterator>);

class sequences : public ::testing::TestWithParam<test::collecting_often> {
 protected:
  gc::heap heap_{GetParam().options()};
};

template <class Sequence, class Reference>
void expect_same(const Sequence& sequence, const Reference& reference) {
  ASSERT_EQ(sequence.size(), reference.size());
  ASSERT_EQ(sequence.empty(), reference.empty());
  ASSERT_TRUE(std::equal(sequence.begin(), sequence.end(), reference.begin(), reference.end(),
                         [](const auto& a, std::uint64_t b) { return id_of(a) == b; }));
  ASSERT_TRUE(std::equal(sequence.rbegin(), sequence.rend(), reference.rbegin(), reference.rend(),
                         [](const auto& a, std::uint64_t b) { return id_of(a) == b; }));
}

// What all sequences can do.
template <class Sequence, class Reference>
void change(gc::heap& heap, Sequence& sequence, Reference& reference, test::dice& dice, std::uint64_t next) {
  const std::size_t size = reference.size();
  const auto any = static_cast<std::ptrdiff_t>(dice.below(static_cast<std::uint32_t>(size) + 1));
  switch (dice.below(10)) {
    case 0:
    case 1:
      sequence.emplace_back(make_number(heap, next));
      reference.push_back(next);
      return;
    case 2: {
      const auto at = sequence.emplace(sequence.begin() + any, make_number(heap, next));
      reference.insert(reference.begin() + any, next);
      ASSERT_EQ(id_of(*at), next);
      return;
    }
    case 3:
      if (size == 0) return;
      sequence.push_back(sequence[static_cast<std::size_t>(any) % size]);  // one of its own
      reference.push_back(reference[static_cast<std::size_t>(any) % size]);
      return;
    case 4:
      if (size == 0) return;
      sequence.pop_back();
      reference.pop_back();
      return;
    case 5: {
      const auto to = std::min<std::ptrdiff_t>(any + dice.below(4), static_cast<std::ptrdiff_t>(size));
      const auto at = sequence.erase(sequence.begin() + any, sequence.begin() + to);
      reference.erase(reference.begin() + any, reference.begin() + to);
      ASSERT_EQ(at - sequence.begin(), any);
      return;
    }
    case 6: {
      const std::size_t count = dice.below(20);
      sequence.resize(count);
      reference.resize(count);
      return;
    }
    case 7:
      sequence.shrink_to_fit();
      return;
    case 8: {
      const gc::local<Sequence> other = heap.make<Sequence>(sequence);
      expect_same(*other, reference);
      other->emplace_back();
      if (dice.one_in(2)) other->pop_back();
      if (dice.one_in(2)) swap(*other, sequence);
      if (sequence.size() != size) sequence.pop_back();
      const gc::local<Sequence> moved = heap.make<Sequence>(std::move(sequence));
      sequence = std::move(*moved);
      return;
    }
    default:
      if (size == 0) return;
      sequence[static_cast<std::size_t>(any) % size] = sequence[0];
      reference[static_cast<std::size_t>(any) % size] = reference[0];
      return;
  }
}

template <class T>
void vector_step(gc::heap& heap, gc::vector<T>& sequence, std::vector<std::uint64_t>& reference, test::dice& dice,
                 std::uint64_t next) {
  const std::size_t size = reference.size();
  const auto any = static_cast<std::ptrdiff_t>(dice.below(static_cast<std::uint32_t>(size) + 1));
  switch (dice.below(6)) {
    case 0:
      if (size == 0) return;
      // Several copies of one of its own elements.
      sequence.insert(sequence.begin() + any, 3, sequence[size - 1]);
      reference.insert(reference.begin() + any, 3, std::uint64_t{reference[size - 1]});
      return;
    case 1: {
      const gc::local<gc::vector<T>> more = heap.make<gc::vector<T>>();
      for (std::uint64_t i = 0; i < 3; ++i) more->emplace_back(make_number(heap, next + i));
      sequence.insert(sequence.begin() + any, more->begin(), more->end());
      reference.insert(reference.begin() + any, {next, next + 1, next + 2});
      return;
    }
    case 2:
      sequence.reserve(dice.below(64));
      return;
    case 3:
      if (size == 0) return;
      sequence.assign(4, sequence[0]);
      reference.assign(4, std::uint64_t{reference[0]});
      return;
    default:
      return change(heap, sequence, reference, dice, next);
  }
}

template <class T>
void run_vector(gc::heap& heap) {
  for (std::uint32_t seed = 1; seed <= test::rounds(4u); ++seed) {
    test::dice dice(seed);
    const gc::local<gc::vector<T>> sequence = heap.make<gc::vector<T>>();
    std::vector<std::uint64_t> reference;
    for (std::uint64_t i = 1; i < 400; ++i) {
      vector_step(heap, *sequence, reference, dice, 10 * i);
      expect_same(*sequence, reference);
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << " step " << i;
    }
  }
}

template <class T>
void run_deque(gc::heap& heap) {
  for (std::uint32_t seed = 1; seed <= test::rounds(4u); ++seed) {
    test::dice dice(seed);
    const gc::local<gc::deque<T>> sequence = heap.make<gc::deque<T>>();
    std::deque<std::uint64_t> reference;
    for (std::uint64_t i = 1; i < 400; ++i) {
      switch (dice.below(4)) {
        case 0:
          sequence->emplace_front(make_number(heap, 10 * i));
          reference.push_front(10 * i);
          break;
        case 1:
          if (reference.empty()) break;
          if (dice.one_in(2)) {
            sequence->push_front(sequence->back());
            reference.push_front(std::uint64_t{reference.back()});
          } else {
            sequence->pop_front();
            reference.pop_front();
          }
          break;
        default:
          change(heap, *sequence, reference, dice, 10 * i);
      }
      expect_same(*sequence, reference);
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << " step " << i;
    }
  }
}

void expect_all_destroyed(gc::heap& heap) {
  for (int i = 0; i < 2; ++i) {
    heap.collect();
    heap.wait_for_destructors();
  }
  EXPECT_EQ(counted::living.load(), 0);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
}

TEST_P(sequences, a_vector_of_members_does_what_std_vector_does) {
  run_vector<element>(heap_);
  expect_all_destroyed(heap_);
}
TEST_P(sequences, a_vector_of_classes_does_what_std_vector_does) {
  run_vector<counted>(heap_);
  expect_all_destroyed(heap_);
}
TEST_P(sequences, a_deque_of_members_does_what_std_deque_does) {
  run_deque<element>(heap_);
  expect_all_destroyed(heap_);
}
TEST_P(sequences, a_deque_of_classes_does_what_std_deque_does) {
  run_deque<counted>(heap_);
  expect_all_destroyed(heap_);
}

// What was taken out keeps nothing alive.
TEST_P(sequences, an_element_that_is_gone_keeps_nothing) {
  const auto vector = heap_.make<gc::vector<counted>>();
  const auto deque = heap_.make<gc::deque<element>>();
  std::vector<gc::weak<number>> weak;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    const gc::local<number> made = make_number(heap_, i);
    weak.emplace_back(made);
    vector->emplace_back(made);
    deque->emplace_back(made);
  }
  vector->pop_back();
  deque->pop_back();
  vector->erase(vector->begin());
  deque->pop_front();
  vector->erase(vector->begin() + 1, vector->begin() + 3);  // 3 and 4
  deque->erase(deque->begin() + 1, deque->begin() + 3);
  heap_.collect();
  for (std::uint64_t i = 1; i <= 6; ++i) EXPECT_EQ(weak[i - 1].expired(), i != 2 && i != 5) << i;
  vector->clear();
  deque->clear();
  heap_.collect();
  for (const gc::weak<number>& each : weak) EXPECT_TRUE(each.expired());
}

TEST_P(sequences, what_throws_changes_nothing) {
  const auto vector = heap_.make<gc::vector<counted>>();
  const auto deque = heap_.make<gc::deque<counted>>();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const gc::local<gc::vector<counted>> one = heap_.make<gc::vector<counted>>();
    one->emplace_back(make_number(heap_, i));
    counted::copies_until_throw = 1;
    EXPECT_THROW(vector->push_back((*one)[0]), std::runtime_error);
    counted::copies_until_throw = 1;
    EXPECT_THROW(deque->push_front((*one)[0]), std::runtime_error);
    counted::copies_until_throw = 1;
    EXPECT_THROW(vector->assign(3, (*one)[0]), std::runtime_error);
    ASSERT_EQ(vector->size(), i - 1);
    ASSERT_EQ(deque->size(), i - 1);
    counted::copies_until_throw = 0;
    vector->push_back((*one)[0]);
    deque->push_front((*one)[0]);
    ASSERT_EQ(vector->back().id(), i);
    ASSERT_EQ(deque->front().id(), i);
  }
  EXPECT_THROW(vector->at(20), std::out_of_range);
  EXPECT_THROW(deque->at(20), std::out_of_range);
  EXPECT_THROW(vector->reserve(~std::size_t{0} / 2), std::bad_alloc);
  vector->clear();
  deque->clear();
}

// With a managed pointer that is stored before the constructor throws, and one that could be.
struct refusing {
  explicit refusing(const gc::local<number>& target, bool refuses = false) : kept(target), pair(target, target) {
    if (refuses) throw std::runtime_error("no element");
  }
  TENURE_GC_MEMBERS(refusing, kept, pair);
  gc::member<number> kept;
  gc::ephemeron<number, number> pair;
};
TEST_P(sequences, an_element_that_was_not_constructed_keeps_nothing) {
  const auto vector = heap_.make<gc::vector<refusing>>();
  const auto deque = heap_.make<gc::deque<refusing>>();
  const auto front = heap_.make<gc::deque<refusing>>();
  const gc::local<number> alive = make_number(heap_, 1);
  vector->reserve(8);
  for (int i = 0; i < 3; ++i) deque->emplace_back(alive);
  for (int i = 0; i < 3; ++i) front->emplace_back(alive);
  gc::weak<number> refused;
  {
    const gc::local<number> made = make_number(heap_, 2);
    refused = gc::weak<number>(made);
    EXPECT_THROW(vector->emplace_back(made, true), std::runtime_error);
    EXPECT_THROW(deque->emplace_back(made, true), std::runtime_error);
    EXPECT_THROW(front->emplace_front(made, true), std::runtime_error);
  }
  heap_.collect();
  EXPECT_TRUE(refused.expired());
  EXPECT_TRUE(vector->empty());
  deque->emplace_back(alive);
  front->emplace_front(alive);
  heap_.collect();
  EXPECT_EQ(deque->back().pair.value()->check, 31u);
  EXPECT_EQ(front->front().kept->check, 31u);
}

// Some elements are there when one throws: they go again.
TEST_P(sequences, what_throws_among_several_changes_nothing) {
  const auto vector = heap_.make<gc::vector<counted>>();
  const auto deque = heap_.make<gc::deque<counted>>();
  const auto several = heap_.make<gc::vector<counted>>();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    vector->emplace_back(make_number(heap_, i));
    deque->emplace_back(make_number(heap_, i));
    several->emplace_back(make_number(heap_, 10 + i));
  }
  const auto expect_unchanged = [&](auto throws) {
    counted::copies_until_throw = 3;
    counted::refuse_after = 3;
    EXPECT_THROW(throws(), std::exception);
    counted::copies_until_throw = 0;
    counted::refuse_after = 0;
    expect_same(*vector, std::vector<std::uint64_t>{1, 2, 3, 4, 5});
    expect_same(*deque, std::vector<std::uint64_t>{1, 2, 3, 4, 5});
    ASSERT_EQ(counted::living.load(), 15);
  };
  for (const std::size_t room : {std::size_t{5}, std::size_t{40}}) {
    vector->reserve(room);
    expect_unchanged([&] { vector->resize(12); });
    expect_unchanged([&] { vector->resize(12, (*several)[0]); });
    expect_unchanged([&] { vector->insert(vector->end(), 4, (*several)[0]); });
    expect_unchanged([&] { vector->insert(vector->begin(), several->begin(), several->end()); });
    expect_unchanged([&] { vector->insert(vector->begin() + 1, ~std::size_t{0} / 2, (*several)[0]); });
    expect_unchanged([&] { deque->resize(12); });
  }
  for (gc::vector<counted>* each : {vector.get(), several.get()}) each->clear();
  deque->clear();
}

// Algorithms take elements out for a moment; a collector that never rests does not take them away.
TEST_P(sequences, algorithms_lose_nothing) {
  gc::heap heap({.name = "sorted", .plan = GetParam().plan, .verify = true, .poison = true});
  test::restless_collector collector(heap);
  test::dice dice(3);
  const auto less = [](const gc::local<number>& a, const gc::local<number>& b) { return a->id < b->id; };
  for (int round = 0; round < test::rounds(20); ++round) {
    const auto vector = heap.make<gc::vector<element>>();
    const auto deque = heap.make<gc::deque<element>>();
    std::vector<std::uint64_t> reference;
    for (int i = 0; i < 100; ++i) {
      reference.push_back(dice.below(60));
      vector->push_back(make_number(heap, reference.back()));
      deque->push_front(make_number(heap, reference.back()));
    }
    std::sort(reference.begin(), reference.end());
    std::sort(vector->begin(), vector->end(), less);
    std::stable_sort(deque->begin(), deque->end(), less);
    expect_same(*vector, reference);
    expect_same(*deque, reference);
    std::rotate(vector->begin(), vector->begin() + 30, vector->end());
    std::rotate(reference.begin(), reference.begin() + 30, reference.end());
    std::ranges::reverse(*vector);
    std::reverse(reference.begin(), reference.end());
    erase_if(*vector, [](const element& each) { return each->id % 3 == 0; });
    std::erase_if(reference, [](std::uint64_t id) { return id % 3 == 0; });
    expect_same(*vector, reference);
    EXPECT_TRUE(*heap.make<gc::vector<element>>(*vector) == *vector);
  }
  collector.stop();
}

TEST_P(sequences, a_string_does_what_std_string_does) {
  for (std::uint32_t seed = 1; seed <= test::rounds(4u); ++seed) {
    test::dice dice(seed);
    const gc::local<gc::string> text = heap_.make<gc::string>();
    std::string reference;
    for (int i = 0; i < 500; ++i) {
      const std::size_t at = dice.below(static_cast<std::uint32_t>(reference.size()) + 1);
      const std::size_t count = dice.below(6);
      const std::string more(dice.below(20), static_cast<char>('a' + dice.below(26)));
      switch (dice.below(8)) {
        case 0:
          *text += more;
          reference += more;
          break;
        case 1:
          text->insert(at, more);
          reference.insert(at, more);
          break;
        case 2:
          text->erase(at, count);
          reference.erase(at, count);
          break;
        case 3:
          text->replace(at, count, more);
          reference.replace(at, count, more);
          break;
        case 4:  // with a part of itself
          text->replace(at / 2, count, std::string_view(*text).substr(0, at));
          reference.replace(at / 2, count, std::string(reference, 0, at));
          break;
        case 5:
          if (reference.size() > 200) {
            *text = more.c_str();
            reference = more;
          }
          text->shrink_to_fit();
          break;
        case 6: {
          const gc::local<gc::string> copy = heap_.make<gc::string>(*text);
          swap(*copy, *text);
          text->resize(at, 'z');
          reference.resize(at, 'z');
          break;
        }
        default:
          text->push_back('!');
          reference.push_back('!');
      }
      ASSERT_EQ(*text, reference);
      ASSERT_EQ(std::strlen(text->c_str()), reference.size());
      ASSERT_EQ(*text <=> std::string_view(more), reference <=> more);
      ASSERT_EQ(text->find(more), reference.find(more));
      ASSERT_EQ(std::hash<gc::string>()(*text), std::hash<std::string>()(reference));
    }
    std::ostringstream written;
    written << *text;
    ASSERT_EQ(written.str(), reference);
  }
}

TEST_P(sequences, an_empty_string_ends_with_a_zero) {
  const gc::local<gc::string> text = heap_.make<gc::string>();
  ASSERT_EQ((*text)[0], '\0');
  (*text)[0] = '\0';  // which may be written there, and nothing else
  ASSERT_EQ(std::as_const(*text)[0], '\0');
  EXPECT_TRUE(text->begin() == text->end() && text->empty());
  *text = "x";
  ASSERT_EQ((*text)[1], '\0');
}

struct tree {
  gc::vector<tree> children;
  gc::string name;
  gc::vector<std::string> words;
  gc::deque<gc::vector<int>> rows;
};
TEST_P(sequences, nest_and_hold_each_other) {
  const gc::local<tree> top = heap_.make<tree>();
  for (int i = 0; i < 20; ++i) {
    tree& child = top->children.emplace_back();
    child.name = "child " + std::to_string(i);
    child.words.push_back("a word of more than fifteen characters");
    child.children.emplace_back().name = child.name;
    child.rows.emplace_front().push_back(i);
  }
  // In the middle: containers in an element that is kept aside.
  for (int i = 0; i < 5; ++i) {
    top->children.emplace(top->children.begin() + 7)->name = "extra";
    top->children[3].rows.emplace(top->children[3].rows.begin());
  }
  top->children.erase(top->children.begin() + 7, top->children.begin() + 12);
  for (int i = 0; i < 5; ++i) top->children[3].rows.pop_front();
  heap_.collect();
  const gc::local<tree> copy = heap_.make<tree>(*top);
  top->children.clear();
  heap_.collect();
  for (int i = 0; i < 20; ++i) {
    const tree& child = copy->children[static_cast<std::size_t>(i)];
    ASSERT_EQ(child.name, "child " + std::to_string(i));
    ASSERT_EQ(child.children[0].name, child.name);
    ASSERT_EQ(child.words[0], "a word of more than fifteen characters");
    ASSERT_EQ(child.rows[0][0], i);
  }
}

TEST(sequences_death, say_where_they_have_to_be) {
  gc::heap heap({.name = "outside"});
  gc::heap other({.name = "other"});
  const gc::local<number> object = make_number(heap, 1);
  gc::vector<element> outside;
  EXPECT_DEATH(outside.push_back(object), "gc::vector outside of a managed object keeps nothing alive");
  EXPECT_DEATH(gc::string("text"), "gc::string outside of a managed object keeps nothing alive");
  const auto here = heap.make<gc::vector<int>>(3, 7);
  const auto there = other.make<gc::vector<int>>();
  EXPECT_DEATH(*there = std::move(*here), "gc::vector cannot be moved to another heap: copy it");
  EXPECT_DEATH(const gc::vector<int> taken(std::move(*here)), "gc::vector outside of a managed object");
  *there = *here;
  EXPECT_EQ((*there)[2], 7);
}

INSTANTIATE_TEST_SUITE_P(heaps, sequences, test::heaps_that_collect(), test::heap_name);

}  // namespace
}  // namespace gc_sequences_tests
