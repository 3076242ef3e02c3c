// make<T>, make_array<T>: managed objects.
//
//     auto n = tenure::gc::make<node>(arguments...);          // local<node>
//     auto table = tenure::gc::make_array<member<node>>(64);  // local<array<member<node>>>
//     (*table)[3] = n;
//
// T's managed pointers are found at compile time (members.hpp says how a class lists them); a type that cannot be seen
// through does not compile. An exception of the constructor passes on, and the object is garbage without a destructor.
//
// The object's address does not change, unless its heap's plan moves objects (heap_of.hpp), and then not while a local
// leads to it. Its destructor, if it is not trivial, runs once on the collector's thread for
// destructors after the object has become unreachable; there is no telling when, unless with heap::collect() and
// heap::wait_for_destructors(). It must not let `this` escape: the memory is reused when it returns.
//
// Throws std::bad_alloc. Cost: about that of a bump allocation, plus a root slot, plus the constructor.
#pragma once

#include <bit>
#include <cstddef>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/descriptor.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>

namespace tenure::gc {

class heap;

// Elements in a row, as many as make_array was told.
template <class T>
class array final {
 public:
  std::size_t size() const noexcept { return size_; }
  T* data() noexcept { return std::launder(reinterpret_cast<T*>(reinterpret_cast<char*>(this) + offset)); }
  const T* data() const noexcept { return const_cast<array*>(this)->data(); }
  T& operator[](std::size_t index) noexcept { return data()[index]; }
  const T& operator[](std::size_t index) const noexcept { return data()[index]; }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }
  const T* begin() const noexcept { return data(); }
  const T* end() const noexcept { return data() + size_; }

  array(const array&) = delete;
  array& operator=(const array&) = delete;

  // A cell is [ descriptor | count | elements ], aligned as the elements are; an array begins at its count.
  static constexpr std::size_t cell_offset = alignof(T) > 2 * sizeof(std::size_t) ? alignof(T)
                                                                                  : 2 * sizeof(std::size_t);
  static constexpr std::size_t offset = cell_offset - sizeof(std::size_t);

 private:
  std::size_t size_;
};

