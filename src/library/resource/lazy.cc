#include <tenure/lazy.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <stdexcept>
#include <system_error>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/block_owner.h"
#include "library/resource/block_records.h"
#include "library/resource/checks.h"
#include "library/resource/resident_pages.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tenure {
namespace {

using core::align_down;
using core::align_up;
using core::is_power_of_two;

// A touch is to cost an OS page, not a huge one.
void* reserve(void* at, std::size_t bytes) noexcept {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at == nullptr ? 0 : MAP_FIXED);
  void* const range = ::mmap(at, bytes, PROT_NONE, flags, -1, 0);
  if (range != MAP_FAILED) ::madvise(range, bytes, MADV_NOHUGEPAGE);
  return range;
}

// Before Linux 5.14 by hand: what is there is written as it is.
bool populate(std::uintptr_t begin, std::size_t bytes, std::size_t page_bytes) noexcept {
  if (::madvise(reinterpret_cast<void*>(begin), bytes, MADV_POPULATE_WRITE) == 0) return true;
  if (errno != EINVAL) return false;
  for (std::uintptr_t at = begin; at < begin + bytes; at += page_bytes) {
    __atomic_fetch_or(reinterpret_cast<unsigned char*>(at), 0, __ATOMIC_RELAXED);
  }
  return true;
}

std::size_t resident_in(std::uintptr_t begin, std::size_t bytes) noexcept {
  return resources::visit_resident(begin, bytes, nullptr, nullptr);
}

}  // namespace

lazy::lazy(const lazy_options& options)
    : memory_resource(options.name, "lazy", options.parent),
      page_bytes_(resources::os_page_bytes()),
      limit_bytes_(options.limit_bytes),
      whole_bytes_(options.whole_bytes) {
  if (limit_bytes_ == 0 || limit_bytes_ % page_bytes_ != 0 || limit_bytes_ > PTRDIFF_MAX / 2) {
    throw std::invalid_argument("tenure::lazy: the limit is a number of OS pages");
  }
  if (resources::wants_checks(options.checks)) records_ = std::make_unique<resources::block_records>(kind(), name());
  void* const range = reserve(nullptr, limit_bytes_);
  if (range == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(),
                            "tenure::lazy: the system refuses so much address space (ulimit -v, or a larger limit than "
                            "the processor's addresses)");
  }
  begin_ = reinterpret_cast<std::uintptr_t>(range);
  try {
    add_free(begin_, limit_bytes_);
  } catch (...) {
    ::munmap(range, limit_bytes_);
    throw;
  }
}

lazy::~lazy() {
  if (records_) records_->report_left();
  TENURE_CHECK(::munmap(reinterpret_cast<void*>(begin_), limit_bytes_) == 0);
}

std::size_t lazy::rounded(std::size_t bytes) const noexcept {
  return align_up(std::max<std::size_t>(bytes, 1), page_bytes_);
}

void lazy::add_free(std::uintptr_t begin, std::size_t bytes) {
  if (bytes == 0) return;
  free_.emplace(begin, bytes);
  try {
    free_by_bytes_.emplace(bytes, begin);
  } catch (...) {
    free_.erase(begin);
    throw;
  }
}

void lazy::erase_free(std::uintptr_t begin, std::size_t bytes) noexcept {
  free_.erase(begin);
  free_by_bytes_.erase({bytes, begin});
}

// The smallest free range that will do. Throws without one, or without memory to note what is left of it.
std::uintptr_t lazy::take_range(std::size_t bytes, std::size_t alignment) {
  for (auto at = free_by_bytes_.lower_bound({bytes, 0}); at != free_by_bytes_.end(); ++at) {
    const auto [free_bytes, begin] = *at;
    const std::uintptr_t block = align_up(begin, alignment);
    if (block - begin > free_bytes - bytes) continue;
    add_free(block + bytes, begin + free_bytes - block - bytes);
    try {
      erase_free(begin, free_bytes);
      add_free(begin, block - begin);
    } catch (...) {
      // What lies before the block is lost until its neighbours join; nothing overlaps.
      give_range(block, bytes);
      throw;
    }
    return block;
  }
  throw std::bad_alloc();
}

