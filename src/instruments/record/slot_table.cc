#include "instruments/record/slot_table.h"

#include <utility>

namespace tenure::record {

std::uint32_t slot_table::take() {
  if (given_.empty()) {
    used_.push_back(true);
    return size() - 1;
  }
  const std::uint32_t slot = given_.back();
  given_.pop_back();
  used_[slot] = true;
  return slot;
}

bool slot_table::give(std::uint32_t slot) {
  if (!is_used(slot)) return false;
  used_[slot] = false;
  given_.push_back(slot);
  return true;
}

bool slot_table::restore(std::uint32_t size, std::vector<std::uint32_t> given) {
  used_.assign(size, true);
  given_ = std::move(given);
  for (const std::uint32_t slot : given_) {
    if (!is_used(slot)) return false;
    used_[slot] = false;
  }
  return true;
}

}  // namespace tenure::record
