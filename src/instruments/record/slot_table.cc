#include "instruments/record/slot_table.h"

#include <bit>
#include <utility>

namespace tenure::record {

void slot_table::put_in_order() {
  while (!used_.empty() && used_.back() == 0) used_.pop_back();
  size_ = static_cast<std::uint32_t>(used_.size()) * slots_a_word;
  if (!used_.empty()) size_ -= static_cast<std::uint32_t>(std::countl_zero(used_.back()));
  given_.clear();
  // From the highest on: the last one goes first.
  for (std::uint32_t word = static_cast<std::uint32_t>(used_.size()); word-- != 0;) {
    std::uint64_t free = ~used_[word];
    if (word == size_ / slots_a_word) free &= bit(size_) - 1;
    for (; free != 0; free &= ~std::bit_floor(free))
      given_.push_back(word * slots_a_word + slots_a_word - 1 - static_cast<std::uint32_t>(std::countl_zero(free)));
  }
}

bool slot_table::restore(std::uint32_t size, std::vector<std::uint32_t> given, std::uint64_t taken) {
  size_ = size;
  taken_ = taken;
  used_.assign((std::size_t{size} + slots_a_word - 1) / slots_a_word, ~std::uint64_t{0});
  if (size % slots_a_word != 0) used_.back() = bit(size) - 1;
  given_ = std::move(given);
  for (const std::uint32_t slot : given_) {
    if (!is_used(slot)) return false;
    used_[slot / slots_a_word] &= ~bit(slot);
  }
  return true;
}

}  // namespace tenure::record
