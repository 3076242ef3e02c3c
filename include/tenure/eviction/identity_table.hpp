// Nodes found by identity: an array of pointers, at most half full, with linear probing and no marks for what was
// removed.
//
//   [ node* ]...    null: free. A removal moves up what would not be found past the gap.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenure::eviction {

template <class node>
class identity_table {
 public:
  std::size_t size_bytes() const noexcept { return slots_.capacity() * sizeof(node*); }

  node* find(std::uint64_t identity) const noexcept {
    const std::size_t slot = slot_of(identity);
    return slot == nowhere ? nullptr : slots_[slot];
  }

  // `one.identity` is not here, and reserve() has been told of as many as there are now.
  void put(node& one) noexcept {
    std::size_t slot = home(one.identity);
    while (slots_[slot] != nullptr) slot = next(slot);
    slots_[slot] = &one;
  }

  void erase(const node& one) noexcept {
    std::size_t gap = slot_of(one.identity);
    slots_[gap] = nullptr;
    for (std::size_t slot = next(gap); slots_[slot] != nullptr; slot = next(slot)) {
      const std::size_t wanted = home(slots_[slot]->identity);
      if (((slot - wanted) & (slots_.size() - 1)) >= ((slot - gap) & (slots_.size() - 1))) {
        slots_[gap] = slots_[slot];
        slots_[slot] = nullptr;
        gap = slot;
      }
    }
  }

  void reserve(std::size_t count) {
    if (slots_.size() >= count * 2) return;
    std::vector<node*> before(std::bit_ceil(count * 2 < 16 ? 16 : count * 2));
    before.swap(slots_);
    shift_ = 64u - static_cast<unsigned>(std::countr_zero(slots_.size()));
    for (node* one : before) {
      if (one != nullptr) put(*one);
    }
  }

 private:
  static constexpr std::size_t nowhere = ~std::size_t{0};

  std::size_t home(std::uint64_t identity) const noexcept {
    return static_cast<std::size_t>((identity * 0x9e3779b97f4a7c15u) >> shift_);
  }
  std::size_t next(std::size_t slot) const noexcept { return (slot + 1) & (slots_.size() - 1); }

  std::size_t slot_of(std::uint64_t identity) const noexcept {
    if (slots_.empty()) return nowhere;
    for (std::size_t slot = home(identity); slots_[slot] != nullptr; slot = next(slot)) {
      if (slots_[slot]->identity == identity) return slot;
    }
    return nowhere;
  }

  std::vector<node*> slots_;
  unsigned shift_ = 60;
};

}  // namespace tenure::eviction
