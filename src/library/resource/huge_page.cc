#include <tenure/huge_page.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <new>
#include <stdexcept>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/call_site.h"

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tenure {
namespace {

using core::align_up;
using core::is_power_of_two;

void unmap(std::uintptr_t begin, std::size_t bytes) noexcept {
  if (bytes != 0) TENURE_CHECK(::munmap(reinterpret_cast<void*>(begin), bytes) == 0);
}

std::uintptr_t map(std::size_t bytes, int flags) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return reinterpret_cast<std::uintptr_t>(memory);
}

// Reserved pages are touched here, since a group's limit for them is found out only then, by a signal. Before
// Linux 5.14 it still is.
std::uintptr_t map_reserved(std::size_t bytes) {
  const std::uintptr_t begin = map(bytes, MAP_HUGETLB | MAP_HUGE_2MB);
  if (::madvise(reinterpret_cast<void*>(begin), bytes, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
    unmap(begin, bytes);
    throw std::bad_alloc();
  }
  return begin;
}

}  // namespace

huge_page::huge_page(const huge_page_options& options)
    : memory_resource(options.name, "huge_page", options.parent),
      pages_(options.pages),
      region_bytes_(options.region_bytes),
      smallest_bytes_(options.smallest_bytes),
      checks_(options.checks) {
  if (!is_power_of_two(region_bytes_) || region_bytes_ < page_bytes || !is_power_of_two(smallest_bytes_) ||
      smallest_bytes_ > page_bytes) {
    throw std::invalid_argument(
        "tenure::huge_page: a region is a power of two of at least 2 MiB, a block at most that");
  }
}

huge_page::~huge_page() {
  for (region& one : regions_) {
    one.blocks.reset();
    unmap(one.begin, one.bytes);
  }
}

// Where the kernel does not give an address at 2 MiB by itself, more is asked for and the ends given back.
std::uintptr_t huge_page::map_region(std::size_t bytes) const {
  if (pages_ == huge_page_kind::reserved) return map_reserved(bytes);
  const std::uintptr_t wide = map(bytes + page_bytes, MAP_NORESERVE);
  const std::uintptr_t begin = align_up(wide, page_bytes);
  unmap(wide, begin - wide);
  unmap(begin + bytes, wide + page_bytes - begin);
  ::madvise(reinterpret_cast<void*>(begin), bytes,
            MADV_HUGEPAGE);  // refused where the kernel has none: small ones then
  return begin;
}

huge_page::region& huge_page::open_region(std::size_t bytes) {
  regions_.reserve(regions_.size() + 1);
  hold(bytes);
  std::uintptr_t begin = 0;
  try {
    begin = map_region(bytes);
    auto blocks = std::make_unique<buddy>(buddy_options{.name = name(),
                                                        .begin = reinterpret_cast<void*>(begin),
                                                        .bytes = bytes,
                                                        .smallest_bytes = smallest_bytes_,
                                                        .checks = checks_,
                                                        .part_of = this});
    regions_.push_back({begin, bytes, std::move(blocks)});
  } catch (...) {
    if (begin != 0) unmap(begin, bytes);
    let_go(bytes);
    throw;
  }
  return regions_.back();
}

void* huge_page::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > PTRDIFF_MAX / 2 || alignment > page_bytes || !is_power_of_two(alignment)) throw std::bad_alloc();
  const std::size_t needed = std::bit_ceil(std::max({bytes, alignment, smallest_bytes_}));
  // Of the regions with room the one with the least: large ranges stay whole, and regions become empty.
  region* best = nullptr;
  std::size_t best_bytes = SIZE_MAX;
  for (region& one : regions_) {
    const std::size_t room = one.blocks->largest_free_bytes();
    if (room >= needed && room < best_bytes) best = &one, best_bytes = room;
  }
  if (best == nullptr) best = &open_region(std::max(needed, region_bytes_));
  return best->blocks->allocate(bytes, alignment);
}

const huge_page::region* huge_page::find(const void* block) const noexcept {
  for (const region& one : regions_) {
    if (reinterpret_cast<std::uintptr_t>(block) - one.begin < one.bytes) return &one;
  }
  return nullptr;
}

void huge_page::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const region* home = find(block);
  if (home == nullptr) {
    const resources::call_site here = resources::capture_site();
    return resources::report_misuse("release of what it has not handed out", block, 0, "huge_page", name(),
                                    {{"released here", &here}});
  }
  home->blocks->deallocate(block, bytes, alignment);
}

std::size_t huge_page::huge_bytes() const {
  std::FILE* smaps = std::fopen("/proc/self/smaps", "re");
  if (smaps == nullptr) return 0;
  std::size_t sum = 0;
  bool is_ours = false;
  char line[512];
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long begin, end, kilobytes;
    if (std::sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
      is_ours = find(reinterpret_cast<const void*>(begin)) != nullptr;
    } else if (is_ours && (std::sscanf(line, "AnonHugePages: %lu kB", &kilobytes) == 1 ||
                           std::sscanf(line, "Private_Hugetlb: %lu kB", &kilobytes) == 1)) {
      sum += kilobytes * 1024;
    }
  }
  std::fclose(smaps);
  return sum;
}

bool huge_page::owns(const void* block) const noexcept { return find(block) != nullptr; }

std::size_t huge_page::trim() noexcept {
  std::size_t freed = 0;
  std::erase_if(regions_, [&](region& one) {
    if (one.blocks->largest_free_bytes() != one.bytes) return false;
    one.blocks.reset();
    unmap(one.begin, one.bytes);
    let_go(one.bytes);
    freed += one.bytes;
    return true;
  });
  return freed;
}

void huge_page::visit_live(live_visitor visit, void* context) const {
  for (const region& one : regions_) one.blocks->visit_live(visit, context);
}

void huge_page::check() const {
  std::uint64_t held = 0, used = 0, blocks = 0;
  for (const region& one : regions_) {
    TENURE_CHECK(one.begin % page_bytes == 0 && one.bytes % page_bytes == 0);
    one.blocks->check();
    held += one.bytes;
  }
  for_each_live([&](const live_block& one) { used += one.bytes, ++blocks; });
  const resource_statistics now = statistics();
  TENURE_CHECK(held == now.held_bytes && used == now.used_bytes && blocks == now.used_blocks);
}

}  // namespace tenure
