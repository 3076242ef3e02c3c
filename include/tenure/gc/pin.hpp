// pin<T>: keeps a managed object alive and where it is, for code that knows only its address.
//
//     tenure::gc::pin<buffer> target(filled);
//     ::read(descriptor, target->bytes, sizeof target->bytes);
//
// For an address that is handed to the kernel, to a device or to a library. Use it where a plan might move objects: no
// plan that there is now does, and then a pin costs what a root costs; what is pinned stays put under every plan.
//
// Thread-safety: as a raw pointer; any thread may destroy it. Throws std::bad_alloc. It is moved, not copied: who holds
// it holds the object still.
#pragma once

#include <type_traits>

#include <tenure/gc/root.hpp>

namespace tenure::gc {

template <class T>
class pin final : detail::root_class {
 public:
  pin() noexcept = default;
  explicit pin(const local<T>& object) : held_(object) {}
  explicit pin(const member<T>& object) : held_(object) {}
  explicit pin(const root<T>& object) : held_(object) {}
  pin(pin&&) noexcept = default;
  pin& operator=(pin&&) noexcept = default;
  ~pin() = default;

  T* get() const noexcept { return held_.get(); }
  T* operator->() const noexcept { return held_.get(); }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *held_.get(); }
  explicit operator bool() const noexcept { return held_.get() != nullptr; }

 private:
  root<T> held_;
};

}  // namespace tenure::gc
