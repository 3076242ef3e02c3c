// Cells: what managed objects lie in.
//
//   block, 64 KiB, aligned     [ cell | cell | cell | ... ]        all of one size, of one kind, of one heap
//   cell                       [ descriptor | payload        ]     one object
//                              [ descriptor | count | payload ]    an array
//
// The size of an object is known when the program is compiled, and so are its size class, its kind and the distance
// from one cell to the next. The kind says what the collector may leave undone: an object without managed pointers is
// never looked at, one without a destructor dies without being touched. So blocks hold one kind each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tenure::gc::detail {

inline constexpr std::size_t block_bytes = 64 * 1024;
inline constexpr unsigned block_shift = 16;
inline constexpr std::size_t largest_cell_bytes = 32 * 1024;  // more is a large object, in blocks of its own
inline constexpr std::size_t largest_alignment_bytes = 64;

inline constexpr std::array<std::uint32_t, 40> cell_sizes = {
    16,   24,   32,   40,   48,   56,   64,   80,    96,    112,   128,   160,  192,  224,
    256,  320,  384,  448,  512,  640,  768,  896,   1024,  1280,  1536,  1792, 2048, 2560,
    3072, 3584, 4096, 5120, 6144, 7168, 8192, 10920, 13104, 16384, 21840, 32768};
inline constexpr std::size_t class_count = cell_sizes.size();
inline constexpr std::size_t large_class = class_count;

// The smallest class whose cells hold `bytes` and keep `alignment_bytes`, or large_class.
constexpr std::size_t class_of(std::size_t bytes, std::size_t alignment_bytes) noexcept {
  for (std::size_t i = 0; i < class_count; ++i) {
    if (cell_sizes[i] >= bytes && (alignment_bytes <= 8 || cell_sizes[i] % alignment_bytes == 0)) return i;
  }
  return large_class;
}

enum class object_kind : std::uint8_t {
  traced,            // has managed pointers, needs no destructor
  traced_destroyed,  // has managed pointers and a destructor
  leaf,
  leaf_destroyed,
  paired,  // has ephemerons, and perhaps managed pointers
  paired_destroyed,
};
inline constexpr std::size_t kind_count = 6;

constexpr object_kind kind_of(bool has_slots, bool has_pairs, bool has_destructor) noexcept {
  if (has_pairs) return has_destructor ? object_kind::paired_destroyed : object_kind::paired;
  if (has_slots) return has_destructor ? object_kind::traced_destroyed : object_kind::traced;
  return has_destructor ? object_kind::leaf_destroyed : object_kind::leaf;
}
constexpr bool is_paired(object_kind kind) noexcept {
  return kind == object_kind::paired || kind == object_kind::paired_destroyed;
}
constexpr bool is_traced(object_kind kind) noexcept {
  return kind == object_kind::traced || kind == object_kind::traced_destroyed || is_paired(kind);
}
constexpr bool is_destroyed(object_kind kind) noexcept {
  return kind == object_kind::traced_destroyed || kind == object_kind::leaf_destroyed ||
         kind == object_kind::paired_destroyed;
}

// A thread's allocation runs and a heap's block lists are indexed alike.
inline constexpr std::size_t list_count = kind_count * class_count;
constexpr std::size_t list_of(object_kind kind, std::size_t size_class) noexcept {
  return static_cast<std::size_t>(kind) * class_count + size_class;
}

}  // namespace tenure::gc::detail
