#include <tenure/fixed_pool.hpp>

#include <algorithm>
#include <stdexcept>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/checks.h"
#include "library/resource/fixed_pool_checks.h"

namespace tenure {
namespace {

// So many blocks are chained at once: one OS page of them is touched before the next.
constexpr std::size_t chain_bytes = 4096;

std::size_t whole_block(const fixed_pool_options& options) {
  if (options.block_bytes == 0 || options.block_bytes > PTRDIFF_MAX / 2 || !core::is_power_of_two(options.alignment))
    throw std::invalid_argument(
        "tenure::fixed_pool: a block has at least a byte, and an alignment that is a power of two");
  return core::align_up(std::max(options.block_bytes, sizeof(void*)), std::max(options.alignment, alignof(void*)));
}

}  // namespace

fixed_pool::fixed_pool(const fixed_pool_options& options)
    : memory_resource(options.name, "pool", options.parent, options.part_of),
      block_bytes_(whole_block(options)),
      alignment_(std::max(options.alignment, alignof(void*))),
      has_checks_(resources::wants_checks(options.checks)),
      next_slab_blocks_(std::max<std::size_t>(options.first_slab_blocks, 1)),
      largest_slab_bytes_(std::max(options.largest_slab_bytes, block_bytes_)),
      limit_blocks_(options.limit_blocks),
      upstream_(options.upstream == nullptr ? std::pmr::new_delete_resource() : options.upstream) {
  if (has_checks_) checked_ = std::make_unique<checked>(*this);
}

fixed_pool::~fixed_pool() {
  if (checked_) report_left_blocks();
  for (const slab& one : slabs_) upstream_->deallocate(reinterpret_cast<void*>(one.begin), one.bytes, alignment_);
}

std::size_t fixed_pool::capacity_blocks() const noexcept {
  std::size_t blocks = 0;
  for (const slab& one : slabs_) blocks += one.blocks;
  return blocks;
}

void fixed_pool::reserve(std::size_t blocks) {
  while (capacity_blocks() < blocks) open_slab();
}

// What is in use is never more than what slabs have room for, and that is never more than the limit.
void fixed_pool::open_slab() {
  const std::size_t capacity = capacity_blocks();
  if (capacity >= limit_blocks_) throw std::bad_alloc();
  const std::size_t most = std::max<std::size_t>(largest_slab_bytes_ / block_bytes_, 1);
  const std::size_t wanted = std::min(next_slab_blocks_, most);
  const auto blocks = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, limit_blocks_ - capacity));
  if (slabs_.size() == slabs_.capacity()) slabs_.reserve(slabs_.size() * 2 + 8);
  if (checked_) checked_->make_room(blocks);
  hold(blocks * block_bytes_);
  slab added{0, blocks, 0, blocks * block_bytes_};
  try {
    added.begin = reinterpret_cast<std::uintptr_t>(upstream_->allocate(added.bytes, alignment_));
  } catch (...) {
    let_go(added.bytes);
    throw;
  }
  const auto place = std::upper_bound(slabs_.begin(), slabs_.end(), added.begin,
                                      [](std::uintptr_t address, const slab& of) { return address < of.begin; });
  fresh_slab_ = static_cast<std::size_t>(slabs_.insert(place, added) - slabs_.begin());
  if (checked_) checked_->add_slab(added.begin);
  next_slab_blocks_ = std::min(next_slab_blocks_ * 2, most);
}

void fixed_pool::chain_fresh(slab& of) noexcept {
  const std::size_t count = std::min(of.blocks - of.fresh, std::max<std::size_t>(chain_bytes / block_bytes_, 1));
  for (std::size_t i = count; i-- != 0;) {
    auto* block = reinterpret_cast<free_block*>(of.begin + (of.fresh + i) * block_bytes_);
    block->next = ready_;
    ready_ = block;
  }
  of.fresh += count;
}

void* fixed_pool::allocate_slow(std::size_t bytes, std::size_t alignment) {
  if (bytes > block_bytes_ || alignment > alignment_) throw std::bad_alloc();
  if (checked_) return allocate_checked();
  if (fresh_slab_ >= slabs_.size() || slabs_[fresh_slab_].fresh == slabs_[fresh_slab_].blocks) {
    const auto found = std::find_if(slabs_.begin(), slabs_.end(), [](const slab& of) { return of.fresh < of.blocks; });
    if (found == slabs_.end()) {
      open_slab();
    } else {
      fresh_slab_ = static_cast<std::size_t>(found - slabs_.begin());
    }
  }
  chain_fresh(slabs_[fresh_slab_]);
  free_block* taken = ready_;
  ready_ = taken->next;
  count_allocation(block_bytes_);
  return taken;
}

