#include "core/pages/page_map.h"

#include <sys/auxv.h>
#include <unistd.h>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/sanitizers.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {

window_description window;

namespace {

constexpr std::uint64_t gib = 1ull << 30;
constexpr std::uint64_t tib = 1ull << 40;

// Where to look for room, best first. Far from where the kernel puts programs, libraries and stacks; the first is also
// within what valgrind lets a program have, the second is outside of AddressSanitizer's shadow, the last is what
// ThreadSanitizer allows and what fits a 39-bit address space.
struct candidate {
  std::uint64_t begin, largest_bytes, random_step_bytes;
};
constexpr candidate candidates[] = {
#if !defined(TENURE_THREAD_SANITIZER)
    {2 * tib, 64 * tib, 64ull << 20},
    {32 * tib, 32 * tib, 64ull << 20},
#endif
    {64 * gib, 256 * gib, 0},
};

// Writable in steps of this many bytes of the class map: 1 GiB of the window.
constexpr std::uintptr_t map_step_pages = 65536;

std::uintptr_t writable_pages = 0;

std::uint16_t random_word() noexcept {
  const auto* bytes = reinterpret_cast<const unsigned char*>(::getauxval(AT_RANDOM));  // not aligned
  return bytes == nullptr ? std::uint16_t{0} : static_cast<std::uint16_t>(bytes[6] | bytes[7] << 8);
}

std::uint64_t window_bytes_wanted() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const std::uint64_t memory = pages > 0 ? static_cast<std::uint64_t>(pages) * os::page_bytes() : 0;
  std::uint64_t wanted = tib;
  while (wanted < 4 * memory && wanted < 16 * tib) wanted *= 2;
  const std::uint64_t limit = os::address_space_limit_bytes();
  while (wanted > gib && wanted / 2 >= limit) wanted /= 2;
  return wanted;
}

bool make_maps_writable(std::uintptr_t pages) noexcept {
  if (pages <= writable_pages) return true;
  std::uintptr_t target = align_up(pages, map_step_pages);
  if (target > window.page_count) target = window.page_count;
  const std::uintptr_t added = target - writable_pages;
  if (!os::make_writable(window.class_map + writable_pages, added)) return false;
  if (!os::make_writable(window.span_map + writable_pages, added * sizeof(span*))) return false;
  writable_pages = target;
  return true;
}

bool map_the_maps(std::uintptr_t pages) noexcept {
  void* classes = os::map_reserved_zeroes(pages);
  if (classes == nullptr) return false;
  void* spans = os::map_reserved_zeroes(pages * sizeof(span*));
  if (spans == nullptr) {
    os::unmap(classes, pages);
    return false;
  }
  window.class_map = static_cast<std::uint8_t*>(classes);
  window.span_map = static_cast<span**>(spans);
  return true;
}

bool try_candidate(const candidate& place, std::uint64_t wanted_bytes, std::size_t first_chunk_bytes) noexcept {
  const std::uint64_t bytes = wanted_bytes < place.largest_bytes ? wanted_bytes : place.largest_bytes;
  const std::uint64_t begin = place.begin + random_word() * place.random_step_bytes;
  if (!os::map_at(reinterpret_cast<void*>(begin), first_chunk_bytes)) return false;
  const std::uintptr_t pages = bytes >> page_shift;
  if (!map_the_maps(pages)) {
    os::unmap(reinterpret_cast<void*>(begin), first_chunk_bytes);
    return false;
  }
  window.begin = begin;
  writable_pages = 0;
  window.page_count = pages;
  if (!make_maps_writable(first_chunk_bytes >> page_shift)) {
    os::unmap(reinterpret_cast<void*>(begin), first_chunk_bytes);
    os::unmap(window.class_map, pages);
    os::unmap(window.span_map, pages * sizeof(span*));
    window = window_description{};
    return false;
  }
  __atomic_store_n(&window.mapped_pages, first_chunk_bytes >> page_shift, __ATOMIC_RELEASE);
  return true;
}

}  // namespace

bool open_window(std::size_t first_chunk_bytes) noexcept {
  TENURE_CHECK(window.page_count == 0);
  TENURE_DCHECK(is_aligned(first_chunk_bytes, page_size_bytes));
  for (std::uint64_t wanted = window_bytes_wanted(); wanted >= gib; wanted /= 8) {
    for (const candidate& place : candidates) {
      if (try_candidate(place, wanted, first_chunk_bytes)) return true;
    }
  }
  return false;
}

std::uintptr_t extend_window(std::uintptr_t pages) noexcept {
  constexpr std::uintptr_t refused = ~std::uintptr_t{0};
  constexpr std::uintptr_t skip_pages = 256;  // past somebody else's mapping
  constexpr int attempts = 4096;
  std::uintptr_t first = window.mapped_pages;
  for (int i = 0; i < attempts; ++i, first += skip_pages) {
    if (first + pages > window.page_count) return refused;
    if (!make_maps_writable(first + pages)) return refused;
    void* place = reinterpret_cast<void*>(page_address(first));
    if (os::map_at(place, pages << page_shift)) {
      __atomic_store_n(&window.mapped_pages, first + pages, __ATOMIC_RELEASE);
      return first;
    }
    // Refused for want of memory, not of place: looking further changes nothing.
    if (!os::is_occupied(place)) return refused;
  }
  return refused;
}

void map_span(span* mapped) noexcept {
  TENURE_DCHECK(mapped->page_count != 0);
  TENURE_DCHECK(mapped->first_page + mapped->page_count <= window.mapped_pages);
  for (std::uint32_t i = 0; i < mapped->page_count; ++i) {
    __atomic_store_n(&window.span_map[mapped->first_page + i], mapped, __ATOMIC_RELEASE);
  }
}

void map_span_ends(span* mapped) noexcept {
  TENURE_DCHECK(mapped->page_count != 0);
  __atomic_store_n(&window.span_map[mapped->first_page], mapped, __ATOMIC_RELEASE);
  __atomic_store_n(&window.span_map[mapped->first_page + mapped->page_count - 1], mapped, __ATOMIC_RELEASE);
}

void release_map_inside(const span* run) noexcept {
  const std::uintptr_t begin =
      align_up(reinterpret_cast<std::uintptr_t>(&window.span_map[run->first_page + 1]), os::page_bytes());
  const std::uintptr_t last = run->first_page + std::uintptr_t{run->page_count} - 1;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(&window.span_map[last]) & ~(os::page_bytes() - 1);
  if (begin < end) os::release(reinterpret_cast<void*>(begin), end - begin);
}

void set_class(const span* changed, std::uint8_t size_class) noexcept {
  for (std::uint32_t i = 0; i < changed->page_count; ++i) {
    __atomic_store_n(&window.class_map[changed->first_page + i], size_class, __ATOMIC_RELEASE);
  }
}

}  // namespace tenure::core
