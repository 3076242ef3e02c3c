// The slots and pairs of one object, by its type's list.
#pragma once

#include <algorithm>
#include <cstdint>

#include "library/gc/marker.h"

namespace tenure::gc {

// Those that begin in [first, end): slot(char*), pair(char*). False, and none, when the layout is not known yet.
template <class Slot, class Pair>
bool for_each_slot_within(const cell_place& at, const char* first, const char* end, Slot slot, Pair pair) {
  detail::type_descriptor* type = type_of(at.cell);
  if (type == nullptr) return false;
  if (type->list == nullptr) return true;
  const std::size_t count = element_count(*type, at.cell);
  if (count == 0) return true;
  char* payload = at.cell + type->payload_offset;
  const std::uint32_t* offsets = slots_of(*type, payload);
  if (offsets == nullptr) return false;
  const std::size_t step = type->element_bytes;
  // The element before the first whole one may reach into the range.
  std::size_t element = first <= payload ? 0 : static_cast<std::size_t>(first - payload) / step;
  for (; element < count && payload + element * step < end; ++element) {
    char* object = payload + element * step;
    for (std::uint32_t i = 0; i < type->slot_count + type->pair_count; ++i) {
      char* word = object + offsets[i];
      if (word < first || word >= end) continue;
      if (i < type->slot_count) {
        slot(word);
      } else {
        pair(word);
      }
    }
  }
  return true;
}

inline std::size_t bytes_of(const cell_place& at) noexcept {
  return at.header->reciprocal != 0 ? at.header->cell_bytes : at.header->large_bytes;
}

// All of them.
template <class Slot, class Pair>
bool for_each_slot_of(const cell_place& at, Slot slot, Pair pair) {
  return for_each_slot_within(at, at.cell, at.cell + bytes_of(at), slot, pair);
}

}  // namespace tenure::gc
