#include <tenure/detail/region_resource.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <stdexcept>
#include <string>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/block_owner.h"

namespace tenure::detail {
namespace {

using core::align_up;
using core::is_power_of_two;

void unmap(std::uintptr_t begin, std::size_t bytes) noexcept {
  if (bytes != 0) TENURE_CHECK(::munmap(reinterpret_cast<void*>(begin), bytes) == 0);
}

}  // namespace

region_resource::region_resource(std::string_view name, const char* kind, const region_layout& layout,
                                 const tenure::account* parent)
    : memory_resource(name, kind, parent), layout_(layout) {
  if (!is_power_of_two(layout.region_bytes) || layout.region_bytes < alignment_bytes ||
      !is_power_of_two(layout.smallest_bytes) || layout.smallest_bytes > alignment_bytes) {
    throw std::invalid_argument(std::string("tenure::") + kind +
                                ": a region is a power of two of at least 2 MiB, a block at most that");
  }
}

region_resource::~region_resource() {
  for (region& one : regions_) {
    one.blocks.reset();
    unmap(one.begin, one.bytes);
  }
}

// Where the kernel does not give an address at 2 MiB by itself, more is asked for and the ends given back.
std::uintptr_t region_resource::map_aligned(std::size_t bytes) {
  const std::size_t wide_bytes = bytes + alignment_bytes;
  void* memory =
      ::mmap(nullptr, wide_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto wide = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t begin = align_up(wide, alignment_bytes);
  unmap(wide, begin - wide);
  unmap(begin + bytes, wide + alignment_bytes - begin);
  return begin;
}

region_resource::region& region_resource::open_region(std::size_t bytes) {
  regions_.reserve(regions_.size() + 1);
  hold(bytes);
  std::uintptr_t begin = 0;
  try {
    begin = map_region(bytes);
    auto blocks = std::make_unique<buddy>(buddy_options{.name = name(),
                                                        .begin = reinterpret_cast<void*>(begin),
                                                        .bytes = bytes,
                                                        .smallest_bytes = layout_.smallest_bytes,
                                                        .checks = layout_.checks,
                                                        .part_of = this});
    regions_.push_back({begin, bytes, std::move(blocks)});
  } catch (...) {
    if (begin != 0) unmap(begin, bytes);
    let_go(bytes);
    throw;
  }
  return regions_.back();
}

void* region_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > PTRDIFF_MAX / 2 || alignment > alignment_bytes || !is_power_of_two(alignment)) throw std::bad_alloc();
  const std::size_t needed = std::bit_ceil(std::max({bytes, alignment, layout_.smallest_bytes}));
  region* best = nullptr;
  std::size_t best_bytes = SIZE_MAX;
  for (region& one : regions_) {
    const std::size_t room = one.blocks->largest_free_bytes();
    if (room >= needed && room < best_bytes) best = &one, best_bytes = room;
  }
  if (best == nullptr) best = &open_region(std::max(needed, layout_.region_bytes));
  return best->blocks->allocate(bytes, alignment);
}

const region_resource::region* region_resource::find(const void* block) const noexcept {
  for (const region& one : regions_) {
    if (reinterpret_cast<std::uintptr_t>(block) - one.begin < one.bytes) return &one;
  }
  return nullptr;
}

void region_resource::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const region* home = find(block);
  if (home == nullptr) {
    return resources::report_stranger("release", block, nullptr, "release of what it has not handed out", kind(),
                                      name(), resources::capture_site());
  }
  home->blocks->deallocate(block, bytes, alignment);
  home->blocks->watch_released(block);
}

bool region_resource::owns(const void* block) const noexcept { return find(block) != nullptr; }

std::size_t region_resource::trim() noexcept {
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

void region_resource::visit_live(live_visitor visit, void* context) const {
  for (const region& one : regions_) one.blocks->visit_live(visit, context);
}

void region_resource::check() const {
  std::uint64_t held = 0, used = 0, blocks = 0;
  for (const region& one : regions_) {
    TENURE_CHECK(one.begin % alignment_bytes == 0 && one.bytes % alignment_bytes == 0);
    one.blocks->check();
    held += one.bytes;
  }
  for_each_live([&](const live_block& one) { used += one.bytes, ++blocks; });
  const resource_statistics now = statistics();
  TENURE_CHECK(held == now.held_bytes && used == now.used_bytes && blocks == now.used_blocks);
}

}  // namespace tenure::detail
