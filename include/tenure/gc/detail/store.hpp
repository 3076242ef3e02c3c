// store<T>: what the containers keep their elements in: a managed object with room for more than there are.
//
//   cell   [ descriptor | capacity | size | first | element, element, ...            ]
//                         ▲ a store begins here     size of them from `first` on, round the end
//
// What is not an element is null where an element has a managed pointer: the collector looks at all of them alike. When
// nothing leads to a store any more its elements are destroyed, those that there are.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <tenure/gc/make.hpp>
#include <tenure/gc/member.hpp>

namespace tenure::gc::detail {

// What was an element keeps nothing alive.
template <class T>
void forget_slots(T& element) noexcept {
  if constexpr (slot_type<T>) {
    store_null(*reinterpret_cast<void**>(&element));
  } else if constexpr (has_slots<T>) {
    constexpr slot_counts counts = slots_in<T>;
    std::uint32_t offsets[counts.slots + counts.pairs];
    char* first = reinterpret_cast<char*>(&element);
    slot_list sink{reinterpret_cast<std::uintptr_t>(first), offsets, counts};
    list_slots(element, sink);
    for (std::size_t i = 0; i < counts.slots; ++i) {
      store_null(*reinterpret_cast<void**>(first + offsets[i]));
    }
    for (std::size_t i = 0; i < counts.pairs; ++i) {
      store_pair(*reinterpret_cast<pair_words*>(first + offsets[counts.slots + i]), nullptr, nullptr);
    }
  }
}

template <class T>
void destroy_element(T& element) noexcept {
  element.~T();
  forget_slots(element);
}

// An element at `place`, where there is none; if its constructor throws, what it had stored keeps nothing alive.
template <class T, class... Arguments>
T* construct_element(T* place, Arguments&&... arguments) {
  if constexpr (std::is_nothrow_constructible_v<T, Arguments...>) {
    return construct<T>(place, std::forward<Arguments>(arguments)...);
  } else {
    try {
      return construct<T>(place, std::forward<Arguments>(arguments)...);
    } catch (...) {
      forget_slots(*place);
      throw;
    }
  }
}

// What `add` has added at the end of a sequence goes again if it throws.
template <class Sequence, class Add>
void add_all_or_none(Sequence& to, Add add) {
  const std::size_t before = to.size();
  try {
    add();
  } catch (...) {
    while (to.size() > before) to.pop_back();
    throw;
  }
}

template <class T>
class store final {
 public:
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t first() const noexcept { return first_; }
  void set_size(std::size_t size) noexcept { size_ = size; }
  void set_first(std::size_t first) noexcept { first_ = first; }
  T* data() noexcept { return std::launder(reinterpret_cast<T*>(reinterpret_cast<char*>(this) + offset)); }
  // The i-th from `first` on, or the place where it would be.
  T* at(std::size_t i) noexcept {
    const std::size_t place = first_ + i;
    return data() + (place < capacity_ ? place : place - capacity_);
  }

  // Behind the elements, for which there is room.
  template <class... Arguments>
  T& construct_back(Arguments&&... arguments) {
    T* made = construct_element(at(size_), std::forward<Arguments>(arguments)...);
    ++size_;
    return *made;
  }
  void destroy_back() noexcept { destroy_element(*at(--size_)); }
  void destroy_all() noexcept {
    while (size_ != 0) destroy_back();
  }

  static constexpr std::size_t cell_offset = alignof(T) > 4 * sizeof(std::size_t) ? alignof(T)
                                                                                  : 4 * sizeof(std::size_t);
  static constexpr std::size_t offset = cell_offset - sizeof(void*);

