#include "instruments/record/slot_table.h"

#include <utility>

namespace tenure::record {

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
