// member<T>: a pointer from one managed object to another. Its target lives as long as the object that has it.
//
//     struct node { tenure::gc::member<node> next; int value; };
//     n->next = tenure::gc::make<node>();
//     n->next->value = 7;
//
// As big as a pointer, null by default, and trivially destroyed, so that an object of members costs no destructor. The
// target may be a base of the object or a part inside of it. It lies in the same heap as the object that has the
// member: across heaps use root<T>.
//
// Not for the stack, globals or containers of the standard library: a member there keeps nothing alive (local, root).
// Thread-safety: as a raw pointer, one thread at a time; atomic_member<T> for more. Cost of a store: a test of the
// phase and, in a generational heap, of the card, over that of a raw pointer; of a load: none.
//
// Two change places with swap(a, b), found by their class, as algorithms call it: std::swap(a, b) by its full name
// keeps one on the stack meanwhile, where it keeps nothing alive.
//
// In a destructor: members to objects that die together with this one are null, all others are good.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/root.hpp>

namespace tenure::gc {

template <class T>
class member final : detail::slot_class {
 public:
  // A collector may look at an object while it is constructed: even the first null is written as one word.
  member() noexcept { detail::store_word(&pointer_, static_cast<T*>(nullptr)); }
  member(std::nullptr_t) noexcept : member() {}
  member(T* pointer) noexcept { set(pointer); }
  template <class U>
  requires std::is_convertible_v<U*, T*> member(const local<U>& other)
  noexcept { set(other.get()); }
  template <class U>
  requires std::is_convertible_v<U*, T*> member(const root<U>& other)
  noexcept { set(other.get()); }
  template <class U>
  requires std::is_convertible_v<U*, T*> member(const member<U>& other)
  noexcept { set(other.get()); }
  member(const member& other) noexcept { set(other.get()); }
  member(member&& other) noexcept { take(other); }
  ~member() = default;

  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): storing what is there already is harmless
  member& operator=(const member& other) noexcept {
    set(other.get());
    return *this;
  }
  member& operator=(member&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  member& operator=(std::nullptr_t) noexcept {
    detail::store_null(pointer_);
    return *this;
  }
  member& operator=(T* pointer) noexcept {
    set(pointer);
    return *this;
  }
  template <class U>
  requires std::is_convertible_v<U*, T*> member& operator=(const local<U>& other) noexcept {
    set(other.get());
    return *this;
  }

  T* get() const noexcept { return __atomic_load_n(&pointer_, __ATOMIC_RELAXED); }
  T* operator->() const noexcept { return get(); }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

  // Both targets are held by the stack while they are in neither member.
  friend void swap(member& a, member& b) noexcept {
    const local<T> held(a.get());
    a = b;
    b = held;
  }

  template <class U>
  friend bool operator==(const member& a, const member<U>& b) noexcept {
    return a.get() == b.get();
  }
  template <class U>
  friend bool operator==(const member& a, const local<U>& b) noexcept {
    return a.get() == b.get();
  }
  friend bool operator==(const member& a, const T* b) noexcept { return a.get() == b; }
  friend bool operator==(const member& a, std::nullptr_t) noexcept { return a.get() == nullptr; }

 private:
  void set(T* pointer) noexcept { detail::store_member(pointer_, pointer); }
  // The new place first: while the pointer is in neither, a collector could miss it.
  void take(member& other) noexcept {
    set(other.get());
    detail::store_null(other.pointer_);
  }

  T* pointer_;
};

}  // namespace tenure::gc
