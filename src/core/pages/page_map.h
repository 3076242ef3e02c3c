// The window and its page map: from any address to its span.
//
//   window  [begin, begin + page_count * 16 KiB): the one range of addresses in which blocks of ours can lie. Nothing
//   of
//           it is reserved; chunks are mapped into it from the bottom up, each only if the place is free. So a pointer
//           is foreign or not by one subtraction and one compare.
//   class map  one byte a page: the size class whose blocks lie there, or 0 for every other use. free() reads this.
//   span map   one pointer a page: the span that covers it. Free runs keep only their first and last page up to date.
//
// Both maps are address space that reads as zero until a chunk of the window is mapped.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/span.h"

namespace tenure::core {

// What free() needs, together in one cache line.
struct alignas(64) window_description {
  std::uintptr_t begin = 0;
  std::uintptr_t page_count = 0;  // 0 until the first chunk: every pointer is foreign
  std::uint8_t* class_map = nullptr;
  span** span_map = nullptr;
  std::uintptr_t mapped_pages = 0;  // from the bottom; pages above were never ours
};

extern window_description window __attribute__((visibility("hidden")));

inline std::uintptr_t page_index(const void* address) noexcept {
  return (reinterpret_cast<std::uintptr_t>(address) - window.begin) >> page_shift;
}
inline std::uintptr_t page_address(std::uintptr_t index) noexcept { return window.begin + (index << page_shift); }

// Whether the address lies in a chunk of ours. Thread-safe.
inline bool is_mapped(const void* address) noexcept {
  return page_index(address) < __atomic_load_n(&window.mapped_pages, __ATOMIC_ACQUIRE);
}

// Whether the address lies on the span's pages. For a span that cannot go away meanwhile.
inline bool is_within(const span* of, const void* address) noexcept {
  return page_index(address) - of->first_page < of->page_count;
}

// The span in use that covers the address; null for foreign addresses and free pages. Safe for any address and thread;
// what it returns is only as stable as the block the caller holds.
inline span* find_span(const void* address) noexcept {
  if (!is_mapped(address)) return nullptr;
  const std::uintptr_t page = page_index(address);
  span* found = __atomic_load_n(&window.span_map[page], __ATOMIC_ACQUIRE);
  if (found == nullptr || found->kind < span_kind::small || !is_within(found, address)) return nullptr;
  return found;
}

// Chooses the window and maps its first chunk. False when the system has no room at all.
bool open_window(std::size_t first_chunk_bytes) noexcept;

// Maps `pages` more at the top of the mapped part; the index of the first one, or ~0 when refused. May leave a gap
// where somebody else has mapped something. Under the page heap's lock.
std::uintptr_t extend_window(std::uintptr_t pages) noexcept;

// The span map of the span's pages, first to last.
void map_span(span* mapped) noexcept;
// Only the ends, for a free run.
void map_span_ends(span* mapped) noexcept;
// The pages of the span map that only tell of the inside of a free run, which nobody asks for, go back to the system.
void release_map_inside(const span* run) noexcept;
void set_class(const span* changed, std::uint8_t size_class) noexcept;

}  // namespace tenure::core
