// What the heap's size classes make of requested bytes. A block that realloc left in a larger class, or that was
// aligned to more than its size, has more than is said here: what is recorded of a block is what was asked for.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "wire/heap_statistics.h"

namespace tenure::collect {

class rounding {
 public:
  rounding(const wire::heap_statistics& heap, std::uint64_t page_bytes) : page_bytes_(page_bytes) {
    for (const wire::size_class_statistics& one : heap.classes)
      if (one.block_bytes != 0) classes_.push_back(one.block_bytes);
    std::sort(classes_.begin(), classes_.end());
    for (std::uint64_t bytes = 0; bytes < small_bytes; ++bytes)
      small_[bytes] =
          static_cast<std::uint16_t>(std::lower_bound(classes_.begin(), classes_.end(), bytes) - classes_.begin());
  }
  // Without them nothing is rounded.
  bool knows_classes() const { return !classes_.empty(); }

  std::uint64_t usable(std::uint64_t bytes) const {
    const std::size_t fits = class_of(bytes);
    if (fits != classes_.size()) return classes_[fits];
    return classes_.empty() ? bytes : (bytes + page_bytes_ - 1) / page_bytes_ * page_bytes_;
  }
  // In the order of their sizes; as many as there are for a large block.
  std::size_t class_of(std::uint64_t bytes) const {
    if (bytes < small_bytes) return small_[bytes];
    return static_cast<std::size_t>(std::lower_bound(classes_.begin(), classes_.end(), bytes) - classes_.begin());
  }
  const std::vector<std::uint64_t>& classes() const { return classes_; }

 private:
  static constexpr std::uint64_t small_bytes = 2048;

  std::uint64_t page_bytes_;
  std::vector<std::uint64_t> classes_;
  std::array<std::uint16_t, small_bytes> small_{};  // class_of(), for most blocks there are
};

}  // namespace tenure::collect
