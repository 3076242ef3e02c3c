// Cards of a heap's blocks that the write barrier has marked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "library/gc/heap_state.h"

namespace tenure::gc {

struct dirty_card {
  std::uint32_t block;
  std::uint32_t card;  // in it, or in the large object that begins there
};

// Of blocks of which it holds, cards are looked at.
using kind_test = bool (*)(object_kind kind);
// Which objects of theirs: a card on which there are none is cleaned with the others, and no more is done about it.
enum class card_objects : std::uint8_t { marked, alive };

// The marked cards of a heap, some at a time: a cycle that runs because there is no memory takes none for them. If they
// are cleaned, take() ends with a process barrier: a thread that still saw one of those dirty has stored before, and
// who looks now sees it.
class dirty_cards {
 public:
  dirty_cards(heap_state& heap, kind_test wanted, card_objects which, bool clean) noexcept
      : heap_(heap), wanted_(wanted), which_(which), clean_(clean) {}

  // The next ones, until the next call; none: that was all.
  std::span<const dirty_card> take() noexcept;

 private:
  static constexpr std::size_t most_at_once = 1024;

  heap_state& heap_;
  kind_test wanted_;
  card_objects which_;
  bool clean_;
  dirty_card next_{0, 0};
  dirty_card taken_[most_at_once];
};

// All cleaned, and nothing remembered of them; ends with a process barrier as well.
void clean_cards(heap_state& heap, kind_test wanted) noexcept;

// Each object that lies on the card and is marked, or alive in the cycle: visit(place, first address of the card, its
// end).
template <class Visit>
void for_each_object_on(const dirty_card& card, card_objects which, Visit visit) {
  window& all = window::get();
  const char* first = all.address_of(card.block) + (std::size_t{card.card} << detail::card_shift);
  const char* end = first + (std::size_t{1} << detail::card_shift);
  const block_header& header = all.header(card.block);
  for (std::uint32_t cell = all.place(first).index; cell < header.cell_count; ++cell) {
    char* at = all.address_of(card.block) + std::size_t{cell} * header.cell_bytes;
    if (at >= end) return;
    const cell_place place = all.place(at);
    const bool wanted = which == card_objects::marked ? place.is_marked() : place.is_alive();
    if (wanted && all.is_allocated(place)) visit(place, first, end);
  }
}

// Each such object on a marked card, likewise.
template <class Visit>
void for_each_object_on_cards(heap_state& heap, kind_test wanted, card_objects which, bool clean, Visit visit) {
  dirty_cards dirty(heap, wanted, which, clean);
  for (std::span<const dirty_card> some = dirty.take(); !some.empty(); some = dirty.take()) {
    for (const dirty_card& card : some) for_each_object_on(card, which, visit);
  }
}

}  // namespace tenure::gc
