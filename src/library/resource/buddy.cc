#include <tenure/buddy.hpp>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/block_owner.h"
#include "library/resource/block_records.h"
#include "library/resource/checks.h"

namespace tenure {

using core::floor_log2;
using core::is_power_of_two;

buddy::buddy(const buddy_options& options)
    : memory_resource(options.name, "buddy", options.parent, options.part_of),
      begin_(reinterpret_cast<std::uintptr_t>(options.begin)),
      bytes_(options.bytes),
      fills_from_begin_(options.fills_from_begin) {
  if (!is_power_of_two(options.smallest_bytes) || bytes_ == 0 || bytes_ % options.smallest_bytes != 0 ||
      begin_ % options.smallest_bytes != 0 || bytes_ / options.smallest_bytes > (std::size_t{1} << 40)) {
    throw std::invalid_argument("tenure::buddy: the range begins and ends at multiples of a smallest block");
  }
  smallest_shift_ = floor_log2(options.smallest_bytes);
  const std::size_t leaves = bytes_ >> smallest_shift_;
  top_order_ = floor_log2(leaves) + (is_power_of_two(leaves) ? 0 : 1);
  largest_free_.resize(std::size_t{2} << top_order_);
  used_order_.resize(leaves);
  // Leaves beyond the range are never free; the nodes above follow from their halves.
  const std::size_t first_leaf = std::size_t{1} << top_order_;
  std::fill_n(largest_free_.begin() + static_cast<std::ptrdiff_t>(first_leaf), leaves, std::uint8_t{1});
  unsigned order = 1;
  for (std::size_t node = first_leaf; --node != 0;) {
    if (is_power_of_two(node + 1)) ++order;
    const std::uint8_t left = largest_free_[2 * node], right = largest_free_[2 * node + 1];
    const bool is_whole = left == order - 1 && right == order - 1;
    largest_free_[node] = is_whole ? static_cast<std::uint8_t>(order) : std::max(left, right);
  }
  if (!is_part()) hold(bytes_);  // the range of a part is its whole's
  if (resources::wants_checks(options.checks)) records_ = std::make_unique<resources::block_records>(kind(), name());
  if (begin_ == 0) {
    upstream_ = options.upstream == nullptr ? std::pmr::new_delete_resource() : options.upstream;
    begin_ = reinterpret_cast<std::uintptr_t>(upstream_->allocate(bytes_, options.smallest_bytes));
  }
}

buddy::~buddy() {
  if (records_) {
    records_->find_late_writes();
    records_->report_left();
  }
  if (upstream_ != nullptr) {
    upstream_->deallocate(reinterpret_cast<void*>(begin_), bytes_, std::size_t{1} << smallest_shift_);
  }
}

// 1 for a smallest block. Blocks are aligned to their size from the range's begin, so a larger alignment than the size
// asks for a larger block; one that the begin itself does not have cannot be served.
unsigned buddy::order_for(std::size_t bytes, std::size_t alignment) const noexcept {
  const std::size_t needed = std::max({bytes, std::size_t{1} << smallest_shift_, alignment});
  if (needed > (std::size_t{1} << smallest_shift_ << top_order_) || begin_ % alignment != 0) return 0;
  const unsigned log = floor_log2(needed) + (is_power_of_two(needed) ? 0 : 1);
  return log - smallest_shift_ + 1;
}

std::size_t buddy::block_bytes_of(unsigned order) const noexcept {
  return order == 0 ? 0 : std::size_t{1} << smallest_shift_ << (order - 1);
}

std::size_t buddy::leaf_of(std::size_t node, unsigned order) const noexcept {
  return (node << (order - 1)) - (std::size_t{1} << top_order_);
}

// From a node that has changed up to the root.
void buddy::mend_above(std::size_t node, unsigned order) noexcept {
  while (node > 1) {
    node /= 2;
    ++order;
    const std::uint8_t left = largest_free_[2 * node], right = largest_free_[2 * node + 1];
    const bool is_whole = left == order - 1 && right == order - 1;
    const std::uint8_t now = is_whole ? static_cast<std::uint8_t>(order) : std::max(left, right);
    if (largest_free_[node] == now) return;
    largest_free_[node] = now;
  }
}

void* buddy::do_allocate(std::size_t bytes, std::size_t alignment) {
  const unsigned order = order_for(bytes, alignment);
  if (order == 0 || largest_free_[1] < order) throw std::bad_alloc();
  // Into the half whose largest block is the smaller one that will do, so that large ones stay whole; or into the
  // first.
  std::size_t node = 1;
  for (unsigned at = top_order_ + 1; at > order; --at) {
    if (largest_free_[node] == at) {  // wholly free: its halves are as they were when it last became whole
      largest_free_[2 * node] = largest_free_[2 * node + 1] = static_cast<std::uint8_t>(at - 1);
    }
    const std::uint8_t left = largest_free_[2 * node], right = largest_free_[2 * node + 1];
    node = 2 * node + (left >= order && (fills_from_begin_ || right < order || left <= right) ? 0 : 1);
  }
  TENURE_CHECK(largest_free_[node] == order);
  const std::size_t leaf = leaf_of(node, order);
  void* block = reinterpret_cast<void*>(begin_ + (leaf << smallest_shift_));
  if (records_) records_->add(block, block_bytes_of(order), 1);
  largest_free_[node] = 0;
  mend_above(node, order);
  TENURE_DCHECK(used_order_[leaf] == 0);
  used_order_[leaf] = static_cast<std::uint8_t>(order);
  count_allocation(block_bytes_of(order));
  return block;
}

void buddy::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  const unsigned order = order_for(bytes, alignment);
  if (records_ && !records_->remove(block, block_bytes_of(order), 1)) return;
  const std::size_t found = block_bytes(block);
  if (found == 0) {
    const char* const unknown =
        owns(block) ? "release of what is no block in use, or no longer" : "release of an address outside of the range";
    return resources::report_stranger("release", block, nullptr, unknown, kind(), name(), resources::capture_site());
  }
  if (order == 0 || found != block_bytes_of(order)) {
    const resources::call_site here = resources::capture_site();
    return resources::report_misuse("release with a size that is not this block's", block, found, kind(), name(),
                                    {{"released", &here}});
  }
  const std::size_t leaf = (reinterpret_cast<std::uintptr_t>(block) - begin_) >> smallest_shift_;
  const std::size_t node = (leaf + (std::size_t{1} << top_order_)) >> (order - 1);
  used_order_[leaf] = 0;
  largest_free_[node] = static_cast<std::uint8_t>(order);
  mend_above(node, order);
  count_release(found);
  if (upstream_ != nullptr) watch_released(block);
}

