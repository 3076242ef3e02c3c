// tenure::offset_ptr: a pointer that says how far it is from itself to its object, and not where the object lies.
//
//   process A, segment at 0x7f10..0000   [offset_ptr +0x40]--------->[object]
//   process B, segment at 0x7e55..0000   [offset_ptr +0x40]--------->[object]     the same bytes, right in both
//
// So it stays right when the memory in which both lie is mapped elsewhere: in another process, or from a file. A copy
// of it somewhere else has another distance and the same object. It is what std::pointer_traits and containers with an
// allocator of one's own (tenure::shared_allocator) take for a pointer.
//
//     struct node {
//       int value;
//       tenure::offset_ptr<node> next;
//     };
//
// When: pointers that lie in shared memory and lead within it. When not: everywhere else; it costs an addition at each
// use, and copying its bytes (memcpy) makes it wrong. It must not lead out of the memory that is mapped as a whole.
//
// As thread-safe as a pointer that is no atomic. Throws nothing. Cost: an addition and a comparison with null.
// Source: the self-relative pointers of databases in shared memory; the distance 1, which no object has, is null.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>

namespace tenure {

template <class T>
class offset_ptr {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using difference_type = std::ptrdiff_t;
  using pointer = offset_ptr;
  using reference = std::add_lvalue_reference_t<T>;
  using iterator_category = std::random_access_iterator_tag;

  offset_ptr() noexcept = default;
  offset_ptr(std::nullptr_t) noexcept {}
  offset_ptr(T* to) noexcept { set(to); }
  offset_ptr(const offset_ptr& other) noexcept { set(other.get()); }
  template <class U>
  requires std::is_convertible_v<U*, T*> offset_ptr(const offset_ptr<U>& other)
  noexcept { set(other.get()); }
  // Downwards, and from void: as static_cast does it.
  template <class U>
  requires(!std::is_convertible_v<U*, T*> &&
           requires(U * from) { static_cast<T*>(from); }) explicit offset_ptr(const offset_ptr<U>& other) noexcept {
    set(static_cast<T*>(other.get()));
  }

  offset_ptr& operator=(const offset_ptr& other) noexcept {
    if (this != &other) set(other.get());
    return *this;
  }

  T* get() const noexcept {
    return distance_ == null_distance ? nullptr : reinterpret_cast<T*>(own_address() + distance_);
  }
  T* operator->() const noexcept { return get(); }
  reference operator*() const noexcept requires(!std::is_void_v<T>) { return *get(); }
  reference operator[](difference_type index) const noexcept requires(!std::is_void_v<T>) { return get()[index]; }
  explicit operator bool() const noexcept { return distance_ != null_distance; }
  bool operator!() const noexcept { return distance_ == null_distance; }

  template <class U = T>
  static offset_ptr pointer_to(U& object) noexcept {
    return offset_ptr(std::addressof(object));
  }

  offset_ptr& operator+=(difference_type count) noexcept {
    set(get() + count);
    return *this;
  }
  offset_ptr& operator-=(difference_type count) noexcept { return *this += -count; }
  offset_ptr& operator++() noexcept { return *this += 1; }
  offset_ptr& operator--() noexcept { return *this -= 1; }
  offset_ptr operator++(int) noexcept {
    const offset_ptr before(*this);
    ++*this;
    return before;
  }
  offset_ptr operator--(int) noexcept {
    const offset_ptr before(*this);
    --*this;
    return before;
  }
  friend offset_ptr operator+(const offset_ptr& of, difference_type count) noexcept { return of.get() + count; }
  friend offset_ptr operator+(difference_type count, const offset_ptr& of) noexcept { return of.get() + count; }
  friend offset_ptr operator-(const offset_ptr& of, difference_type count) noexcept { return of.get() - count; }
  friend difference_type operator-(const offset_ptr& a, const offset_ptr& b) noexcept { return a.get() - b.get(); }

  friend bool operator==(const offset_ptr& a, const offset_ptr& b) noexcept { return a.get() == b.get(); }
  friend bool operator==(const offset_ptr& a, std::nullptr_t) noexcept { return !a; }
  friend std::strong_ordering operator<=>(const offset_ptr& a, const offset_ptr& b) noexcept {
    return std::compare_three_way()(a.get(), b.get());
  }

 private:
  static constexpr std::ptrdiff_t null_distance = 1;

  std::uintptr_t own_address() const noexcept { return reinterpret_cast<std::uintptr_t>(this); }
  // As numbers: the compiler may take two objects' addresses for unrelated.
  void set(T* to) noexcept {
    distance_ = to == nullptr ? null_distance
                              : static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(to) - own_address());
  }

  std::ptrdiff_t distance_ = null_distance;
};

}  // namespace tenure

template <class T>
struct std::hash<tenure::offset_ptr<T>> {
  std::size_t operator()(const tenure::offset_ptr<T>& of) const noexcept { return std::hash<T*>()(of.get()); }
};
