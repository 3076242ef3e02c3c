// Size classes: 16-byte steps to 128, then eight steps to each doubling up to 64 KiB: rounding up costs a block 4 % on
// average, and an eighth at the most.
//
// Blocks of a class stand at addresses that are multiples of its size. So
//   - whether an address is the start of a block is one multiplication: with inverse = ceil(2^64 / size), the product
//     address * inverse, mod 2^64, is below inverse exactly when size divides address (Lemire, Kaser, Kurz 2019; exact
//     here because address < 2^47 and size <= 2^16, so that the error, address / size * size, stays below 2^64 / size);
//   - a block is aligned to the largest power of two that divides its size: an aligned request needs no block of its
//   own
//     kind, only a size that is a multiple.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/bits.h"

namespace tenure::core {

inline constexpr std::size_t largest_small_bytes = 65536;
inline constexpr std::size_t largest_tabled_bytes = 1024;  // class by table, on the fast path

namespace size_class_detail {

constexpr std::size_t next_size(std::size_t size) noexcept {
  return size < 128 ? size + 16 : size + (std::size_t{1} << floor_log2(size)) / 8;
}

constexpr std::size_t count_classes() noexcept {
  std::size_t count = 1;  // class 0 is "none"
  for (std::size_t size = 16; size <= largest_small_bytes; size = next_size(size)) ++count;
  return count;
}

}  // namespace size_class_detail

inline constexpr std::size_t class_count = size_class_detail::count_classes();
static_assert(class_count <= 128);

namespace size_class_detail {

constexpr std::array<std::uint32_t, class_count> make_sizes() noexcept {
  std::array<std::uint32_t, class_count> sizes{};
  std::size_t size = 16;
  for (std::size_t i = 1; i < class_count; ++i, size = next_size(size)) sizes[i] = static_cast<std::uint32_t>(size);
  return sizes;
}

}  // namespace size_class_detail

// Block size of each class, in bytes; 0 for class 0.
inline constexpr std::array<std::uint32_t, class_count> class_bytes = size_class_detail::make_sizes();

static_assert(class_bytes[1] == 16 && class_bytes[class_count - 1] == largest_small_bytes);

// ceil(2^64 / size); 0 for class 0, which no address passes.
constexpr std::uint64_t class_inverse(std::size_t size_class) noexcept {
  return size_class == 0 ? 0 : ~std::uint64_t{0} / class_bytes[size_class] + 1;
}

inline constexpr std::array<std::uint64_t, class_count> class_inverses = [] {
  std::array<std::uint64_t, class_count> inverses{};
  for (std::size_t i = 1; i < class_count; ++i) inverses[i] = class_inverse(i);
  return inverses;
}();

// offset / size for an offset below 2^47, by one multiplication: exact for the reason given above.
inline std::uint64_t blocks_before(std::size_t size_class, std::uint64_t offset_bytes) noexcept {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(offset_bytes) * class_inverses[size_class] >> 64);
}

// The smallest class that holds `bytes`; 1 <= bytes <= largest_small_bytes.
constexpr std::size_t class_of(std::size_t bytes) noexcept {
  if (bytes <= 128) return (bytes + 15) / 16;
  const unsigned log = floor_log2(bytes - 1);
  const std::size_t power = std::size_t{1} << log;
  return 8 + (log - 7) * 8 + (bytes - 1 - power) / (power / 8) + 1;
}

static_assert(class_of(1) == 1 && class_of(largest_small_bytes) == class_count - 1);
static_assert(class_of(128) + 1 == class_of(129) && class_of(144) + 1 == class_of(145));  // where the steps change

// A small object's class by its size, for sizes up to largest_tabled_bytes.
using class_table = std::array<std::uint8_t, largest_tabled_bytes + 1>;
constexpr class_table make_class_table() noexcept {
  class_table table{};
  for (std::size_t bytes = 0; bytes <= largest_tabled_bytes; ++bytes) {
    table[bytes] = static_cast<std::uint8_t>(class_of(bytes == 0 ? 1 : bytes));
  }
  return table;
}

// Above the table of the fast path every class is a multiple of 128 bytes: a second table, by 128 bytes.
inline constexpr unsigned medium_shift = 7;
using medium_table = std::array<std::uint8_t, (largest_small_bytes >> medium_shift) + 1>;
constexpr medium_table make_medium_table() noexcept {
  medium_table table{};
  for (std::size_t i = 1; i < table.size(); ++i) table[i] = static_cast<std::uint8_t>(class_of(i << medium_shift));
  return table;
}
inline constexpr medium_table medium_classes = make_medium_table();
static_assert(class_bytes[class_of(largest_tabled_bytes + 1)] % (1u << medium_shift) == 0);

// As class_of, for largest_tabled_bytes < bytes <= largest_small_bytes.
inline std::size_t medium_class_of(std::size_t bytes) noexcept {
  return medium_classes[(bytes + (1u << medium_shift) - 1) >> medium_shift];
}

// The smallest class whose blocks hold `bytes` and are aligned to `alignment` (a power of two); 0 if none is.
std::size_t class_of_aligned(std::size_t bytes, std::size_t alignment) noexcept;

// Blocks that move between a thread and the central list at once, at most.
constexpr std::uint32_t largest_batch(std::size_t size_class) noexcept {
  const std::uint32_t by_bytes = 65536 / class_bytes[size_class];
  return by_bytes < 2 ? 2 : by_bytes > 256 ? 256 : by_bytes;
}

// Pages of a new span, given how many spans the class has: small at first, larger when the class is in use.
std::uint32_t span_pages(std::size_t size_class, std::uint64_t spans_in_use) noexcept;
// At a multiple of how many pages such a span begins, counted from address 0: there a block begins as well, and where
// the span is of as many pages or a multiple, one ends with it. 1 where that takes too many.
std::uint32_t span_alignment(std::size_t size_class, std::uint32_t pages) noexcept;

}  // namespace tenure::core