namespace detail {

template <class T>
constexpr void require_manageable() {
  static_assert(!std::is_const_v<T> && !std::is_volatile_v<T> && std::is_object_v<T> && !std::is_array_v<T>,
                "tenure::gc: managed objects are of object types without const or volatile; arrays by make_array");
  static_assert(alignof(T) <= largest_alignment_bytes, "tenure::gc: managed objects are aligned to 64 bytes at most");
  static_assert(std::is_nothrow_destructible_v<T>, "tenure::gc: a destructor that throws has nobody to catch it");
  require_visible<T>();
  static_assert(slots_in<T>.pairs == 0 || !has_virtual_bases<T>(),
                "tenure::gc: a class with virtual bases cannot have ephemerons: put them into an object of their own");
}

// Makes of a cell whose object could not be constructed one that nobody looks at.
inline void abandon(rooted_cell taken) noexcept {
  std::atomic_ref(*reinterpret_cast<const type_descriptor**>(taken.cell))
      .store(&descriptor_of<char>, std::memory_order_release);
  pop(taken.root);
}

inline void set_type(char* cell, type_descriptor& type) noexcept {
  std::atomic_ref(*reinterpret_cast<type_descriptor**>(cell)).store(&type, std::memory_order_release);
}

// Apart, so that the address of the descriptor is in no register of the fast path's while this is called.
template <type_descriptor& type>
[[gnu::noinline, gnu::cold]] rooted_cell allocate_slow_of(heap_state* heap, std::size_t list,
                                                          std::size_t payload_offset) {
  return allocate_slow(heap, list, payload_offset, type);
}

// The fast path: the next cell of the thread's run. Its address is in a root slot before the run begins behind it, so
// that a collector which reads both sees one of them: nobody needs to be told of it. `slow` is asked otherwise.
template <class Slow>
inline rooted_cell allocate(heap_state* heap, std::size_t number, std::size_t list, std::size_t cell_bytes,
                            std::size_t payload_offset, Slow slow) {
  thread_record* self = current_thread;
  allocation_run& run = self->heaps[number]->runs[list];
  char* cell = run.next.load(std::memory_order_relaxed);
  root_slot* taken = self->top.load(std::memory_order_relaxed);
  if (cell == run.end.load(std::memory_order_relaxed) || taken == self->limit) [[unlikely]]
    return slow(heap, list, payload_offset);
  taken->store(cell + payload_offset, std::memory_order_release);
  self->top.store(taken + 1, std::memory_order_release);
  TENURE_GC_STEP();
  run.next.store(cell + cell_bytes, std::memory_order_release);
  TENURE_GC_STEP();
  return {cell, taken};
}

// The zeroes that value-initialisation writes first go where zeroes are, and where a collector may be reading: to a
// ThreadSanitizer that is a race.
#if defined(__SANITIZE_THREAD__)
#define TENURE_GC_NO_THREAD_SANITIZER __attribute__((no_sanitize("thread"), noinline))
#else
#define TENURE_GC_NO_THREAD_SANITIZER
#endif
template <class T, class... Arguments>
TENURE_GC_NO_THREAD_SANITIZER T* construct(void* at, Arguments&&... arguments) {
  return ::new (at) T(std::forward<Arguments>(arguments)...);
}

template <class T, class... Arguments>
local<T> make_in(heap_state* heap, std::size_t number, Arguments&&... arguments) {
  require_manageable<T>();
  constexpr type_descriptor& type = descriptor_of<T>;
  constexpr std::size_t offset = alignof(T) > sizeof(void*) ? alignof(T) : sizeof(void*);
  constexpr object_kind kind =
      kind_of(slots_in<T>.slots != 0, slots_in<T>.pairs != 0, !std::is_trivially_destructible_v<T>);
  constexpr std::size_t size_class = class_of(offset + sizeof(T), alignof(T));
  rooted_cell taken;
  if constexpr (size_class == large_class) {
    taken = allocate_large(heap, kind, offset + sizeof(T), offset, type);
  } else {
    taken = allocate(heap, number, list_of(kind, size_class), cell_sizes[size_class], offset,
                     allocate_slow_of<descriptor_of<T>>);
  }
  T* object;
  if constexpr (std::is_nothrow_constructible_v<T, Arguments...>) {
    set_type(taken.cell, type);
    object = construct<T>(taken.cell + offset, std::forward<Arguments>(arguments)...);
  } else {
    set_type(taken.cell, type);
    try {
      object = construct<T>(taken.cell + offset, std::forward<Arguments>(arguments)...);
    } catch (...) {
      abandon(taken);
      throw;
    }
  }
  if constexpr (has_virtual_bases<T>()) {
    if (!type.listed.load(std::memory_order_acquire)) learn_slots(type, object);
  }
  return local<T>::adopt(object, taken.root);
}

TENURE_API rooted_cell allocate_array(heap_state* heap, object_kind kind, std::size_t bytes,
                                      std::size_t alignment_bytes, std::size_t payload_offset,
                                      const type_descriptor& type);

template <class T>
local<array<T>> make_array_in(heap_state* heap, std::size_t size) {
  require_manageable<T>();
  constexpr type_descriptor& type = descriptor_of<T, true>;
  constexpr std::size_t offset = array<T>::cell_offset;
  constexpr std::size_t start = offset - array<T>::offset;
  constexpr object_kind kind =
      kind_of(slots_in<T>.slots != 0, slots_in<T>.pairs != 0, !std::is_trivially_destructible_v<T>);
  if (size > (std::size_t{1} << 46) / sizeof(T)) throw std::bad_array_new_length();
  // An empty array's elements would be in the next cell: what leads to an array leads to its count.
  const rooted_cell taken = allocate_array(heap, kind, offset + size * sizeof(T), alignof(T), start, type);
  array_count(taken.cell)->store(size, std::memory_order_release);
  set_type(taken.cell, type);
  T* elements = reinterpret_cast<T*>(taken.cell + offset);
  std::size_t made = 0;
  try {
    for (; made < size; ++made) construct<T>(elements + made);
  } catch (...) {
    destroy_elements<T>(elements, made);
    abandon(taken);
    throw;
  }
  if constexpr (has_virtual_bases<T>()) {
    if (size != 0 && !type.listed.load(std::memory_order_acquire)) learn_slots(type, elements);
  }
  static_assert(start == sizeof(void*), "an array begins at its count");
  return local<array<T>>::adopt(reinterpret_cast<array<T>*>(taken.cell + start), taken.root);
}

}  // namespace detail

// In the standard heap.
template <class T, class... Arguments>
local<T> make(Arguments&&... arguments) {
  return detail::make_in<T>(nullptr, 0, std::forward<Arguments>(arguments)...);
}
// Elements are value-initialised.
template <class T>
local<array<T>> make_array(std::size_t size) {
  return detail::make_array_in<T>(nullptr, size);
}

}  // namespace tenure::gc
