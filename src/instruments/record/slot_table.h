// Slots: small numbers for the blocks that are alive.
//
// A block gets the slot that was given back last, or the next new one. Writer and reader of a recording follow the same
// rule, so an allocation does not say its slot, a free says one small number, and who replays a recording keeps its
// live blocks in an array as long as the most that were ever alive at once.
#pragma once

#include <cstdint>
#include <vector>

namespace tenure::record {

class slot_table {
 public:
  std::uint32_t take() {
    if (given_.empty()) {
      used_.push_back(true);
      return size() - 1;
    }
    const std::uint32_t slot = given_.back();
    given_.pop_back();
    used_[slot] = true;
    return slot;
  }
  // False when the slot is not in use.
  bool give(std::uint32_t slot) {
    if (!is_used(slot)) return false;
    used_[slot] = false;
    given_.push_back(slot);
    return true;
  }
  bool is_used(std::uint32_t slot) const { return slot < used_.size() && used_[slot]; }
  // The free slots in the order in which they were given back.
  const std::vector<std::uint32_t>& given() const { return given_; }
  // As it was when it had so many slots and these were free; false when no table can be so.
  bool restore(std::uint32_t size, std::vector<std::uint32_t> given);
  std::uint32_t size() const { return static_cast<std::uint32_t>(used_.size()); }

 private:
  std::vector<bool> used_;
  std::vector<std::uint32_t> given_;  // the last one goes first
};

}  // namespace tenure::record
