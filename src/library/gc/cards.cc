#include "library/gc/cards.h"

#include <bit>

#include "core/base/yield_point.h"
#include "library/gc/cycle.h"

namespace tenure::gc {

namespace {

constexpr std::size_t cards_at_once = sizeof(std::uint64_t);

// The first marked one of cards[from, end); end: there is none. Most are clean, so eight are read at once.
std::size_t next_marked(const std::atomic<std::uint8_t>* cards, std::size_t from, std::size_t end) noexcept {
  while (from < end) {
    if (from % cards_at_once == 0 && end - from >= cards_at_once) {
      const auto* eight = reinterpret_cast<const std::uint64_t*>(cards + from);
      const std::uint64_t marked = __atomic_load_n(eight, __ATOMIC_RELAXED);
      if (marked != 0) return from + static_cast<std::size_t>(std::countr_zero(marked)) / 8;
      from += cards_at_once;
    } else if (cards[from].load(std::memory_order_relaxed) != 0) {
      return from;
    } else {
      ++from;
    }
  }
  return end;
}

// Marked cards of the heap's blocks of which `wanted` holds, from a place on: visit(card, its byte) until it is false.
template <class Visit>
void walk(const heap_state& heap, kind_test wanted, dirty_card from, Visit visit) noexcept {
  window& all = window::get();
  const std::size_t end = all.end_block();
  constexpr std::size_t cards_per_block = block_bytes >> detail::card_shift;
  std::size_t card = from.card;
  for (std::size_t block = from.block; block < end; ++block, card = 0) {
    const block_header& header = all.header(block);
    const block_state state = header.state.load(std::memory_order_acquire);
    if (state != block_state::cells && state != block_state::large) continue;
    if (header.heap_number != heap.number || !wanted(header.kind)) continue;
    const std::size_t cards = cards_per_block * run_of(header);
    std::atomic<std::uint8_t>* first = all.cards(block);
    for (card = next_marked(first, card, cards); card != cards; card = next_marked(first, card + 1, cards)) {
      TENURE_YIELD_POINT();
      const dirty_card found{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(card)};
      if (!visit(found, first[card])) return;
    }
  }
}

// Whether an object that lies on the card is marked.
bool has_marked(const dirty_card& card) noexcept {
  const window& all = window::get();
  const char* first = all.address_of(card.block) + (std::size_t{card.card} << detail::card_shift);
  const cell_place from = all.place(first);
  const block_header& header = *from.header;
  if (header.reciprocal == 0) return from.is_marked();
  const std::uint32_t last = all.place(first + (std::size_t{1} << detail::card_shift) - 1).index;
  const mark_words* marks = all.bits(card.block).marks;
  const auto marked = [&](std::size_t word) { return marks[word].marked.load(std::memory_order_relaxed); };
  const std::uint64_t from_first = ~std::uint64_t{0} << (from.index % 64);
  const std::uint64_t to_last = ~std::uint64_t{0} >> (63 - last % 64);
  if (from.index / 64 == last / 64) return (marked(last / 64) & from_first & to_last) != 0;
  return (marked(from.index / 64) & from_first) != 0 || (marked(last / 64) & to_last) != 0;
}

}  // namespace

std::span<const dirty_card> dirty_cards::take() noexcept {
  std::size_t count = 0;
  bool any = false;
  walk(heap_, wanted_, next_, [&](const dirty_card& card, std::atomic<std::uint8_t>& byte) {
    any = true;
    if (clean_) byte.store(0, std::memory_order_relaxed);
    next_ = {card.block, card.card + 1};
    if (which_ == card_objects::marked && !has_marked(card)) return true;
    taken_[count++] = card;
    return count != most_at_once;
  });
  if (clean_ && any) process_barrier();
  TENURE_YIELD_POINT();
  return {taken_, count};
}

void clean_cards(heap_state& heap, kind_test wanted) noexcept {
  walk(heap, wanted, {0, 0}, [](const dirty_card&, std::atomic<std::uint8_t>& byte) {
    byte.store(0, std::memory_order_relaxed);
    return true;
  });
  process_barrier();
  TENURE_YIELD_POINT();
}

}  // namespace tenure::gc
