// Slots: small numbers for the blocks that are alive.
//
// A block gets the slot that was given back last, or the next new one. Writer and reader of a recording follow the same
// rule, so an allocation does not say its slot, a free says one small number, and who replays a recording keeps its
// live blocks in an array as long as the most that were ever alive at once.
//
// Now and then the free slots are put in order: those behind the last used one are forgotten, and of the others the
// lowest is taken first. So what is left of a peak shrinks, and the free slots of a checkpoint are hardly any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenure::record {

class slot_table {
 public:
  static constexpr std::uint64_t taken_between_orders = 1 << 21;
  // Until version 7 of the format free slots were never put in order.
  enum class order { never, renewed };
  explicit slot_table(order how = order::renewed) : order_(how) {}

  std::uint32_t take() {
    if (++taken_ % taken_between_orders == 0 && order_ == order::renewed) put_in_order();
    if (given_.empty()) {
      if (size_ % slots_a_word == 0) used_.push_back(0);
      mark(size_);
      return size_++;
    }
    const std::uint32_t slot = given_.back();
    given_.pop_back();
    mark(slot);
    return slot;
  }
  // False when the slot is not in use.
  bool give(std::uint32_t slot) {
    if (!is_used(slot)) return false;
    used_[slot / slots_a_word] &= ~bit(slot);
    given_.push_back(slot);
    return true;
  }
  bool is_used(std::uint32_t slot) const { return slot < size_ && (used_[slot / slots_a_word] & bit(slot)) != 0; }
  // The free slots in the order in which they were given back.
  const std::vector<std::uint32_t>& given() const { return given_; }
  // As it was when it had so many slots, these were free, and so many had been taken, one after the other; false when
  // no table can be so.
  bool restore(std::uint32_t size, std::vector<std::uint32_t> given, std::uint64_t taken);
  std::uint32_t size() const { return size_; }

 private:
  static constexpr std::uint32_t slots_a_word = 64;
  static constexpr std::uint64_t bit(std::uint32_t slot) { return std::uint64_t{1} << slot % slots_a_word; }
  void mark(std::uint32_t slot) { used_[slot / slots_a_word] |= bit(slot); }
  void put_in_order();

  std::vector<std::uint64_t> used_;   // a bit a slot
  std::vector<std::uint32_t> given_;  // the last one goes first
  std::uint32_t size_ = 0;
  std::uint64_t taken_ = 0;  // so far
  order order_;
};

}  // namespace tenure::record
