// What the collector knows of a type, made by the compiler.
//
// A cell begins with the address of its type's descriptor. The offsets of its managed pointers are counted at compile
// time and listed in an array of that size when the first object is traced, from the addresses of the members of that
// very object: no table can disagree with the layout, and nothing is allocated for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <type_traits>

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/size_class.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc::detail {

struct type_descriptor {
  std::string_view name;
  std::uint32_t payload_offset;  // from the cell's start
  std::uint32_t element_bytes;   // of the object, or of one element of an array
  std::uint32_t slot_count;      // managed pointers in one element
  std::uint32_t pair_count;      // ephemerons in it
  bool is_array;                 // the count stands in the cell's second word
  bool needs_object;             // offsets depend on the object's virtual bases: known when one has been constructed
  bool is_relocatable;           // its bytes may be copied to another cell
  bool keeps_addresses;          // what it leads to may not
  void (*list)(void* element, slot_list& sink);
  void (*destroy)(void* payload, std::size_t count) noexcept;  // null: nothing to do
  std::uint32_t* offsets;                                      // of slots, then of pairs; once `listed`
  std::atomic<bool> listed{false};

  slot_counts counts() const noexcept { return {slot_count, pair_count}; }
};

inline std::atomic<std::size_t>* array_count(char* cell) noexcept {
  return reinterpret_cast<std::atomic<std::size_t>*>(cell + sizeof(void*));
}

template <class T>
void list_slots_of(void* element, slot_list& sink) {
  list_slots(*static_cast<T*>(element), sink);
}

template <class T>
void destroy_elements(void* payload, std::size_t count) noexcept {
  T* elements = static_cast<T*>(payload);
  while (count != 0) elements[--count].~T();
}

template <class T>
inline constinit std::uint32_t slot_offsets[slots_in<T>.slots + slots_in<T>.pairs + !has_slots<T>] = {};

template <class T, bool is_array>
constexpr type_descriptor describe() noexcept {
  const std::size_t head = is_array ? 2 * sizeof(void*) : sizeof(void*);
  return {name_of<T>(),
          static_cast<std::uint32_t>(head > alignof(T) ? head : alignof(T)),
          sizeof(T),
          static_cast<std::uint32_t>(slots_in<T>.slots),
          static_cast<std::uint32_t>(slots_in<T>.pairs),
          is_array,
          has_virtual_bases<T>(),
          is_relocatable<T>,
          keeps_addresses<T>,
          has_slots<T> ? &list_slots_of<T> : nullptr,
          std::is_trivially_destructible_v<T> ? nullptr : &destroy_elements<T>,
          slot_offsets<T>,
          false};
}

template <class T, bool is_array = false>
inline constinit type_descriptor descriptor_of = describe<T, is_array>();

}  // namespace tenure::gc::detail
