// Rules by instruction address, shared by all threads, locked by none.
//
// One entry is one 64-bit word, stored and loaded whole, so that there is nothing to tear:
//
//   63                             27 26            0
//   [ bits 11..47 of the address     ][ compact_rule ]       0: empty
//
// The word's place in the table is the low bits of the address, twelve or more: with the 37 bits in the word that is
// the whole address. So a word that matches is the rule of that very address, never of another that hashes alike, and
// its place costs one instruction (return addresses differ well enough in their low bits; a walk is one chain of
// dependent loads, and every cycle in it counts once a frame). A rule that does not fit 27 bits is kept whole in a
// table that is only ever added to, and the word holds its number.
//
// Each address has two places, which differ in bit 11. That bit is in the word as well, so a word in its second place
// is not taken for the rule of the address whose first place that is. When both are taken, the older gives way. When
// many have given way, the table is replaced by one four times as large, up to 2^16 words; the old one stays mapped (a
// reader may be in it), which costs at most a third of the largest.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/unwind_rule.h"

namespace tenure::telemetry {

class rule_cache {
 public:
  static constexpr unsigned least_bits = 12;
  static constexpr unsigned most_bits = 16;

  // What a walk reads once and then looks up in.
  struct view {
    const std::uint64_t* words;
    std::uint64_t mask;  // count of words - 1
  };

  view current() const noexcept {
    const std::uintptr_t table = __atomic_load_n(&table_, __ATOMIC_ACQUIRE);
    if (table == 0) return {first_, (1u << least_bits) - 1};
    return {reinterpret_cast<const std::uint64_t*>(table & ~std::uintptr_t{bits_mask}),
            (std::uint64_t{1} << (table & bits_mask)) - 1};
  }

  // The word in the first and in the second place of `address`, which is below 2^48.
  static std::uint64_t first_word(view in, std::uint64_t address) noexcept {
    return __atomic_load_n(&in.words[address & in.mask], __ATOMIC_ACQUIRE);
  }
  static std::uint64_t second_word(view in, std::uint64_t address) noexcept {
    return __atomic_load_n(&in.words[second_place(in, address)], __ATOMIC_ACQUIRE);
  }
  static bool matches(std::uint64_t word, std::uint64_t address) noexcept {
    return (word ^ tag(address)) >> compact_rule_bits == 0 && rule_in(word) != 0;
  }
  static compact_rule rule_in(std::uint64_t word) noexcept {
    return static_cast<compact_rule>(word & ((std::uint64_t{1} << compact_rule_bits) - 1));
  }

  // Taken before a rule is worked out and handed to insert(), so that a rule from before clear() is not kept.
  std::uint32_t generation() const noexcept { return __atomic_load_n(&generation_, __ATOMIC_ACQUIRE); }
  void insert(std::uint64_t address, compact_rule rule, std::uint32_t generation) noexcept;
  void clear() noexcept;

  // The compact form of a rule, if need be by its number in the table of whole rules; compact_uncached when that is
  // full.
  compact_rule shorten(const unwind_rule& rule) noexcept;
  const unwind_rule& whole(compact_rule rule) const noexcept { return whole_[rule >> compact_value_shift].rule; }

  std::size_t size_bytes() const noexcept { return __atomic_load_n(&mapped_bytes_, __ATOMIC_RELAXED); }
  void check() const noexcept;

 private:
  static constexpr std::uint32_t bits_mask = 63;
  static constexpr std::uint32_t whole_capacity = 1024;

  struct whole_rule {
    unwind_rule rule;
    std::uint32_t ready;  // atomic
  };

  // The lowest bit of an address that its word holds.
  static constexpr unsigned tag_shift = least_bits - 1;

  static std::uint64_t second_place(view in, std::uint64_t address) noexcept {
    return (address & in.mask) ^ std::uint64_t{1} << tag_shift;
  }
  static std::uint64_t tag(std::uint64_t address) noexcept { return address >> tag_shift << compact_rule_bits; }
  void grow(std::uintptr_t from) noexcept;

  std::uintptr_t table_ = 0;  // atomic: address of the words, with log2 of their count in the low bits; 0: first_
  std::uint32_t generation_ = 0;
  std::uint32_t replaced_ = 0;  // atomic: entries that gave way since the table was last replaced
  std::uint32_t growing_ = 0;   // atomic
  std::uint32_t whole_count_ = 0;
  std::uint64_t mapped_bytes_ = 0;
  whole_rule whole_[whole_capacity] = {};
  alignas(64) std::uint64_t first_[1u << least_bits] = {};
};

}  // namespace tenure::telemetry
