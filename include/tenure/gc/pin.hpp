// pin<T>: keeps a managed object alive and where it is, for code that knows only its address.
//
//     tenure::gc::pin<buffer> target(filled);
//     ::read(descriptor, target->bytes, sizeof target->bytes);
//
// For an address that is handed to the kernel, to a device or to a library. A plan that moves objects (heap_of.hpp)
// leaves alone what a pin leads to; under all others a pin is a root.
//
// Thread-safety: as a raw pointer; any thread may destroy it. Throws std::bad_alloc. It is moved, not copied: who holds
// it holds the object still. Cost: a lock when it is made and destroyed.
#pragma once

#include <type_traits>
#include <utility>

#include <tenure/gc/root.hpp>

namespace tenure::gc {

template <class T>
class pin final : detail::root_class {
 public:
  pin() noexcept = default;
  explicit pin(const local<T>& object) { hold(object.get()); }
  explicit pin(const member<T>& object) { hold(local<T>(object).get()); }
  explicit pin(const root<T>& object) { hold(local<T>(object).get()); }
  pin(pin&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}
  pin& operator=(pin other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~pin() {
    if (slot_ != nullptr) detail::give_pin_slot(slot_);
  }

  T* get() const noexcept { return pointer_; }
  T* operator->() const noexcept { return pointer_; }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }

 private:
  void hold(T* pointer) {
    if (pointer != nullptr) slot_ = detail::take_pin_slot(detail::untyped(pointer));
    pointer_ = pointer;
  }

  T* pointer_ = nullptr;
  detail::root_slot* slot_ = nullptr;
};

}  // namespace tenure::gc
