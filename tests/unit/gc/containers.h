// What the tests of containers keep in them, and heaps that collect all the time.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <tenure/gc.hpp>

namespace tenure::test {

struct number {
  std::uint64_t id = 0;
  std::uint64_t check = 0;
};

inline gc::local<number> make_number(gc::heap& heap, std::uint64_t id) {
  gc::local<number> made = heap.make<number>();
  made->id = id;
  made->check = id * 31;
  return made;
}

// With a text of its own, a managed pointer, and a count of those that there are.
class counted {
 public:
  explicit counted(const gc::local<number>& target = nullptr) : text_(text_of(target.get())), target_(target) {
    if (refuse_after != 0 && --refuse_after == 0) throw std::runtime_error("no element");
    ++living;
  }
  counted(const counted& other) : text_(other.text_), target_(other.target_) {
    if (copies_until_throw != 0 && --copies_until_throw == 0) throw std::runtime_error("no copy");
    ++living;
  }
  counted(counted&& other) noexcept : text_(std::move(other.text_)), target_(std::move(other.target_)) { ++living; }
  ~counted() { --living; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&&) = default;

  std::uint64_t id() const {
    EXPECT_EQ(text_, text_of(target_.get()));
    return target_ == nullptr ? 0 : target_->id;
  }
  static inline std::atomic<int> living{0};
  static inline int copies_until_throw = 0;
  static inline int refuse_after = 0;  // the same for those that are no copies

 private:
  TENURE_GC_MEMBERS(counted, text_, target_);
  static std::string text_of(const number* of) {
    return of == nullptr ? std::string() : "a text that is longer than fifteen " + std::to_string(of->id);
  }
  std::string text_;
  gc::member<number> target_;
};

// The number that an element stands for, 0 for none. What it leads to is whole.
inline std::uint64_t id_of(const gc::member<number>& element) {
  if (element == nullptr) return 0;
  EXPECT_EQ(element->check, element->id * 31);
  return element->id;
}
inline std::uint64_t id_of(const counted& element) { return element.id(); }

struct collecting_often {
  const char* name;
  gc::plan plan;
  unsigned every;
  gc::heap_options options() const {
    return {.name = name, .plan = plan, .collect_every_allocations = every, .verify = true, .poison = true};
  }
};
inline void PrintTo(const collecting_often& of, std::ostream* out) { *out << of.name; }

inline auto heaps_that_collect() {
  return ::testing::Values(collecting_often{"mark_sweep_each", gc::plan::mark_sweep, 1},
                           collecting_often{"lazy_each_third", gc::plan::mark_sweep_lazy, 3},
                           collecting_often{"sticky_each_third", gc::plan::sticky_concurrent, 3},
                           collecting_often{"sticky", gc::plan::sticky_concurrent, 0});
}
inline std::string heap_name(const testing::TestParamInfo<collecting_often>& of) { return of.param.name; }

}  // namespace tenure::test
