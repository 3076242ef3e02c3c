// Cards of a heap's blocks that the write barrier has marked.
#pragma once

#include <cstdint>
#include <vector>

#include "library/gc/heap_state.h"

namespace tenure::gc {

struct dirty_card {
  std::uint32_t block;
  std::uint32_t card;  // in it, or in the large object that begins there
};

// The marked ones of blocks of which `wanted`(kind) holds. If they are cleaned, this ends with a process barrier: a
// thread that still saw one dirty has stored before, and who looks now sees it.
using kind_test = bool (*)(object_kind kind);
std::vector<dirty_card> dirty_cards(heap_state& heap, kind_test wanted, bool clean) noexcept;

// Each living object that lies on the card: visit(place, first address of the card, its end).
template <class Visit>
void for_each_object_on(const dirty_card& card, Visit visit) {
  window& all = window::get();
  const char* first = all.address_of(card.block) + (std::size_t{card.card} << detail::card_shift);
  const char* end = first + (std::size_t{1} << detail::card_shift);
  const block_header& header = all.header(card.block);
  for (std::uint32_t cell = all.place(first).index; cell < header.cell_count; ++cell) {
    char* at = all.address_of(card.block) + std::size_t{cell} * header.cell_bytes;
    if (at >= end) return;
    const cell_place place = all.place(at);
    if (place.is_marked() && all.is_allocated(place)) visit(place, first, end);
  }
}

}  // namespace tenure::gc
