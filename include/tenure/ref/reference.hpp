// The reference templates behind rc, arc and brc: what std::shared_ptr and std::weak_ptr do, for any kind of counts.
//
//   reference         [ object | block ]     keeps the object
//   weak_reference    [ object | block ]     keeps the block
//
// Not promised to users of the library under these names: rc.hpp, arc.hpp and brc.hpp give them others.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <memory_resource>
#include <type_traits>
#include <utility>

#include <tenure/ref/block.hpp>

namespace tenure::detail {

template <class T, class Counts>
class weak_reference;

template <class T, class Counts>
class reference {
  static_assert(!std::is_array_v<T>, "refer to a std::vector or a std::array");
  using block_type = counted_block<Counts>;

 public:
  using element_type = T;
  using weak_type = weak_reference<T, Counts>;

  constexpr reference() noexcept = default;
  constexpr reference(std::nullptr_t) noexcept {}
  reference(const reference& other) noexcept : object_(other.object_), block_(other.block_) { add(); }
  reference(reference&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), block_(std::exchange(other.block_, nullptr)) {}
  template <pointer_converts<T> U>
  reference(const reference<U, Counts>& other) noexcept : object_(other.object_), block_(other.block_) {
    add();
  }
  template <pointer_converts<T> U>
  reference(reference<U, Counts>&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), block_(std::exchange(other.block_, nullptr)) {}

  // Aliasing: keeps what `owner` keeps and points to something else, as a rule a part of it.
  template <class U>
  reference(const reference<U, Counts>& owner, T* object) noexcept : object_(object), block_(owner.block_) {
    add();
  }
  template <class U>
  reference(reference<U, Counts>&& owner, T* object) noexcept
      : object_(object), block_(std::exchange(owner.block_, nullptr)) {
    owner.object_ = nullptr;
  }

  // Takes over an object that something else made; the counts get a block of their own. Throws std::bad_alloc, and the
  // object is then still the unique_ptr's; of the second form, `deleter(object)` has been called.
  template <class U, class Deleter>
  requires std::convertible_to<typename std::unique_ptr<U, Deleter>::pointer, T*> reference(
      std::unique_ptr<U, Deleter>&& other) {
    if (other == nullptr) return;
    using pointer = typename std::unique_ptr<U, Deleter>::pointer;
    if constexpr (std::is_reference_v<Deleter>) {
      using held = std::reference_wrapper<std::remove_reference_t<Deleter>>;
      block_ = new pointer_block<pointer, held, Counts>(other.get(), std::ref(other.get_deleter()));
    } else {
      block_ = new pointer_block<pointer, Deleter, Counts>(other.get(), std::move(other.get_deleter()));
    }
    object_ = other.release();
  }
  template <pointer_converts<T> U, std::invocable<U*> Deleter>
  reference(U* object, Deleter deleter) : object_(object) {
    try {
      block_ = new pointer_block<U*, Deleter, Counts>(object, std::move(deleter));
    } catch (...) {
      deleter(object);
      throw;
    }
  }
  // Throws std::bad_weak_ptr when the object has ended.
  template <pointer_converts<T> U>
  explicit reference(const weak_reference<U, Counts>& other) : reference(other.lock()) {
    if (block_ == nullptr) throw std::bad_weak_ptr();
  }

  ~reference() {
    if (block_ != nullptr) block_->release_strong();
  }
  reference& operator=(reference other) noexcept {
    swap(other);
    return *this;
  }
  void swap(reference& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(block_, other.block_);
  }
  friend void swap(reference& a, reference& b) noexcept { a.swap(b); }
  void reset() noexcept { reference().swap(*this); }

  T* get() const noexcept { return object_; }
  std::add_lvalue_reference_t<T> operator*() const noexcept requires(!std::is_void_v<T>) { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

  // A snapshot where other threads have references too.
  long use_count() const noexcept { return block_ == nullptr ? 0 : static_cast<long>(block_->counts.strong()); }
  // By what is kept instead of by what is pointed to.
  template <class Other>
  bool owner_before(const Other& other) const noexcept {
    return std::less<const void*>()(block_, other.block_);
  }
  template <class Other>
  bool owner_equal(const Other& other) const noexcept {
    return block_ == other.block_;
  }

  template <class U>
  bool operator==(const reference<U, Counts>& other) const noexcept {
    return object_ == other.get();
  }
  template <class U>
  std::strong_ordering operator<=>(const reference<U, Counts>& other) const noexcept {
    return std::compare_three_way()(object_, other.get());
  }
  bool operator==(std::nullptr_t) const noexcept { return object_ == nullptr; }

  // For make_*: takes over the one reference that a new block begins with.
  static reference from_block(T* object, block_type* block) noexcept {
    reference result;
    result.object_ = object;
    result.block_ = block;
    return result;
  }

 private:
  template <class, class>
  friend class reference;
  template <class, class>
  friend class weak_reference;

  void add() const noexcept {
    if (block_ != nullptr) block_->add_strong();
  }

  T* object_ = nullptr;
  block_type* block_ = nullptr;
};

template <class T, class Counts>
class weak_reference {
  using block_type = counted_block<Counts>;

