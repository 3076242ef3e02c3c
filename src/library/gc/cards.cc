#include "library/gc/cards.h"

#include "core/base/yield_point.h"
#include "library/gc/cycle.h"

namespace tenure::gc {

namespace {

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
    for (; card < cards; ++card) {
      if (first[card].load(std::memory_order_relaxed) == 0) continue;
      TENURE_YIELD_POINT();
      const dirty_card found{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(card)};
      if (!visit(found, first[card])) return;
    }
  }
}

}  // namespace

std::span<const dirty_card> dirty_cards::take() noexcept {
  std::size_t count = 0;
  walk(heap_, wanted_, next_, [&](const dirty_card& card, std::atomic<std::uint8_t>& byte) {
    if (clean_) byte.store(0, std::memory_order_relaxed);
    taken_[count++] = card;
    next_ = {card.block, card.card + 1};
    return count != most_at_once;
  });
  if (clean_ && count != 0) process_barrier();
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
