// tenure::cyclic_rc<T>: counted references within one thread, with cycles that are found and freed.
//
//     struct person {
//       std::string name;
//       std::vector<tenure::cyclic_rc<person>> friends;
//       void trace(tenure::cycle_visitor& visit) const { visit(friends); }
//     };
//     auto ada = tenure::make_cyclic<person>("Ada");
//     auto bob = tenure::make_cyclic<person>("Bob");
//     ada->friends.push_back(bob);
//     bob->friends.push_back(ada);
//     ada.reset(), bob.reset();             // each has one reference left: the other's
//     tenure::collect_cycles();             // both end
//
// trace() visits each cyclic_rc that the object holds, once: members, containers of them, optionals, pairs, and
// whatever has a trace() itself, inside of one another too; of other things nothing is visited. One that it leaves out
// keeps what it leads to alive; one visited twice ends in a message. It runs during a collection, must not throw and
// must not make or let go of references. A type without trace() is a leaf.
//
// Objects end with their last reference, at once, as with rc. What is left when references go from an object that has
// others is a candidate; a collection takes away, on trial, all references that lie among what candidates lead to:
// what is then without any is held by nothing but itself. It costs time by what candidates lead to and not by all there
// is. It is made by collect_cycles(), and by make_cyclic() when enough candidates have come together; never while the
// destructor of a counted object runs.
//
// The objects of a cycle end in no particular order: a destructor must not use what its references lead to, and must
// not keep a reference to one of them elsewhere, which ends in a message.
//
// When: graphs that lead back to themselves, in one thread, with destructors that run promptly for all the rest. When
// not: trees (rc and weak_rc); several threads (gc).
//
// Not thread-safe: objects and their references belong to the thread that made them. Candidates are collected once more
// when it ends; what static objects keep until after main() is not. Errors: std::bad_alloc; a collection takes no
// memory. Cost: two words; 32 bytes beside the object; a copy as rc (docs/library/cyclic_rc.md).
// Source: Bacon and Rajan, Concurrent Cycle Collection in Reference Counted Systems, ECOOP 2001, the synchronous
// algorithm, with lists through the objects in place of recursion.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include <tenure/api.h>
#include <tenure/ref/block.hpp>
#include <tenure/ref/counts.hpp>

namespace tenure {

class cycle_visitor;
template <class T>
class cyclic_rc;

namespace detail {

struct cyclic_header;
struct cyclic_type {
  void (*trace)(const cyclic_header*, cycle_visitor&) noexcept;  // null of a leaf
  void (*end)(cyclic_header*) noexcept;
  void (*free)(cyclic_header*) noexcept;
};

enum class cyclic_color : std::uint8_t {
  black,   // in use, as far as is known
  purple,  // may hold a cycle: has lost a reference and has others
  gray,    // in a collection, with the references among grays taken away
  white,   // garbage that is being ended
};

struct cyclic_header {
  explicit cyclic_header(const cyclic_type* of) noexcept : type(of) {}
  std::uint32_t count = 1;
  cyclic_color color = cyclic_color::black;
  bool is_candidate = false;
  bool has_ended = false;  // and is freed with its last reference and its place among candidates
  const cyclic_type* type;
  cyclic_header* next = nullptr;       // among candidates; among those found to be in use
  cyclic_header* next_gray = nullptr;  // among those that the collection has come to
};

[[gnu::cold]] TENURE_API void report_cycle(const cyclic_header* one, const char* what) noexcept;
TENURE_API void add_candidate(cyclic_header* one) noexcept;
TENURE_API void collect_if_due() noexcept;

inline void add_cyclic(cyclic_header* to) noexcept {
  if (!is_positive(++to->count)) [[unlikely]] {
    saturate(to->count);
  }
  if (to->color == cyclic_color::purple) to->color = cyclic_color::black;
}

[[gnu::noinline]] inline void end_cyclic(cyclic_header* of) noexcept {
  end_nested(of, [](void* what) noexcept {
    auto* const one = static_cast<cyclic_header*>(what);
    if (!one->has_ended) one->type->end(one);
    one->color = cyclic_color::black;
    one->has_ended = true;
    if (!one->is_candidate) one->type->free(one);
  });
}

inline void release_cyclic(cyclic_header* of) noexcept {
  if (!is_positive(--of->count)) [[unlikely]] {
    if (of->count == 0) return end_cyclic(of);
    return saturate(of->count);
  }
  if (of->color != cyclic_color::black || of->type->trace == nullptr) return;
  of->color = cyclic_color::purple;
  if (!of->is_candidate) add_candidate(of);
}

}  // namespace detail

namespace detail {

template <class T>
concept traced = requires(const T& of, cycle_visitor& visit) {
  of.trace(visit);
};

// Whether there is something to visit in a T.
template <class T>
inline constexpr bool has_references = traced<T>;
template <class T>
inline constexpr bool has_references<const T> = has_references<T>;
template <class T>
inline constexpr bool has_references<cyclic_rc<T>> = true;
// A path is a range of paths.
template <std::ranges::input_range T>
requires(!traced<T> && !std::same_as<std::ranges::range_value_t<T>, T>) inline constexpr bool has_references<T> =
    has_references<std::ranges::range_value_t<T>>;
template <class T>
inline constexpr bool has_references<std::optional<T>> = has_references<T>;
template <class A, class B>
inline constexpr bool has_references<std::pair<A, B>> = has_references<A> || has_references<B>;

}  // namespace detail

// What trace() is given. Others cannot be made by programs.
class cycle_visitor {
 public:
  cycle_visitor(const cycle_visitor&) = delete;
  cycle_visitor& operator=(const cycle_visitor&) = delete;

