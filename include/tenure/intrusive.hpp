// tenure::intrusive_ptr<T> and intrusive_ptr<T>: one-word references to objects that hold their own count.
//
//     struct file : tenure::arc_counted<file> {
//       explicit file(int descriptor);
//       tenure::intrusive_ptr<file> self() { return tenure::intrusive_ptr<file>(this); }  // from `this`
//     };
//     auto one = tenure::make_intrusive<file>(3);
//
// T derives from rc_counted<T> or arc_counted<T> (four bytes), or a base class of it does, which then has a virtual
// destructor. The last reference calls `T::end(T*)`, where T has such a public static function, as to give the object
// back to a pool; otherwise, also where `end` is something else or cannot be called from outside, `delete`. A new
// object has one reference, which make_intrusive() and adopt() take over. One that ends must not make references to
// itself.
//
//     struct packet : tenure::rc_counted<packet> {
//       static void end(packet* one) noexcept { packets.destroy(one); }
//     };
//     auto one = tenure::intrusive_ptr<packet>::adopt(packets.make());
//
// When: a pointer has to be one word, or has to be made from `this`, or objects come from a pool. When not: weak
// references, aliasing or foreign types (rc, arc).
//
// Thread-safe: as rc and arc. Errors: std::bad_alloc. Counts and chains: as rc. Cost: four bytes in the object.
// Source: boost::intrusive_ptr; folly and LLVM for the base class.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include <tenure/ref/block.hpp>
#include <tenure/ref/counts.hpp>

namespace tenure {

template <class T>
class intrusive_ptr;

namespace detail {

template <class Derived, class Count>
class counted {
 public:
  counted& operator=(const counted&) noexcept { return *this; }

 protected:
  ~counted() = default;

 private:
  // For Derived alone, so that no class is taken for another one.
  friend Derived;
  template <class>
  friend class tenure::intrusive_ptr;

  counted() noexcept = default;
  // A copy of an object is another object: its references are its own.
  counted(const counted&) noexcept {}

  void add_reference() const noexcept { count_.add(); }
  void release_reference() const noexcept {
    if (count_.release()) finish();
  }
  std::uint32_t references() const noexcept { return count_.value(); }

  void finish() const noexcept {
    end_nested(const_cast<counted*>(this), [](void* of) noexcept {
      auto* const object = static_cast<Derived*>(static_cast<counted*>(of));
      if constexpr (requires { Derived::end(object); }) {
        Derived::end(object);
      } else {
        delete object;
      }
    });
  }

  mutable Count count_;
};

}  // namespace detail

template <class Derived>
using rc_counted = detail::counted<Derived, detail::plain_count>;
template <class Derived>
using arc_counted = detail::counted<Derived, detail::atomic_count>;

template <class T>
class intrusive_ptr {
 public:
  using element_type = T;

  constexpr intrusive_ptr() noexcept = default;
  constexpr intrusive_ptr(std::nullptr_t) noexcept {}
  // One reference more.
  explicit intrusive_ptr(T* object) noexcept : object_(object) { add(); }
  // The reference that the object began with, or that detach() gave.
  static intrusive_ptr adopt(T* object) noexcept {
    intrusive_ptr result;
    result.object_ = object;
    return result;
  }

  intrusive_ptr(const intrusive_ptr& other) noexcept : object_(other.object_) { add(); }
  intrusive_ptr(intrusive_ptr&& other) noexcept : object_(other.detach()) {}
  template <detail::pointer_converts<T> U>
  intrusive_ptr(const intrusive_ptr<U>& other) noexcept : object_(other.get()) {
    add();
  }
  template <detail::pointer_converts<T> U>
  intrusive_ptr(intrusive_ptr<U>&& other) noexcept : object_(other.detach()) {}
  ~intrusive_ptr() {
    if (object_ != nullptr) object_->release_reference();
  }
  intrusive_ptr& operator=(intrusive_ptr other) noexcept {
    swap(other);
    return *this;
  }
  void swap(intrusive_ptr& other) noexcept { std::swap(object_, other.object_); }
  friend void swap(intrusive_ptr& a, intrusive_ptr& b) noexcept { a.swap(b); }
  void reset() noexcept { intrusive_ptr().swap(*this); }
  // The reference is the caller's, to be given to adopt().
  T* detach() noexcept { return std::exchange(object_, nullptr); }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  long use_count() const noexcept { return object_ == nullptr ? 0 : static_cast<long>(object_->references()); }

  template <class U>
  bool operator==(const intrusive_ptr<U>& other) const noexcept {
    return object_ == other.get();
  }
  template <class U>
  std::strong_ordering operator<=>(const intrusive_ptr<U>& other) const noexcept {
    return std::compare_three_way()(object_, other.get());
  }
  bool operator==(std::nullptr_t) const noexcept { return object_ == nullptr; }

 private:
  void add() const noexcept {
    if (object_ != nullptr) object_->add_reference();
  }

  T* object_ = nullptr;
};

template <class T, class... Arguments>
intrusive_ptr<T> make_intrusive(Arguments&&... arguments) {
  return intrusive_ptr<T>::adopt(new T(std::forward<Arguments>(arguments)...));
}

}  // namespace tenure

template <class T>
struct std::hash<tenure::intrusive_ptr<T>> {
  std::size_t operator()(const tenure::intrusive_ptr<T>& of) const noexcept { return std::hash<T*>()(of.get()); }
};