 private:
  std::size_t capacity_;
  std::size_t size_;
  std::size_t first_;
};

template <class T>
void destroy_store(void* payload, std::size_t) noexcept {
  reinterpret_cast<store<T>*>(static_cast<char*>(payload) - store<T>::offset)->destroy_all();
}

template <class T>
constexpr type_descriptor describe_store() noexcept {
  return {name_of<T>(),
          store<T>::cell_offset,
          sizeof(T),
          static_cast<std::uint32_t>(slots_in<T>.slots),
          static_cast<std::uint32_t>(slots_in<T>.pairs),
          true,
          false,
          is_relocatable<T>,
          keeps_addresses<T>,
          has_slots<T> ? &list_slots_of<T> : nullptr,
          std::is_trivially_destructible_v<T> ? nullptr : &destroy_store<T>,
          slot_offsets<T>,
          false};
}
template <class T>
inline constinit type_descriptor store_descriptor_of = describe_store<T>();

// A store in the heap of the object that `owner` lies in, for at least so many elements, and without one. Throws
// std::bad_alloc.
template <class T>
local<store<T>> make_store(const void* owner, const char* what, std::size_t capacity) {
  require_manageable<T>();
  static_assert(!has_virtual_bases<T>(),
                "tenure::gc: elements of a container may not have virtual bases: keep member<T> to them");
  if (capacity > (std::size_t{1} << 46) / sizeof(T)) throw std::bad_array_new_length();
  constexpr std::size_t head = store<T>::cell_offset;
  constexpr object_kind kind =
      kind_of(slots_in<T>.slots != 0, slots_in<T>.pairs != 0, !std::is_trivially_destructible_v<T>);
  std::size_t bytes = head + capacity * sizeof(T);
  // To the end of the cell it will get.
  const std::size_t size_class = class_of(bytes, alignof(T));
  if (size_class != large_class) bytes = cell_sizes[size_class];
  const rooted_cell taken =
      allocate_array(heap_of_owner(owner, what).heap, kind, bytes, alignof(T), sizeof(void*), store_descriptor_of<T>);
  auto* made = reinterpret_cast<store<T>*>(taken.cell + sizeof(void*));
  made->set_size(0);
  made->set_first(0);
  array_count(taken.cell)->store((bytes - head) / sizeof(T), std::memory_order_release);
  set_type(taken.cell, store_descriptor_of<T>);
  return local<store<T>>::adopt(made, taken.root);
}

// All to an empty store, or none if that throws: by copying unless moving cannot throw.
template <class T>
void move_elements(store<T>& from, store<T>& to) {
  try {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if constexpr (slot_type<T>) {
        to.construct_back(std::as_const(*from.at(i)));  // `from` is garbage after this: no need to null it
      } else {
        to.construct_back(std::move_if_noexcept(*from.at(i)));
      }
    }
  } catch (...) {
    to.destroy_all();
    throw;
  }
  from.destroy_all();
}

// The element that is added, at `place` of the new store, is constructed before others move, which its arguments may
// refer to.
template <class T, class... Arguments>
T& grow_and_construct(store<T>* from, store<T>& to, std::size_t place, Arguments&&... arguments) {
  const std::size_t before = from == nullptr ? 0 : from->size();
  T* made = construct<T>(to.data() + place, std::forward<Arguments>(arguments)...);
  try {
    if (from != nullptr) move_elements(*from, to);
  } catch (...) {
    destroy_element(*made);
    throw;
  }
  to.set_size(before + 1);
  return *made;
}

// An element that changes places with another is kept aside meanwhile. On the stack its members would keep nothing
// alive, and containers in it have no place; so a class with members is kept in a store of its own. A member is held by
// its swap.
template <class T>
local<store<T>> make_spare(const void* owner, const char* what) {
  if constexpr (has_slots<T> && !slot_type<T>) {
    return make_store<T>(owner, what, 1);
  } else {
    return nullptr;
  }
}
template <class T>
void swap_elements(T& a, T& b, store<T>* spare) {
  if constexpr (has_slots<T> && !slot_type<T>) {
    T& aside = spare->construct_back(std::move(a));
    a = std::move(b);
    b = std::move(aside);
    spare->destroy_back();
  } else {
    using std::swap;
    swap(a, b);
  }
}
template <class T>
void rotate_elements(T* first, T* middle, T* end, store<T>* spare) {
  const auto reverse = [&](T* from, T* to) {
    while (from != to && from != --to) swap_elements(*from++, *to, spare);
  };
  reverse(first, middle);
  reverse(middle, end);
  reverse(first, end);
}

// What a container holds: one member, null while it is empty. `what` it is called in messages.
template <class T>
using store_member_of = member<store<T>>;

// A container's storage changes hands only within a heap, and only to a managed object.
inline void require_same_heap(const void* to, const void* from, const char* what) noexcept {
  if (heap_of_owner(to, what).heap != heap_of_owner(from, what).heap) reject_other_heap(what);
}

}  // namespace tenure::gc::detail