const fixed_pool::slab* fixed_pool::find(const void* block) const noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const auto after = std::upper_bound(slabs_.begin(), slabs_.end(), address,
                                      [](std::uintptr_t of, const slab& one) { return of < one.begin; });
  if (after == slabs_.begin()) return nullptr;
  const slab& before = *(after - 1);
  return address - before.begin < before.bytes ? &before : nullptr;
}

std::size_t fixed_pool::number_of(const slab& of, const void* block) const noexcept {
  return (reinterpret_cast<std::uintptr_t>(block) - of.begin) / block_bytes_;
}

bool fixed_pool::owns(const void* block) const noexcept { return find(block) != nullptr; }

// For each slab, which of its blocks are in use: all that were ever handed out, without those in the chain.
std::vector<std::vector<bool>> fixed_pool::find_used() const {
  std::vector<std::vector<bool>> used;
  used.reserve(slabs_.size());
  for (const slab& one : slabs_) {
    std::vector<bool>& of = used.emplace_back(one.blocks, false);
    std::fill(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(one.fresh), true);
  }
  const auto is_free = [&](const void* block) {
    const slab* home = find(block);
    TENURE_CHECK(home != nullptr);  // a free block was written to
    const std::size_t number = number_of(*home, block);
    TENURE_CHECK(number < home->fresh);
    used[static_cast<std::size_t>(home - slabs_.data())][number] = false;
  };
  for (const free_block* one = ready_; one != nullptr; one = one->next) is_free(one);
  if (checked_) checked_->for_each_free(is_free);
  return used;
}

void fixed_pool::visit_live(live_visitor visit, void* context) const {
  const std::vector<std::vector<bool>> used = find_used();
  for (std::size_t s = 0; s < used.size(); ++s) {
    for (std::size_t i = 0; i < used[s].size(); ++i) {
      if (used[s][i]) visit(context, {reinterpret_cast<const void*>(slabs_[s].begin + i * block_bytes_), block_bytes_});
    }
  }
}

std::size_t fixed_pool::trim() noexcept {
  std::vector<std::vector<bool>> used;
  try {
    used = find_used();
  } catch (const std::bad_alloc&) {
    return 0;
  }
  const auto is_empty = [&](const slab& of) {
    const std::vector<bool>& blocks = used[static_cast<std::size_t>(&of - slabs_.data())];
    return std::find(blocks.begin(), blocks.end(), true) == blocks.end();
  };
  free_block** link = &ready_;
  while (*link != nullptr) {
    if (is_empty(*find(*link))) {
      *link = (*link)->next;
    } else {
      link = &(*link)->next;
    }
  }
  if (checked_) checked_->forget_free([&](const void* block) { return is_empty(*find(block)); });
  std::size_t freed = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < slabs_.size(); ++i) {
    if (!is_empty(slabs_[i])) {
      used[kept].swap(used[i]);
      slabs_[kept++] = slabs_[i];
      continue;
    }
    freed += slabs_[i].bytes;
    if (checked_) checked_->remove_slab(slabs_[i].begin);
    let_go(slabs_[i].bytes);
    upstream_->deallocate(reinterpret_cast<void*>(slabs_[i].begin), slabs_[i].bytes, alignment_);
  }
  slabs_.erase(slabs_.begin() + static_cast<std::ptrdiff_t>(kept), slabs_.end());
  fresh_slab_ = 0;
  return freed;
}

void fixed_pool::check() const {
  std::size_t bytes = 0;
  std::uint64_t used_blocks = 0;
  for (std::size_t i = 0; i < slabs_.size(); ++i) {
    TENURE_CHECK(slabs_[i].fresh <= slabs_[i].blocks && slabs_[i].bytes == slabs_[i].blocks * block_bytes_);
    TENURE_CHECK(i == 0 || slabs_[i - 1].begin + slabs_[i - 1].bytes <= slabs_[i].begin);
    bytes += slabs_[i].bytes;
  }
  for (const std::vector<bool>& of : find_used()) {
    used_blocks += static_cast<std::uint64_t>(std::count(of.begin(), of.end(), true));
  }
  const resource_statistics now = statistics();
  TENURE_CHECK(bytes == now.held_bytes);
  TENURE_CHECK(is_part() || (used_blocks == now.used_blocks && used_blocks * block_bytes_ == now.used_bytes));
}

}  // namespace tenure
