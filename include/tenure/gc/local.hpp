// local<T>: a pointer to a managed object on the stack of a thread; it keeps the object alive.
//
//     tenure::gc::local<node> first = tenure::gc::make<node>();
//     tenure::gc::local<node> second = first->next;
//
// Use it for variables, parameters and results. In managed objects use member<T>; everywhere else (globals, standard
// containers, what is handed to another thread, exceptions, coroutines) root<T>.
//
// A raw T* or T& keeps nothing alive, as with shared_ptr: it is good as long as a local, a root or a member of a living
// object leads to the object. Do not take `raw = a->next.get(); a->next = nullptr;` and go on with raw.
//
// Thread-safety: as a raw pointer. It is destroyed by the thread that made it; doing otherwise ends the program with a
// message. Cost: a slot in the thread's root slots, pushed and popped with three plain stores; copies are slots of
// their own, a move takes the slot along. Order: a local given up before a later one leaves a hole which is closed
// when the later one goes. A thread has as many as fit in its memory.
#pragma once

#include <type_traits>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>

namespace tenure::gc {

template <class T>
class member;
template <class T>
class root;

template <class T>
class local final : detail::root_class {
 public:
  local() noexcept : local(static_cast<T*>(nullptr)) {}
  local(std::nullptr_t) noexcept : local() {}
  // `pointer` is null or to a living managed object or into one; `this` in a member function, for example.
  local(T* pointer) noexcept : pointer_(pointer), slot_(detail::push(detail::untyped(pointer))) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> local(const member<U>& other)
  noexcept : local(static_cast<T*>(other.get())) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> local(const root<U>& other)
  noexcept : local() {
    // Objects are not moved between the look at the root and the store to the slot, whatever thread the root is of.
    const detail::operation held;
    pointer_ = static_cast<T*>(other.get());
    held.keep(slot_, detail::untyped(pointer_));
  }
  template <class U>
  requires std::is_convertible_v<U*, T*> local(const local<U>& other)
  noexcept : local(static_cast<T*>(other.get())) {}
  local(const local& other) noexcept : local(other.pointer_) {}
  // The slot goes along. What is left behind is null and can be assigned to again.
  local(local&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}
  ~local() {
    if (slot_ != nullptr) detail::pop(slot_);
  }

  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): storing what is there already is harmless
  local& operator=(const local& other) noexcept {
    set(other.pointer_);
    return *this;
  }
  local& operator=(local&& other) noexcept {
    if (this != &other) {
      set(other.pointer_);
      other.set(nullptr);
    }
    return *this;
  }
  local& operator=(T* pointer) noexcept {
    set(pointer);
    return *this;
  }
  local& operator=(std::nullptr_t) noexcept {
    set(nullptr);
    return *this;
  }
  template <class U>
  requires std::is_convertible_v<U*, T*> local& operator=(const member<U>& other) noexcept {
    set(other.get());
    return *this;
  }

  T* get() const noexcept { return pointer_; }
  T* operator->() const noexcept { return pointer_; }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }

  template <class U>
  friend bool operator==(const local& a, const local<U>& b) noexcept {
    return a.get() == b.get();
  }
  friend bool operator==(const local& a, const T* b) noexcept { return a.get() == b; }
  friend bool operator==(const local& a, std::nullptr_t) noexcept { return a.get() == nullptr; }

  // Takes over a slot that already holds `pointer`: for the library.
  static local adopt(T* pointer, detail::root_slot* held) noexcept { return local(pointer, held); }
  detail::root_slot* held_slot() noexcept {
    if (slot_ == nullptr) slot_ = detail::push(nullptr);
    return slot_;
  }
  void refresh(T* pointer) noexcept { pointer_ = pointer; }

 private:
  local(T* pointer, detail::root_slot* held) noexcept : pointer_(pointer), slot_(held) {}

  void set(T* pointer) noexcept {
    if (slot_ == nullptr) {
      slot_ = detail::push(detail::untyped(pointer));
    } else {
      detail::set_slot(slot_, detail::untyped(pointer));
    }
    pointer_ = pointer;
  }

  T* pointer_;
  detail::root_slot* slot_;
};

// static_pointer_cast and dynamic_pointer_cast, as for std::shared_ptr.
template <class To, class From>
local<To> static_pointer_cast(const local<From>& from) noexcept {
  return local<To>(static_cast<To*>(from.get()));
}
template <class To, class From>
local<To> dynamic_pointer_cast(const local<From>& from) noexcept {
  return local<To>(dynamic_cast<To*>(from.get()));
}

}  // namespace tenure::gc
