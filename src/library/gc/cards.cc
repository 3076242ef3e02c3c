#include "library/gc/cards.h"

#include "core/base/yield_point.h"
#include "library/gc/cycle.h"

namespace tenure::gc {

std::vector<dirty_card> dirty_cards(heap_state& heap, kind_test wanted, bool clean) noexcept {
  std::vector<dirty_card> dirty;
  window& all = window::get();
  const std::size_t end = all.end_block();
  constexpr std::size_t cards_per_block = block_bytes >> detail::card_shift;
  for (std::size_t block = 0; block < end; ++block) {
    const block_header& header = all.header(block);
    const block_state state = header.state.load(std::memory_order_acquire);
    if (state != block_state::cells && state != block_state::large) continue;
    if (header.heap_number != heap.number || !wanted(header.kind)) continue;
    const std::size_t cards = cards_per_block * (state == block_state::large ? header.run_blocks : 1);
    std::atomic<std::uint8_t>* first = all.cards(block);
    for (std::size_t card = 0; card < cards; ++card) {
      if (first[card].load(std::memory_order_relaxed) == 0) continue;
      TENURE_YIELD_POINT();
      if (clean) first[card].store(0, std::memory_order_relaxed);
      dirty.push_back({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(card)});
    }
  }
  if (clean) process_barrier();
  TENURE_YIELD_POINT();
  return dirty;
}

}  // namespace tenure::gc