// Joined with its neighbours. Without memory for the note the range is not used again.
void lazy::give_range(std::uintptr_t begin, std::size_t bytes) noexcept {
  const auto after = free_.lower_bound(begin);
  if (after != free_.end() && after->first == begin + bytes) {
    const std::size_t more = after->second;
    erase_free(begin + bytes, more);
    bytes += more;
  }
  const auto next = free_.lower_bound(begin);
  if (next != free_.begin() && std::prev(next)->first + std::prev(next)->second == begin) {
    const auto [before, more] = *std::prev(next);
    erase_free(before, more);
    begin = before;
    bytes += more;
  }
  try {
    add_free(begin, bytes);
  } catch (const std::bad_alloc&) {
    return;
  }
}

void* lazy::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > limit_bytes_ || !is_power_of_two(alignment) || alignment > limit_bytes_) throw std::bad_alloc();
  const std::size_t block_bytes = rounded(bytes);
  const std::size_t charged = is_whole(block_bytes) ? block_bytes : 0;
  hold(charged);
  std::uintptr_t begin = 0;
  try {
    begin = take_range(block_bytes, std::max(alignment, page_bytes_));
    void* const block = reinterpret_cast<void*>(begin);
    if (::mprotect(block, block_bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    used_.emplace(begin, taken{block_bytes, charged});
    if (records_) records_->add(block, block_bytes, 1);
  } catch (...) {
    used_.erase(begin);
    if (begin != 0) {
      ::mprotect(reinterpret_cast<void*>(begin), block_bytes, PROT_NONE);
      give_range(begin, block_bytes);
    }
    let_go(charged);
    throw;
  }
  reserved_bytes_ += block_bytes;
  count_allocation(charged);
  return reinterpret_cast<void*>(begin);
}

void lazy::do_deallocate(void* block, std::size_t bytes, std::size_t) {
  const std::size_t block_bytes = bytes > limit_bytes_ ? 0 : rounded(bytes);
  if (records_ && !records_->remove(block, block_bytes, 1)) return;
  const auto found = used_.find(reinterpret_cast<std::uintptr_t>(block));
  if (found == used_.end()) {
    return resources::report_stranger("release", block, nullptr, "release of what is no block in use, or no longer",
                                      kind(), name(), resources::capture_site());
  }
  if (found->second.bytes != block_bytes) {
    const resources::call_site here = resources::capture_site();
    return resources::report_misuse("release with a size that is not this block's", block, found->second.bytes, kind(),
                                    name(), {{"released here", &here}});
  }
  const std::size_t charged = found->second.charged_bytes;
  used_.erase(found);
  TENURE_CHECK(reserve(block, block_bytes) == block);  // its pages go, and every access faults
  give_range(reinterpret_cast<std::uintptr_t>(block), block_bytes);
  reserved_bytes_ -= block_bytes;
  let_go(charged);
  count_release(charged);
}

// False at the limit; the account counts the refusal, and nothing has changed.
bool lazy::charge_as_found(taken& block, std::size_t resident) noexcept {
  try {
    if (resident > block.charged_bytes) hold(resident - block.charged_bytes, 0);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (resident < block.charged_bytes) let_go(block.charged_bytes - resident, 0);
  store(use().used_bytes, use().used_bytes + resident - block.charged_bytes);
  store(use().peak_used_bytes, std::max(use().peak_used_bytes, use().used_bytes));
  block.charged_bytes = resident;
  return true;
}

std::size_t lazy::look() {
  std::size_t sum = 0;
  // First what has gone, so that there is room for what has come.
  for (const bool has_grown : {false, true}) {
    for (auto& [begin, block] : used_) {
      const std::size_t resident = resident_in(begin, block.bytes);
      if (has_grown) sum += resident;
      if (is_whole(block.bytes) || (resident > block.charged_bytes) != has_grown) continue;
      charge_as_found(block, resident);
    }
  }
  return sum;
}

std::size_t lazy::resident_bytes() const {
  std::size_t sum = 0;
  for (const auto& [begin, block] : used_) sum += resident_in(begin, block.bytes);
  return sum;
}

std::size_t lazy::resident_bytes(const void* block) const {
  const auto found = used_.find(reinterpret_cast<std::uintptr_t>(block));
  return found == used_.end() ? 0 : resident_in(found->first, found->second.bytes);
}

void lazy::visit_resident(const void* block, live_visitor visit, void* context) const {
  const auto found = used_.find(reinterpret_cast<std::uintptr_t>(block));
  if (found == used_.end()) return;
  struct told {
    live_visitor visit;
    void* context;
  } to{visit, context};
  resources::visit_resident(
      found->first, found->second.bytes,
      [](void* with, std::uintptr_t begin, std::size_t bytes) {
        const told& all = *static_cast<told*>(with);
        all.visit(all.context, {reinterpret_cast<const void*>(begin), bytes});
      },
      &to);
}

lazy::blocks::iterator lazy::block_around(const void* begin, std::size_t bytes, const char* what) {
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  const auto after = used_.upper_bound(at);
  if (after != used_.begin()) {
    const auto found = std::prev(after);
    const std::size_t offset = at - found->first;
    if (offset < found->second.bytes && bytes <= found->second.bytes - offset) return found;
  }
  const resources::call_site here = resources::capture_site();
  resources::report_misuse(what, begin, bytes, kind(), name(), {{"here", &here}});
  return used_.end();
}

void lazy::commit(void* begin, std::size_t bytes) {
  const auto found = block_around(begin, bytes, "commit of a range that is not within one block");
  if (found == used_.end() || bytes == 0) return;
  const std::uintptr_t first = align_down(reinterpret_cast<std::uintptr_t>(begin), page_bytes_);
  const std::size_t range_bytes = align_up(reinterpret_cast<std::uintptr_t>(begin) + bytes, page_bytes_) - first;
  taken& block = found->second;
  if (!is_whole(block.bytes)) {
    const std::size_t resident = resident_in(found->first, block.bytes);
    if (!charge_as_found(block, resident + range_bytes - resident_in(first, range_bytes))) throw std::bad_alloc();
  }
  if (populate(first, range_bytes, page_bytes_)) return;
  if (!is_whole(block.bytes)) charge_as_found(block, resident_in(found->first, block.bytes));
  throw std::bad_alloc();
}

std::size_t lazy::discard(void* begin, std::size_t bytes) {
  const auto found = block_around(begin, bytes, "discard of a range that is not within one block");
  if (found == used_.end()) return 0;
  const std::uintptr_t first = align_up(reinterpret_cast<std::uintptr_t>(begin), page_bytes_);
  const std::uintptr_t end = align_down(reinterpret_cast<std::uintptr_t>(begin) + bytes, page_bytes_);
  if (first >= end) return 0;
  const std::size_t gone = resident_in(first, end - first);
  void* const range = reinterpret_cast<void*>(first);
  // The second for what the program has locked; before Linux 5.18 that stays.
  if (::madvise(range, end - first, MADV_DONTNEED) != 0 && ::madvise(range, end - first, MADV_DONTNEED_LOCKED) != 0) {
    return 0;
  }
  if (!is_whole(found->second.bytes)) {
    // False when more has been touched elsewhere than the limit lets be charged.
    charge_as_found(found->second, resident_in(found->first, found->second.bytes));
  }
  return gone;
}

bool lazy::owns(const void* block) const noexcept {
  return reinterpret_cast<std::uintptr_t>(block) - begin_ < limit_bytes_;
}

std::size_t lazy::trim() noexcept {
  look();
  return 0;
}

void lazy::visit_live(live_visitor visit, void* context) const {
  for (const auto& [begin, block] : used_) visit(context, {reinterpret_cast<const void*>(begin), block.bytes});
}

void lazy::check() const {
  std::uint64_t charged = 0, reserved = 0, free_bytes = 0;
  std::uintptr_t end = begin_;
  for (const auto& [begin, block] : used_) {
    TENURE_CHECK(begin >= end && begin % page_bytes_ == 0);
    end = begin + block.bytes;
    charged += block.charged_bytes;
    reserved += block.bytes;
    TENURE_CHECK(is_whole(block.bytes) ? block.charged_bytes == block.bytes : block.charged_bytes <= block.bytes);
  }
  for (const auto& [begin, bytes] : free_) {
    free_bytes += bytes;
    TENURE_CHECK(free_by_bytes_.count({bytes, begin}) == 1);
  }
  TENURE_CHECK(end <= begin_ + limit_bytes_ && reserved + free_bytes <= limit_bytes_);
  TENURE_CHECK(free_.size() == free_by_bytes_.size());
  const resource_statistics now = statistics();
  TENURE_CHECK(reserved == reserved_bytes_ && charged == now.used_bytes && charged == now.held_bytes);
  TENURE_CHECK(used_.size() == now.used_blocks);
}

}  // namespace tenure
