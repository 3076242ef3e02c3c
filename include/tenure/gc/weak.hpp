// weak<T>: knows a managed object without keeping it alive.
//
//     tenure::gc::weak<texture> cached(loaded);
//     if (tenure::gc::local<texture> alive = cached.lock()) draw(*alive);
//
// The contract, a sentence a line; tests/unit/gc/weak_test.cc has a test for each:
//   1. lock() returns the object while something else keeps it alive.
//   2. What lock() returns keeps the object alive.
//   3. Once lock() has returned null, every weak reference to that object returns null, for ever.
//   4. Weak references to an object are null before its destructor runs.
//   5. When a cycle ends that found the object dead, lock() returns null: collect() makes it certain.
//   6. Objects that die together become null together: no lock() sees one of them dead and then another alive.
//   7. A weak reference may live anywhere: on the stack, in globals, in standard containers, in managed objects.
//
// Thread-safety: as shared_ptr; lock() may be called by many threads on one weak<T>. Throws std::bad_alloc when there
// is no memory for the cell, which all weak references to an object share. A managed object that has a weak<T> has a
// destructor to run. Cost of lock(): two plain stores more than a local's; while a collector marks, for an object that
// is not marked yet, a lock. Cost to the collector: one look at each cell in each cycle.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/member.hpp>

namespace tenure::gc {

template <class T>
class weak final {
 public:
  constexpr weak() noexcept = default;
  constexpr weak(std::nullptr_t) noexcept {}
  weak(const local<T>& target)
      : pointer_(target.get()),
        cell_(pointer_ == nullptr ? nullptr : detail::take_weak_cell(detail::untyped(pointer_))) {}
  weak(const member<T>& target) : weak(local<T>(target)) {}
  weak(const weak& other) noexcept : pointer_(other.pointer_), cell_(other.cell_) {
    if (cell_ != nullptr) detail::share_weak_cell(cell_);
  }
  weak(weak&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)), cell_(std::exchange(other.cell_, nullptr)) {}
  ~weak() {
    if (cell_ != nullptr) detail::give_weak_cell(cell_);
  }
  weak& operator=(weak other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(cell_, other.cell_);
    return *this;
  }

  local<T> lock() const noexcept {
    local<T> result;
    if (cell_ != nullptr && detail::lock_weak_cell(cell_, result.held_slot())) {
      // The slot holds the object; what was asked for may be a base of it, or a part.
      detail::set_slot(result.held_slot(), detail::untyped(pointer_));
      result.refresh(pointer_);
    }
    return result;
  }

  // Whether lock() would have returned null. The answer false may be out of date when it arrives.
  bool expired() const noexcept { return cell_ == nullptr || detail::is_expired(cell_); }

 private:
  T* pointer_ = nullptr;
  detail::weak_cell* cell_ = nullptr;
};

}  // namespace tenure::gc

// What holds a weak reference is not traced for it.
template <class T>
inline constexpr bool tenure::gc::is_leaf<tenure::gc::weak<T>> = true;
