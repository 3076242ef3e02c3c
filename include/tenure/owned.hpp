// tenure::owned<T>, borrow<T>, borrow_mut<T>: a value with one owner, whose borrows are checked while the program runs.
//
//     tenure::owned<std::vector<int>> numbers({1, 2, 3});
//     {
//       auto reads = numbers.borrow();               // any number of them at a time,
//       auto more = numbers.borrow();
//     }
//     numbers.borrow_mut()->push_back(4);            // or one that may write, alone
//     auto reads = numbers.borrow();
//     numbers.borrow_mut();                          // ends the program:
//     // tenure: mutable borrow of a value that is borrowed: 0x7ffd.., a value of 24 bytes, in process 4711
//     //     owned
//     //       at list.cc:1 in int main()
//     //     borrowed mutably here
//     //       at list.cc:8 in int main()
//     //     borrowed
//     //       at list.cc:7 in int main()
//
// The rules are those of Rust's RefCell. A borrow of what is mutably borrowed, a mutable borrow of what is borrowed, an
// owner that is moved, assigned, or ends while its value is borrowed, and use of a borrow that was moved from end in
// such a message, which names every place that is in the way (up to eight). Where the option abort_on_misuse is off the
// message is all: a second borrow is given, and those whose owner has gone say so when they are used.
//
// When: an invariant of the sort "nobody reads this while it changes", such as a container that callbacks may reach; in
// tests and in production, since it is always on. When not: values that threads share (a mutex); hot inner loops
// (borrow once, outside).
//
// Not thread-safe: an owner and its borrows are one thread's at a time. Errors: none besides the messages; try_borrow()
// and try_borrow_mut() give nothing instead. Cost: the value lies in the owner, with 24 bytes beside it; a borrow has
// 40 bytes and costs 2 to 3 ns, to take and to end (docs/library/owned.md).
// Source: Rust's RefCell; std::source_location for the sites of callers.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <tenure/api.h>

namespace tenure {

template <class T>
class borrow;
template <class T>
class borrow_mut;

namespace detail {

struct borrow_state;

// A living borrow, in the list of its owner.
struct borrow_link {
  borrow_state* state = nullptr;
  borrow_link* before = nullptr;
  borrow_link* after = nullptr;
  std::source_location site;
};

struct borrow_state {
  std::source_location site;
  borrow_link* first = nullptr;
  bool is_mutable = false;

  void add(borrow_link& one) noexcept {
    one.state = this;
    one.before = nullptr;
    one.after = first;
    if (first != nullptr) first->before = &one;
    first = &one;
  }
  static void remove(borrow_link& one) noexcept {
    if (one.state == nullptr) return;
    (one.before == nullptr ? one.state->first : one.before->after) = one.after;
    if (one.after != nullptr) one.after->before = one.before;
    one.state = nullptr;
  }
  // `to` takes the place of `from`.
  static void move(borrow_link& from, borrow_link& to) noexcept {
    to = from;
    if (to.state == nullptr) return;
    (to.before == nullptr ? to.state->first : to.before->after) = &to;
    if (to.after != nullptr) to.after->before = &to;
    from.state = nullptr;
  }
};

[[gnu::cold]] TENURE_API void report_borrow(const char* what, const void* value, std::size_t bytes,
                                            const borrow_state& state, const char* here,
                                            const std::source_location* site) noexcept;
// The owner goes or changes: those that borrow are told, and belong to nobody from now on.
[[gnu::cold]] TENURE_API void report_owner(const char* what, const void* value, std::size_t bytes, borrow_state& state,
                                           const std::source_location* site) noexcept;
[[gnu::cold]] TENURE_API void report_empty_borrow(const std::source_location& site) noexcept;

}  // namespace detail

// The value, to be read. Copies borrow too, and name the place of the copy.
template <class T>
class borrow {
 public:
  borrow(const borrow& other, std::source_location at = std::source_location::current()) noexcept
      : value_(other.value_) {
    link_.site = at;
    if (other.link_.state != nullptr) other.link_.state->add(link_);
  }
  borrow(borrow&& other) noexcept : value_(other.value_) { detail::borrow_state::move(other.link_, link_); }
  borrow& operator=(borrow other) noexcept {
    detail::borrow_state::remove(link_);
    value_ = other.value_;
    detail::borrow_state::move(other.link_, link_);
    return *this;
  }
  ~borrow() { detail::borrow_state::remove(link_); }