void buddy::watch_released(void* block) noexcept {
  if (records_)
    records_->watch(block, resources::block_records::most_watched_bytes, resources::block_records::usual_pattern);
}

void buddy::forget_released(const void* begin, std::size_t bytes) noexcept {
  if (records_) records_->forget_watched(reinterpret_cast<std::uintptr_t>(begin), bytes);
}

std::size_t buddy::largest_free_bytes() const noexcept { return block_bytes_of(largest_free_[1]); }

std::size_t buddy::block_bytes(const void* block) const noexcept {
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(block) - begin_;
  if (offset >= bytes_ || offset % (std::size_t{1} << smallest_shift_) != 0) return 0;
  return block_bytes_of(used_order_[offset >> smallest_shift_]);
}

bool buddy::owns(const void* block) const noexcept { return reinterpret_cast<std::uintptr_t>(block) - begin_ < bytes_; }

void buddy::visit_live(live_visitor visit, void* context) const {
  for (std::size_t leaf = 0; leaf < used_order_.size(); ++leaf) {
    if (used_order_[leaf] == 0) continue;
    visit(context,
          {reinterpret_cast<const void*>(begin_ + (leaf << smallest_shift_)), block_bytes_of(used_order_[leaf])});
  }
}

void buddy::check() const {
  std::uint64_t used_bytes = 0;
  std::uint64_t used_blocks = 0;
  std::size_t covered = 0;  // leaves below are in a block that has been seen
  for (std::size_t leaf = 0; leaf < used_order_.size(); ++leaf) {
    if (used_order_[leaf] == 0) continue;
    TENURE_CHECK(leaf >= covered && leaf % (std::size_t{1} << (used_order_[leaf] - 1)) == 0);
    covered = leaf + (std::size_t{1} << (used_order_[leaf] - 1));
    used_bytes += block_bytes_of(used_order_[leaf]);
    ++used_blocks;
  }
  TENURE_CHECK(is_part() || (used_bytes == statistics().used_bytes && used_blocks == statistics().used_blocks));
  TENURE_CHECK(used_bytes != 0 || bytes_ != (std::size_t{1} << smallest_shift_ << top_order_) ||
               largest_free_bytes() == bytes_);
}

}  // namespace tenure