  template <class T>
  void operator()(const cyclic_rc<T>& of) {
    // Leaves hold nothing, nor does what has ended: their counts need no trial.
    if (of.header_ != nullptr && of.header_->type->trace != nullptr && !of.header_->has_ended) {
      visit_(*this, of.header_);
    }
  }
  template <detail::traced T>
  void operator()(const T& of) {
    of.trace(*this);
  }
  template <std::ranges::input_range Range>
  requires(!detail::traced<Range>) void operator()(const Range& all) {
    if constexpr (detail::has_references<Range>) {
      for (const auto& one : all) (*this)(one);
    }
  }
  template <class A, class B>
  void operator()(const std::pair<A, B>& both) {
    visit_part(both.first);
    visit_part(both.second);
  }
  template <class T>
  void operator()(const std::optional<T>& maybe) {
    if (maybe) (*this)(*maybe);
  }

 protected:
  using visit_function = void (*)(cycle_visitor&, detail::cyclic_header*) noexcept;
  explicit cycle_visitor(visit_function visit) noexcept : visit_(visit) {}
  ~cycle_visitor() = default;

 private:
  // The key of a map holds no references as a rule.
  template <class T>
  void visit_part(const T& of) {
    if constexpr (detail::has_references<T>) (*this)(of);
  }
  visit_function visit_;
};

namespace detail {

template <class T>
struct cyclic_block final : cyclic_header {
  union {
    T object;
  };
  template <class... Arguments>
  explicit cyclic_block(Arguments&&... arguments)
      : cyclic_header(&own_type), object(std::forward<Arguments>(arguments)...) {}
  ~cyclic_block() {}  // NOLINT(modernize-use-equals-default): the object has ended before

  static void trace(const cyclic_header* of, cycle_visitor& visit) noexcept {
    if constexpr (is_traced) static_cast<const cyclic_block*>(of)->object.trace(visit);
  }
  static void end(cyclic_header* of) noexcept { static_cast<cyclic_block*>(of)->object.~T(); }
  static void free(cyclic_header* of) noexcept { delete static_cast<cyclic_block*>(of); }
  static constexpr bool is_traced = traced<T>;
  static constexpr cyclic_type own_type{is_traced ? &trace : nullptr, &end, &free};
};

}  // namespace detail

template <class T>
class cyclic_rc {
 public:
  using element_type = T;

  constexpr cyclic_rc() noexcept = default;
  constexpr cyclic_rc(std::nullptr_t) noexcept {}
  cyclic_rc(const cyclic_rc& other) noexcept : object_(other.object_), header_(other.header_) { add(); }
  cyclic_rc(cyclic_rc&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), header_(std::exchange(other.header_, nullptr)) {}
  template <detail::pointer_converts<T> U>
  cyclic_rc(const cyclic_rc<U>& other) noexcept : object_(other.object_), header_(other.header_) {
    add();
  }
  ~cyclic_rc() {
    if (header_ != nullptr) detail::release_cyclic(header_);
  }
  cyclic_rc& operator=(cyclic_rc other) noexcept {
    swap(other);
    return *this;
  }
  void swap(cyclic_rc& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(header_, other.header_);
  }
  friend void swap(cyclic_rc& a, cyclic_rc& b) noexcept { a.swap(b); }
  void reset() noexcept { cyclic_rc().swap(*this); }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  long use_count() const noexcept { return header_ == nullptr ? 0 : static_cast<long>(header_->count); }

  template <class U>
  bool operator==(const cyclic_rc<U>& other) const noexcept {
    return object_ == other.get();
  }
  template <class U>
  std::strong_ordering operator<=>(const cyclic_rc<U>& other) const noexcept {
    return std::compare_three_way()(object_, other.get());
  }
  bool operator==(std::nullptr_t) const noexcept { return object_ == nullptr; }

 private:
  template <class>
  friend class cyclic_rc;
  friend class cycle_visitor;
  template <class U, class... Arguments>
  friend cyclic_rc<U> make_cyclic(Arguments&&... arguments);

  void add() const noexcept {
    if (header_ != nullptr) detail::add_cyclic(header_);
  }
  T* object_ = nullptr;
  detail::cyclic_header* header_ = nullptr;
};

// May collect first, so destructors of garbage may run here.
template <class T, class... Arguments>
cyclic_rc<T> make_cyclic(Arguments&&... arguments) {
  detail::collect_if_due();
  auto* const block = new detail::cyclic_block<T>(std::forward<Arguments>(arguments)...);
  cyclic_rc<T> result;
  result.object_ = std::addressof(block->object);
  result.header_ = block;
  return result;
}

// Frees the cycles of the calling thread that nothing outside of them leads to. The number of objects; none where a
// destructor of a counted object calls it.
TENURE_API std::uint64_t collect_cycles() noexcept;

struct cycle_statistics {
  std::uint64_t candidates = 0;  // now
  std::uint64_t collections = 0;
  std::uint64_t visited = 0;  // objects, in all collections
  std::uint64_t freed = 0;    // objects, by collections
};
// Of the calling thread.
TENURE_API cycle_statistics cycles_of_this_thread() noexcept;

}  // namespace tenure

template <class T>
struct std::hash<tenure::cyclic_rc<T>> {
  std::size_t operator()(const tenure::cyclic_rc<T>& of) const noexcept { return std::hash<T*>()(of.get()); }
};
