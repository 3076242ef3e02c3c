// What weak<T> and soft<T> are: a pointer, and the cell that says whether it is still good.
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
  cell_reference(const local<T>& target)
      : pointer_(target.get()), cell_(pointer_ == nullptr ? nullptr : take_weak_cell(untyped(pointer_), how)) {}
  cell_reference(const member<T>& target) : cell_reference(local<T>(target)) {}
  cell_reference(const cell_reference& other) noexcept : pointer_(other.pointer_), cell_(other.cell_) {
    if (cell_ != nullptr) share_weak_cell(cell_, how);
  }
  cell_reference(cell_reference&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)), cell_(std::exchange(other.cell_, nullptr)) {}
  ~cell_reference() {
    if (cell_ != nullptr) give_weak_cell(cell_, how);
  }
  cell_reference& operator=(cell_reference other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(cell_, other.cell_);
    return *this;
  }

  // The object, or null when it is dead.
  local<T> lock() const noexcept {
    local<T> result;
    if (cell_ != nullptr && lock_weak_cell(cell_, result.held_slot())) {
      // The slot holds the object; what was asked for may be a base of it, or a part.
      set_slot(result.held_slot(), untyped(pointer_));
      result.refresh(pointer_);
      if constexpr (how == strength::soft) touch_weak_cell(cell_);
    }
    return result;
  }

  // Whether lock() would have returned null. The answer false may be out of date when it arrives.
  bool expired() const noexcept { return cell_ == nullptr || is_expired(cell_); }

 private:
  T* pointer_ = nullptr;
  weak_cell* cell_ = nullptr;
};

}  // namespace tenure::gc::detail
