#include <tenure/slab.hpp>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <new>
#include <stdexcept>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/block_owner.h"
#include "library/resource/block_records.h"
#include "library/resource/checks.h"
#include "library/resource/upstream.h"

namespace tenure {
namespace {

using core::floor_log2;
using core::is_power_of_two;

constexpr std::size_t even_classes = 8;  // multiples of 16 up to 128
constexpr std::size_t largest_even_bytes = 128;
constexpr std::size_t largest_alignment = 4096;  // of a class; beyond it a block is one of the upstream
constexpr std::size_t first_slab_bytes = 4096;

std::size_t number_for(std::size_t bytes) noexcept {
  if (bytes <= largest_even_bytes) return bytes <= 16 ? 0 : (bytes - 1) / 16;
  const unsigned doubling = floor_log2(bytes - 1);
  const std::size_t beyond = (bytes - 1) - (std::size_t{1} << doubling);
  return even_classes + (doubling - 7) * std::size_t{4} + (beyond >> (doubling - 2));
}

std::size_t bytes_of(std::size_t number) noexcept {
  if (number < even_classes) return (number + 1) * 16;
  const std::size_t doubling = (number - even_classes) / 4 + 7;
  return (std::size_t{1} << doubling) + ((number - even_classes) % 4 + 1) * (std::size_t{1} << (doubling - 2));
}

// Blocks of a class lie at multiples of its size, so each is aligned as the size is.
std::size_t alignment_of(std::size_t bytes) noexcept { return std::min(bytes & (~bytes + 1), largest_alignment); }

}  // namespace

slab::slab(const slab_options& options)
    : memory_resource(options.name, "slab", options.parent, options.part_of),
      largest_class_(number_for(std::max(options.largest_bytes, smallest_class))),
      has_checks_(resources::wants_checks(options.checks)),
      largest_slab_bytes_(options.largest_slab_bytes),
      upstream_(resources::or_operator_new(options.upstream)) {
  if (largest_class_ >= class_count) throw std::invalid_argument("tenure::slab: classes end at 32 KiB");
  if (has_checks_) large_records_ = std::make_unique<resources::block_records>(kind(), name());
}

slab::~slab() {
  if (large_records_) large_records_->report_left();
  for (const auto& [address, of] : large_) {
    upstream_->deallocate(reinterpret_cast<void*>(address), of.bytes, of.alignment);
  }
}

// class_count for a request that no class takes.
std::size_t slab::class_of(std::size_t bytes, std::size_t alignment) const noexcept {
  if (bytes > bytes_of(largest_class_) || alignment > largest_alignment) return class_count;
  std::size_t number = number_for(bytes);
  while (number <= largest_class_ && alignment_of(bytes_of(number)) < alignment) ++number;
  return number <= largest_class_ ? number : class_count;
}

std::size_t slab::class_bytes(std::size_t bytes, std::size_t alignment) noexcept {
  if (bytes > bytes_of(class_count - 1) || alignment > largest_alignment) return bytes;
  std::size_t number = number_for(bytes);
  while (number < class_count && alignment_of(bytes_of(number)) < alignment) ++number;
  return number < class_count ? bytes_of(number) : bytes;
}

fixed_pool& slab::open_class(std::size_t number) {
  if (classes_[number] != nullptr) return *classes_[number];
  const std::size_t bytes = bytes_of(number);
  char part_name[96];
  std::snprintf(part_name, sizeof part_name, "%.48s: %zu bytes", name(), bytes);
  classes_[number] = std::make_unique<fixed_pool>(
      fixed_pool_options{.name = part_name,
                         .block_bytes = bytes,
                         .alignment = alignment_of(bytes),
                         .first_slab_blocks = std::max<std::size_t>(first_slab_bytes / bytes, 4),
                         .largest_slab_bytes = largest_slab_bytes_,
                         .checks = has_checks_ ? resource_checks::on : resource_checks::off,
                         .part_of = this,
                         .upstream = upstream_});
  for (std::size_t i = 0; i < quick_.size(); ++i) {
    if (number_for(i * smallest_class) == number) quick_[i] = classes_[number].get();
  }
  return *classes_[number];
}

void* slab::allocate_slow(std::size_t bytes, std::size_t alignment) {
  const std::size_t number = class_of(bytes, alignment);
  if (number == class_count) return allocate_large(bytes, alignment);
  return open_class(number).allocate(bytes, alignment);
}

void slab::deallocate_slow(void* block, std::size_t bytes, std::size_t alignment) {
  const std::size_t number = class_of(bytes, alignment);
  if (number == class_count) return deallocate_large(block, bytes, alignment);
  open_class(number).deallocate(block, bytes, alignment);
}

void* slab::allocate_large(std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);  // so that addresses differ
  if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX / 2 || !is_power_of_two(alignment)) throw std::bad_alloc();
  hold(bytes);
  void* block = nullptr;
  try {
    block = upstream_->allocate(bytes, alignment);
    large_.emplace(reinterpret_cast<std::uintptr_t>(block), large_block{bytes, alignment});
    if (large_records_) large_records_->add(block, bytes, alignment);
  } catch (...) {
    large_.erase(reinterpret_cast<std::uintptr_t>(block));
    if (block != nullptr) upstream_->deallocate(block, bytes, alignment);
    let_go(bytes);
    throw;
  }
  count_allocation(bytes);
  return block;
}

void slab::report_not_large(void* block) const noexcept {
  resources::report_stranger("release", block, nullptr,
                             "release of what is no block in use, or with another size or alignment", kind(), name(),
                             resources::capture_site());
}

void slab::deallocate_large(void* block, std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (large_records_ && !large_records_->remove(block, bytes, alignment)) return;
  const auto found = large_.find(reinterpret_cast<std::uintptr_t>(block));
  if (found == large_.end() || found->second.bytes != bytes || found->second.alignment != alignment) {
    return report_not_large(block);
  }
  large_.erase(found);
  upstream_->deallocate(block, bytes, alignment);
  let_go(bytes);
  count_release(bytes);
}

bool slab::owns(const void* block) const noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const auto after = large_.upper_bound(address);
  if (after != large_.begin() && address - std::prev(after)->first < std::prev(after)->second.bytes) return true;
  return std::any_of(classes_.begin(), classes_.end(),
                     [&](const auto& pool) { return pool != nullptr && pool->owns(block); });
}

std::size_t slab::trim() noexcept {
  std::size_t freed = 0;
  for (const auto& pool : classes_) {
    if (pool != nullptr) freed += pool->trim();
  }
  return freed;
}

void slab::visit_live(live_visitor visit, void* context) const {
  for (const auto& pool : classes_) {
    if (pool != nullptr) pool->visit_live(visit, context);
  }
  for (const auto& [address, of] : large_) visit(context, {reinterpret_cast<const void*>(address), of.bytes});
}

void slab::check() const {
  std::uint64_t held = 0, used = 0, blocks = 0;
  for (std::size_t number = 0; number < class_count; ++number) {
    TENURE_CHECK(number_for(bytes_of(number)) == number);
    if (classes_[number] == nullptr) continue;
    classes_[number]->check();
    held += classes_[number]->statistics().held_bytes;
  }
  for (const auto& [address, of] : large_) held += of.bytes;
  for_each_live([&](const live_block& one) { used += one.bytes, ++blocks; });
  const resource_statistics now = statistics();
  TENURE_CHECK(held == now.held_bytes);
  TENURE_CHECK(is_part() || (used == now.used_bytes && blocks == now.used_blocks));
}

}  // namespace tenure
