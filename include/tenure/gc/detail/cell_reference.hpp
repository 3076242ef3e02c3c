// What weak<T> and soft<T> are: the cell that says where the object is, if it still is, and the distance from there to
// what was asked for, a base of it or a part.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/member.hpp>

namespace tenure::gc::detail {

template <class T, strength how>
class cell_reference {
 public:
  constexpr cell_reference() noexcept = default;
  constexpr cell_reference(std::nullptr_t) noexcept {}
  cell_reference(const local<T>& target) {
    if (target.get() != nullptr) to_ = take_weak_cell(untyped(target.get()), how);
  }
  cell_reference(const member<T>& target) : cell_reference(local<T>(target)) {}
  cell_reference(const cell_reference& other) noexcept : to_(other.to_) {
    if (to_.cell != nullptr) share_weak_cell(to_.cell, how);
  }
  cell_reference(cell_reference&& other) noexcept : to_(std::exchange(other.to_, weak_target{})) {}
  ~cell_reference() {
    if (to_.cell != nullptr) give_weak_cell(to_.cell, how);
  }
  cell_reference& operator=(cell_reference other) noexcept {
    std::swap(to_, other.to_);
    return *this;
  }

  // The object, or null when it is dead.
  local<T> lock() const noexcept {
    local<T> result;
    root_slot* slot = to_.cell == nullptr ? nullptr : result.held_slot();
    if (slot != nullptr && lock_weak_cell(to_.cell, slot)) {
      void* target = static_cast<char*>(slot->load(std::memory_order_relaxed)) + to_.distance;
      set_slot(slot, target);
      result.refresh(static_cast<T*>(target));
      if constexpr (how == strength::soft) touch_weak_cell(to_.cell);
    }
    return result;
  }

  // Whether lock() would have returned null. The answer false may be out of date when it arrives.
  bool expired() const noexcept { return to_.cell == nullptr || is_expired(to_.cell); }

 private:
  weak_target to_{};
};

}  // namespace tenure::gc::detail
