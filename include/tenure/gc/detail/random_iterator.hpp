// What the iterators of vector and deque share.
//
// Algorithms keep elements in variables of their own for a while: std::sort takes one out of the range, and moves
// others into its place. A member<U> on the stack keeps nothing alive; so the value type of a range of members is
// local<U>, and such a variable is a root.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <compare>
#include <cstddef>
#include <iterator>
#include <type_traits>

#include <tenure/gc/local.hpp>
#include <tenure/gc/member.hpp>

namespace tenure::gc::detail {

template <class T>
struct stack_value {
  using type = T;
};
template <class T>
struct stack_value<member<T>> {
  using type = local<T>;
};

// Self has reference operator*() const, void go(difference_type) and difference_type minus(const Self&) const.
template <class Self, class T>
class random_iterator {
 public:
  using value_type = typename stack_value<std::remove_const_t<T>>::type;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using pointer = T*;
  using iterator_category = std::random_access_iterator_tag;

  pointer operator->() const noexcept { return &*self(); }
  reference operator[](difference_type n) const noexcept { return *(self() + n); }
  Self& operator++() noexcept { return self() += 1; }
  Self operator++(int) noexcept {
    const Self before = self();
    self() += 1;
    return before;
  }
  Self& operator--() noexcept { return self() -= 1; }
  Self operator--(int) noexcept {
    const Self before = self();
    self() -= 1;
    return before;
  }
  Self& operator+=(difference_type n) noexcept {
    self().go(n);
    return self();
  }
  Self& operator-=(difference_type n) noexcept { return self() += -n; }
  friend Self operator+(Self at, difference_type n) noexcept { return at += n; }
  friend Self operator+(difference_type n, Self at) noexcept { return at += n; }
  friend Self operator-(Self at, difference_type n) noexcept { return at -= n; }
  friend difference_type operator-(const Self& a, const Self& b) noexcept { return a.minus(b); }
  friend bool operator==(const Self& a, const Self& b) noexcept { return a.minus(b) == 0; }
  friend std::strong_ordering operator<=>(const Self& a, const Self& b) noexcept { return a.minus(b) <=> 0; }

 private:
  Self& self() noexcept { return static_cast<Self&>(*this); }
  const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

// Over members in a row.
template <class T>
class slot_iterator final : public random_iterator<slot_iterator<T>, T> {
 public:
  slot_iterator() noexcept = default;
  explicit slot_iterator(T* at) noexcept : at_(at) {}
  // From the iterator to the one over constants.
  operator slot_iterator<const T>() const noexcept requires(!std::is_const_v<T>) { return slot_iterator<const T>(at_); }
  T& operator*() const noexcept { return *at_; }

  // For the base.
  void go(std::ptrdiff_t n) noexcept { at_ += n; }
  std::ptrdiff_t minus(const slot_iterator& other) const noexcept { return at_ - other.at_; }

 private:
  T* at_ = nullptr;
};

// T may be incomplete.
template <class T>
using row_iterator =
    std::conditional_t<std::is_same_v<typename stack_value<std::remove_const_t<T>>::type, std::remove_const_t<T>>, T*,
                       slot_iterator<T>>;

}  // namespace tenure::gc::detail

// What the two have in common is what can be on a stack.
template <class T, template <class> class A, template <class> class B>
struct std::basic_common_reference<tenure::gc::member<T>, tenure::gc::local<T>, A, B> {
  using type = tenure::gc::local<T>;
};
template <class T, template <class> class A, template <class> class B>
struct std::basic_common_reference<tenure::gc::local<T>, tenure::gc::member<T>, A, B> {
  using type = tenure::gc::local<T>;
};