 public:
  using element_type = T;

  constexpr weak_reference() noexcept = default;
  weak_reference(const weak_reference& other) noexcept : object_(other.object_), block_(other.block_) { add(); }
  weak_reference(weak_reference&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), block_(std::exchange(other.block_, nullptr)) {}
  template <pointer_converts<T> U>
  weak_reference(const reference<U, Counts>& other) noexcept : object_(other.object_), block_(other.block_) {
    add();
  }
  // Of a type that has the other as a virtual base the object is asked where that lies, so it must be there.
  template <pointer_converts<T> U>
  weak_reference(const weak_reference<U, Counts>& other) noexcept : object_(other.lock().get()), block_(other.block_) {
    add();
  }
  ~weak_reference() {
    if (block_ != nullptr) block_->release_weak();
  }
  weak_reference& operator=(weak_reference other) noexcept {
    swap(other);
    return *this;
  }
  void swap(weak_reference& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(block_, other.block_);
  }
  friend void swap(weak_reference& a, weak_reference& b) noexcept { a.swap(b); }
  void reset() noexcept { weak_reference().swap(*this); }

  // The object, kept; empty when it has ended.
  reference<T, Counts> lock() const noexcept {
    if (block_ == nullptr || !block_->counts.try_add_strong()) return {};
    return reference<T, Counts>::from_block(object_, block_);
  }
  bool expired() const noexcept { return block_ == nullptr || block_->counts.has_ended(); }
  long use_count() const noexcept { return block_ == nullptr ? 0 : static_cast<long>(block_->counts.strong()); }
  template <class Other>
  bool owner_before(const Other& other) const noexcept {
    return std::less<const void*>()(block_, other.block_);
  }
  template <class Other>
  bool owner_equal(const Other& other) const noexcept {
    return block_ == other.block_;
  }

 private:
  template <class, class>
  friend class reference;
  template <class, class>
  friend class weak_reference;

  void add() const noexcept {
    if (block_ != nullptr) block_->counts.add_weak();
  }

  T* object_ = nullptr;
  block_type* block_ = nullptr;
};

template <class T, class Counts, class... Arguments>
reference<T, Counts> make_reference(Arguments&&... arguments) {
  auto* const block = new inline_block<T, Counts>(std::forward<Arguments>(arguments)...);
  return reference<T, Counts>::from_block(std::addressof(block->object), block);
}

template <class T, class Counts, class... Arguments>
reference<T, Counts> allocate_reference(std::pmr::memory_resource& resource, Arguments&&... arguments) {
  auto* const block = resource_block<T, Counts>::make(resource, std::forward<Arguments>(arguments)...);
  return reference<T, Counts>::from_block(std::addressof(block->object), block);
}

}  // namespace tenure::detail

namespace tenure {

// The casts of std::shared_ptr: the result keeps what `of` keeps. A dynamic cast that fails is empty.
template <class T, class U, class Counts>
detail::reference<T, Counts> static_pointer_cast(detail::reference<U, Counts> of) noexcept {
  T* const object = static_cast<T*>(of.get());
  return {std::move(of), object};
}
template <class T, class U, class Counts>
detail::reference<T, Counts> dynamic_pointer_cast(detail::reference<U, Counts> of) noexcept {
  T* const object = dynamic_cast<T*>(of.get());
  if (object == nullptr) return {};
  return {std::move(of), object};
}
template <class T, class U, class Counts>
detail::reference<T, Counts> const_pointer_cast(detail::reference<U, Counts> of) noexcept {
  T* const object = const_cast<T*>(of.get());
  return {std::move(of), object};
}
template <class T, class U, class Counts>
detail::reference<T, Counts> reinterpret_pointer_cast(detail::reference<U, Counts> of) noexcept {
  T* const object = reinterpret_cast<T*>(of.get());
  return {std::move(of), object};
}

}  // namespace tenure

// The casts are found by the arguments' namespace, which is detail's.
namespace tenure::detail {
using tenure::const_pointer_cast;
using tenure::dynamic_pointer_cast;
using tenure::reinterpret_pointer_cast;
using tenure::static_pointer_cast;
}  // namespace tenure::detail

template <class T, class Counts>
struct std::hash<tenure::detail::reference<T, Counts>> {
  std::size_t operator()(const tenure::detail::reference<T, Counts>& of) const noexcept {
    return std::hash<T*>()(of.get());
  }
};
