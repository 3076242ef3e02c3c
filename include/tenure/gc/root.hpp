// root<T>: keeps a managed object alive from anywhere: globals, standard containers, lambdas, other threads.
//
//     std::vector<tenure::gc::root<session>> sessions;
//     sessions.emplace_back(tenure::gc::make<session>());
//
// Not inside managed objects (member<T>): a root in a cycle keeps the cycle alive for ever, and does not compile.
// Thread-safety: as a raw pointer; it may be destroyed by any thread. Throws std::bad_alloc when there is no memory
// for its slot. Cost: a lock when it is made and destroyed, a store and a test of the phase when it is assigned;
// it is read through its slot, where a plan that moves objects writes.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>

namespace tenure::gc {

template <class T>
class root final : detail::root_class {
 public:
  root() noexcept = default;
  root(std::nullptr_t) noexcept {}
  root(T* pointer) { set(pointer); }
  template <class U>
  requires std::is_convertible_v<U*, T*> root(const local<U>& other) { set(other.get()); }
  template <class U>
  requires std::is_convertible_v<U*, T*> root(const member<U>& other) { set(local<T>(other).get()); }
  root(const root& other) { copy(other); }
  root(root&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  ~root() {
    if (slot_ != nullptr) detail::give_root_slot(slot_);
  }

  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): storing what is there already is harmless
  root& operator=(const root& other) {
    copy(other);
    return *this;
  }
  root& operator=(root&& other) noexcept {
    if (this != &other) {
      std::swap(slot_, other.slot_);
      other = nullptr;
    }
    return *this;
  }
  root& operator=(T* pointer) {
    set(pointer);
    return *this;
  }
  root& operator=(std::nullptr_t) noexcept {
    set(nullptr);
    return *this;
  }

  T* get() const noexcept {
    return slot_ == nullptr ? nullptr : static_cast<T*>(slot_->load(std::memory_order_relaxed));
  }
  T* operator->() const noexcept { return get(); }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

  template <class U>
  friend bool operator==(const root& a, const root<U>& b) noexcept {
    return a.get() == b.get();
  }
  friend bool operator==(const root& a, const T* b) noexcept { return a.get() == b; }
  friend bool operator==(const root& a, std::nullptr_t) noexcept { return a.get() == nullptr; }

 private:
  // In an operation: objects are not moved between the look at one slot and the store to the other.
  void copy(const root& other) {
    if (other.slot_ == nullptr) return set(nullptr);
    if (slot_ == nullptr) slot_ = detail::take_root_slot(nullptr);
    const detail::operation held;
    held.keep(slot_, other.slot_->load(std::memory_order_relaxed));
  }
  // A null root needs no slot until it has had a target.
  void set(T* pointer) {
    if (slot_ != nullptr) {
      detail::set_slot(slot_, detail::untyped(pointer));
    } else if (pointer != nullptr) {
      slot_ = detail::take_root_slot(detail::untyped(pointer));
    }
  }

  detail::root_slot* slot_ = nullptr;
};

}  // namespace tenure::gc
