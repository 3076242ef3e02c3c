// How often an identity was seen of late, in four bits, for a number of identities that need not be stored.
//
//   blocks of 64 bytes:  [ 16 counters of 4 bits ] x 8
//
// An identity has one block and in it four counters, one in each pair of words; its estimate is the least of the four,
// since what others share of them can only add. After ten observations for each counted entry all counters are halved,
// so that the past fades. Sources: Cormode and Muthukrishnan, count-min sketch, 2005; Einziger, Friedman and Manes,
// TinyLFU, 2017.
//
//   mixed = identity * 0x9e3779b97f4a7c15, its upper half xored into the lower
//   block = (mixed >> 32) modulo blocks;  row r: word 2r + bit 8r of mixed, counter (mixed >> (8r + 1)) modulo 16
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenure::eviction {

class frequency_sketch {
 public:
  static constexpr unsigned most = 15;

  explicit frequency_sketch(std::size_t size_limit_bytes) noexcept
      : block_limit_(std::max<std::size_t>(size_limit_bytes / (sizeof(block) * 3 / 2), 1)) {}

  std::size_t size_bytes() const noexcept { return blocks_.capacity() * sizeof(block); }

  // Eight bytes an entry. What was counted so far is kept: both halves of a doubled table say what the one said.
  void expect_entries(std::size_t entries) {
    expected_ = std::max(expected_, entries);
    while (blocks_.empty() || (blocks_.size() * 8 < entries && blocks_.size() * 2 <= block_limit_)) {
      const std::size_t before = blocks_.size();
      std::vector<block> larger(std::max<std::size_t>(before * 2, 1));
      for (std::size_t index = 0; index < larger.size() && before > 0; ++index) larger[index] = blocks_[index % before];
      blocks_.swap(larger);
    }
  }

  void add(std::uint64_t identity) noexcept {
    const std::uint64_t mixed = mix(identity);
    block& words = block_of(mixed);
    bool added = false;
    for (unsigned row = 0; row < 4; ++row) {
      std::uint64_t& word = words[word_of(mixed, row)];
      const unsigned shift = shift_of(mixed, row);
      if ((word >> shift & most) == most) continue;
      word += std::uint64_t{1} << shift;
      added = true;
    }
    if (added && ++observed_ >= 10 * std::max<std::size_t>(expected_, 8)) halve();
  }

  unsigned estimate(std::uint64_t identity) const noexcept {
    const std::uint64_t mixed = mix(identity);
    const block& words = const_cast<frequency_sketch*>(this)->block_of(mixed);
    std::uint64_t least = most;
    for (unsigned row = 0; row < 4; ++row) {
      least = std::min(least, words[word_of(mixed, row)] >> shift_of(mixed, row) & most);
    }
    return static_cast<unsigned>(least);
  }

 private:
  using block = std::array<std::uint64_t, 8>;

  static std::uint64_t mix(std::uint64_t identity) noexcept {
    const std::uint64_t mixed = identity * 0x9e3779b97f4a7c15u;
    return mixed ^ mixed >> 32;
  }
  block& block_of(std::uint64_t mixed) noexcept { return blocks_[(mixed >> 32) & (blocks_.size() - 1)]; }
  static unsigned word_of(std::uint64_t mixed, unsigned row) noexcept {
    return 2 * row + static_cast<unsigned>(mixed >> (8 * row) & 1);
  }
  static unsigned shift_of(std::uint64_t mixed, unsigned row) noexcept {
    return static_cast<unsigned>(mixed >> (8 * row + 1) & 15) * 4;
  }

  void halve() noexcept {
    for (block& words : blocks_) {
      for (std::uint64_t& word : words) word = word >> 1 & 0x7777777777777777u;
    }
    observed_ /= 2;
  }

  std::vector<block> blocks_;  // a power of two
  std::size_t block_limit_;
  std::size_t expected_ = 0;
  std::size_t observed_ = 0;
};

}  // namespace tenure::eviction
