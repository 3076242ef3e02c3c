#include <tenure/compressed.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "core/base/check.h"
#include "library/compressed/cold_pages.h"

namespace tenure {

compressed::compressed(const compressed_options& options)
    : memory_resource(options.name, "compressed", options.parent), process_(::getpid()) {
  pages_ = std::make_unique<resources::cold_pages>(options);
  blocks_ = std::make_unique<buddy>(buddy_options{.name = options.name,
                                                  .begin = reinterpret_cast<void*>(pages_->begin()),
                                                  .bytes = pages_->bytes(),
                                                  .smallest_bytes = pages_->page_bytes(),
                                                  .checks = options.checks,
                                                  .part_of = this});
}

// In a child the pages are left as they are: it has neither their thread nor their memory.
compressed::~compressed() {
  if (!is_in_child()) return;
  [[maybe_unused]] const resources::cold_pages* const left = pages_.release();
}

bool compressed::is_in_child() const noexcept { return ::getpid() != process_; }

// What has become less is given back; what has become more is charged, as far as the limit lets it.
void compressed::settle(std::uint64_t taken) noexcept {
  const std::uint64_t charged = charged_bytes();
  seen_bytes_ = taken;
  if (taken < charged) {
    let_go(charged - taken, 0);
  } else {
    try {
      hold(taken - charged, 0);
    } catch (const std::bad_alloc&) {
      seen_bytes_ = charged;  // the account counts the refusal
    }
  }
  unseen_bytes_ = 0;
  unseen_.clear();
}

void* compressed::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (is_in_child()) throw std::bad_alloc();
  void* const block = blocks_->allocate(bytes, alignment);
  const std::size_t block_bytes = blocks_->block_bytes(block);
  try {
    const std::uint64_t limit = statistics().hard_limit_bytes;
    if (charged_bytes() > limit || block_bytes > limit - charged_bytes()) {
      const std::uint64_t taken = pages_->taken_bytes();
      if (taken < charged_bytes()) settle(taken);
    }
    unseen_.insert(block);
    hold(block_bytes, 0);
  } catch (const std::bad_alloc&) {
    unseen_.erase(block);
    blocks_->deallocate(block, bytes, alignment);
    store(use().allocations, use().allocations - 1);  // nobody has had it
    throw;
  }
  unseen_bytes_ += block_bytes;
  return block;
}

void compressed::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  if (is_in_child()) return;
  const std::size_t block_bytes = blocks_->block_bytes(block);
  blocks_->deallocate(block, bytes, alignment);
  if (block_bytes == 0 || blocks_->block_bytes(block) != 0) return;  // misuse, which has been told
  const std::uint64_t gone = pages_->drop(reinterpret_cast<std::uintptr_t>(block), block_bytes);
  if (unseen_.erase(block) != 0) {
    unseen_bytes_ -= block_bytes;
    return let_go(block_bytes, 0);
  }
  const std::uint64_t less = std::min(seen_bytes_, gone);
  seen_bytes_ -= less;
  let_go(less, 0);
}

std::size_t compressed::look() {
  const std::size_t taken = pages_->taken_bytes();
  settle(taken);
  return taken;
}

std::size_t compressed::compress_cold() {
  const std::size_t before = pages_->taken_bytes();
  pages_->turn();
  const std::size_t now = look();
  return before > now ? before - now : 0;
}

void compressed::touch(const void* begin, std::size_t bytes) const noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(begin);
  for (std::uintptr_t at = first; at < first + bytes; at = (at / pages_->page_bytes() + 1) * pages_->page_bytes()) {
    static_cast<void>(*reinterpret_cast<const volatile char*>(at));
  }
}

compressed_statistics compressed::compression() const { return pages_->statistics(); }
bool compressed::serves_system_calls() const noexcept { return pages_->serves_system_calls(); }
const char* compressed::why_not() noexcept { return resources::fault_channel::why_not(); }

bool compressed::owns(const void* block) const noexcept { return blocks_->owns(block); }

std::size_t compressed::trim() noexcept {
  const std::uint64_t before = charged_bytes();
  settle(pages_->taken_bytes());
  return static_cast<std::size_t>(before - std::min(before, charged_bytes()));
}

void compressed::visit_live(live_visitor visit, void* context) const { blocks_->visit_live(visit, context); }

void compressed::check() const {
  blocks_->check();
  TENURE_CHECK(pages_->is_sound());
  std::uint64_t used = 0, blocks = 0;
  for_each_live([&](const live_block& one) { used += one.bytes, ++blocks; });
  const resource_statistics now = statistics();
  TENURE_CHECK(used == now.used_bytes && blocks == now.used_blocks && charged_bytes() == now.held_bytes);
}

}  // namespace tenure
