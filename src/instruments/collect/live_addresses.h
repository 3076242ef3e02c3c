// The blocks that live, by address: which slot each has. Every recorded event comes by here.
//
//   place of an address = its hash, or the next free one        [ address + 1 | slot ]   0: free
//
// A block that goes leaves no mark: those behind it that had to give way move up. Sixteen bytes a place, at most two
// thirds of the places in use, and nothing is allocated but when the table doubles.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace tenure::collect {

class live_addresses {
 public:
  // The slot of the block at `address`, null when there is none. Valid until the next change.
  const std::uint32_t* find(std::uint64_t address) const {
    const std::uint64_t at = places_.empty() ? 0 : place_of(address);
    return places_.empty() || places_[at].key == 0 ? nullptr : &places_[at].slot;
  }

  // The block at `address` will be asked for soon: most of what that costs is waiting for memory.
  void expect(std::uint64_t address) const {
    if (!places_.empty()) __builtin_prefetch(&places_[hash_of(address + 1)], 1);
  }

  // Sets the slot of the block at `address`, which need not have been there.
  void set(std::uint64_t address, std::uint32_t slot) {
    if ((count_ + 1) * 3 > places_.size() * 2) grow();
    place& to = places_[place_of(address)];
    count_ += to.key == 0 ? 1 : 0;
    to = {address + 1, slot};
  }

  void erase(std::uint64_t address) {
    if (places_.empty()) return;
    std::uint64_t hole = place_of(address);
    if (places_[hole].key == 0) return;
    --count_;
    for (std::uint64_t next = (hole + 1) & mask(); places_[next].key != 0; next = (next + 1) & mask()) {
      // It may move up when the hole does not lie before its own place.
      const std::uint64_t distance = (next - hash_of(places_[next].key)) & mask();
      if (distance < ((next - hole) & mask())) continue;
      places_[hole] = places_[next];
      hole = next;
    }
    places_[hole] = {};
  }

  std::uint64_t size() const { return count_; }

  // visit(address, slot), in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const place& one : places_)
      if (one.key != 0) visit(one.key - 1, one.slot);
  }

 private:
  struct place {
    std::uint64_t key = 0;
    std::uint32_t slot = 0;
  };
  static constexpr std::size_t first_capacity = 1024;

  std::uint64_t mask() const { return places_.size() - 1; }
  std::uint64_t hash_of(std::uint64_t key) const {
    const std::uint64_t product = key * 0x9e3779b97f4a7c15u;
    return (product ^ product >> 32) & mask();
  }
  // Where the address is, or would be.
  std::uint64_t place_of(std::uint64_t address) const {
    std::uint64_t at = hash_of(address + 1);
    while (places_[at].key != 0 && places_[at].key != address + 1) at = (at + 1) & mask();
    return at;
  }
  void grow() {
    std::vector<place> before(places_.empty() ? first_capacity : places_.size() * 2);
    before.swap(places_);
    for (const place& one : before)
      if (one.key != 0) places_[place_of(one.key - 1)] = one;
  }

  std::vector<place> places_;  // a power of two
  std::uint64_t count_ = 0;
};

}  // namespace tenure::collect