  const T& get() const noexcept {
    if (link_.state == nullptr) [[unlikely]] {
      detail::report_empty_borrow(link_.site);
    }
    return *value_;
  }
  const T& operator*() const noexcept { return get(); }
  const T* operator->() const noexcept { return &get(); }

 private:
  template <class>
  friend class owned;
  borrow(detail::borrow_state& of, const T& value, const std::source_location& at) noexcept : value_(&value) {
    link_.site = at;
    of.add(link_);
  }
  const T* value_;
  detail::borrow_link link_;
};

// The value, to be changed.
template <class T>
class borrow_mut {
 public:
  borrow_mut(borrow_mut&& other) noexcept : value_(other.value_) { detail::borrow_state::move(other.link_, link_); }
  borrow_mut& operator=(borrow_mut&& other) noexcept {
    if (this == &other) return *this;
    end();
    value_ = other.value_;
    detail::borrow_state::move(other.link_, link_);
    return *this;
  }
  ~borrow_mut() { end(); }

  T& get() const noexcept {
    if (link_.state == nullptr) [[unlikely]] {
      detail::report_empty_borrow(link_.site);
    }
    return *value_;
  }
  T& operator*() const noexcept { return get(); }
  T* operator->() const noexcept { return &get(); }

 private:
  template <class>
  friend class owned;
  borrow_mut(detail::borrow_state& of, T& value, const std::source_location& at) noexcept : value_(&value) {
    link_.site = at;
    of.add(link_);
    of.is_mutable = true;
  }
  void end() noexcept {
    if (link_.state != nullptr) link_.state->is_mutable = false;
    detail::borrow_state::remove(link_);
  }
  T* value_;
  detail::borrow_link link_;
};

template <class T>
class owned {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>);

 public:
  // Of what `value` gives.
  explicit owned(T value, std::source_location at = std::source_location::current()) : value_(std::move(value)) {
    state_.site = at;
  }
  owned(std::source_location at = std::source_location::current()) requires std::is_default_constructible_v<T>
      : value_() {
    state_.site = at;
  }
  // The value moves, so nobody may have borrowed it.
  owned(owned&& other,
        std::source_location at = std::source_location::current()) noexcept(std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(other.unborrowed("owner moved while its value is borrowed", &at))) {
    state_.site = at;
  }
  owned& operator=(owned&& other) noexcept(std::is_nothrow_move_assignable_v<T>) {
    if (this == &other) return *this;
    unborrowed("owner assigned while its value is borrowed", nullptr) =
        std::move(other.unborrowed("owner moved while its value is borrowed", nullptr));
    return *this;
  }
  ~owned() { unborrowed("owner ended while its value is borrowed", nullptr); }

  tenure::borrow<T> borrow(std::source_location at = std::source_location::current()) const noexcept {
    if (state_.is_mutable) [[unlikely]] {
      detail::report_borrow("borrow of a value that is mutably borrowed", &value_, sizeof(T), state_, "borrowed here",
                            &at);
    }
    return tenure::borrow<T>(state_, value_, at);
  }
  tenure::borrow_mut<T> borrow_mut(std::source_location at = std::source_location::current()) noexcept {
    if (state_.first != nullptr) [[unlikely]] {
      detail::report_borrow("mutable borrow of a value that is borrowed", &value_, sizeof(T), state_,
                            "borrowed mutably here", &at);
    }
    return tenure::borrow_mut<T>(state_, value_, at);
  }
  // The same, or nothing where it is not possible now.
  std::optional<tenure::borrow<T>> try_borrow(
      std::source_location at = std::source_location::current()) const noexcept {
    if (state_.is_mutable) return std::nullopt;
    return borrow(at);
  }
  std::optional<tenure::borrow_mut<T>> try_borrow_mut(
      std::source_location at = std::source_location::current()) noexcept {
    if (state_.first != nullptr) return std::nullopt;
    return borrow_mut(at);
  }

  bool is_borrowed() const noexcept { return state_.first != nullptr; }
  // The value, out of the owner.
  T take(std::source_location at = std::source_location::current()) && {
    return std::move(unborrowed("value taken while it is borrowed", &at));
  }

 private:
  T& unborrowed(const char* otherwise, const std::source_location* at) noexcept {
    if (state_.first != nullptr) [[unlikely]] {
      detail::report_owner(otherwise, &value_, sizeof(T), state_, at);
    }
    return value_;
  }

  T value_;
  mutable detail::borrow_state state_;
};

}  // namespace tenure
