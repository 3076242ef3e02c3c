// From the identity of a page to its slot: an array that is looked through without a lock.
//
//   [ upper half of the identity | slot + 1 ]...      8 bytes each, at most half full, linear probing; 0: free
//
// Changed under the pool's lock. A removal moves up what would not be found past the gap, so that a reader may miss a
// page that is here, which looks again under the lock; what it finds, it finds in the slot itself once that is pinned.
// The array never grows: there are as many slots as the pool was made with.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "library/cache/page_slot.h"

namespace tenure::detail {

class page_table {
 public:
  explicit page_table(std::uint32_t slots)
      : mask_(std::bit_ceil(std::max<std::size_t>(std::size_t{slots} * 2, 16)) - 1),
        words_(std::make_unique<std::atomic<std::uint64_t>[]>(mask_ + 1)) {}

  std::size_t size_bytes() const noexcept { return (mask_ + 1) * sizeof(std::uint64_t); }

  page_slot* find(std::uint64_t identity, page_slot* slots) const noexcept {
    const std::uint64_t upper = identity & upper_half;
    std::size_t at = identity & mask_;
    for (std::size_t looks = 0; looks <= mask_; ++looks, at = (at + 1) & mask_) {
      const std::uint64_t word = words_[at].load(std::memory_order_acquire);
      if (word == 0) return nullptr;
      if ((word & upper_half) != upper) continue;
      page_slot& one = slots[(word & ~upper_half) - 1];
      if (one.identity.load(std::memory_order_relaxed) == identity) return &one;
    }
    return nullptr;
  }

  // --- under the lock

  void insert(std::uint64_t identity, std::uint32_t number) noexcept {
    std::size_t at = identity & mask_;
    while (words_[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & mask_;
    words_[at].store((identity & upper_half) | (std::uint64_t{number} + 1), std::memory_order_release);
  }

  void erase(std::uint64_t identity, std::uint32_t number, const page_slot* slots) noexcept {
    const std::uint64_t wanted = (identity & upper_half) | (std::uint64_t{number} + 1);
    std::size_t gap = identity & mask_;
    while (words_[gap].load(std::memory_order_relaxed) != wanted) gap = (gap + 1) & mask_;
    for (std::size_t at = (gap + 1) & mask_;; at = (at + 1) & mask_) {
      const std::uint64_t word = words_[at].load(std::memory_order_relaxed);
      if (word == 0) break;
      const std::size_t home = slots[(word & ~upper_half) - 1].identity.load(std::memory_order_relaxed) & mask_;
      if (((at - home) & mask_) < ((at - gap) & mask_)) continue;
      words_[gap].store(word, std::memory_order_release);
      gap = at;
    }
    words_[gap].store(0, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t upper_half = 0xffff'ffff'0000'0000;

  std::size_t mask_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

}  // namespace tenure::detail
