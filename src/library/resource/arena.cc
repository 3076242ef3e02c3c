#include <tenure/arena.hpp>

#include <algorithm>
#include <stdexcept>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "library/resource/arena_checks.h"
#include "library/resource/checks.h"

namespace tenure {

using core::align_up;
using core::is_power_of_two;

arena::arena(const arena_options& options)
    : memory_resource(options.name, "arena", options.parent, options.part_of),
      published_(is_part() ? &part_use_ : &use()),
      next_chunk_bytes_(std::max<std::size_t>(options.first_chunk_bytes, 64)),
      has_checks_(resources::wants_checks(options.checks)),
      largest_chunk_bytes_(std::max(options.largest_chunk_bytes, next_chunk_bytes_)),
      keep_bytes_(options.keep_bytes),
      upstream_(options.upstream == nullptr ? std::pmr::new_delete_resource() : options.upstream) {
  if (has_checks_) checked_ = std::make_unique<checked>(options.seal_bytes, *this);
}

arena::~arena() { release(); }

arena::chunk arena::take_chunk(std::size_t bytes) {
  if (has_checks_) bytes = align_up(bytes, resources::os_page_bytes());
  hold(bytes);
  try {
    void* memory = has_checks_ ? resources::map_checked(bytes) : upstream_->allocate(bytes, alignof(std::max_align_t));
    return {reinterpret_cast<std::uintptr_t>(memory), bytes, reinterpret_cast<std::uintptr_t>(memory)};
  } catch (...) {
    let_go(bytes);
    throw;
  }
}

void arena::give_back(const chunk& given) noexcept {
  if (has_checks_) {
    checked_->seal(given.begin, given.bytes);
  } else {
    upstream_->deallocate(reinterpret_cast<void*>(given.begin), given.bytes, alignof(std::max_align_t));
  }
  let_go(given.bytes);
}

// Makes the chunk the current one, behind everything that is used so far.
void arena::enter(std::size_t index) noexcept {
  const std::uint64_t used_before = cursor_ - base_;
  current_ = index;
  cursor_ = chunks_[index].begin;
  base_ = cursor_ - used_before;
  end_ = has_checks_ ? 0 : chunks_[index].begin + chunks_[index].bytes;
}

void arena::go_nowhere() noexcept {
  cursor_ = base_ = nowhere;
  end_ = 0;
  current_ = 0;
}

void arena::leave_current() noexcept {
  if (current_ < chunks_.size()) chunks_[current_].used_end = cursor_;
}

void arena::next_chunk(std::size_t bytes, std::size_t alignment) {
  if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX / 2 || !is_power_of_two(alignment)) throw std::bad_alloc();
  const std::size_t needed = bytes + (alignment > alignof(std::max_align_t) ? alignment : 0);
  // Of those kept from an earlier round the first that is long enough; shorter ones are left out of this round.
  std::size_t index = chunks_.empty() ? 0 : current_ + 1;
  while (index < chunks_.size() && chunks_[index].bytes < needed) ++index;
  if (index >= chunks_.size()) {
    if (chunks_.size() == chunks_.capacity()) chunks_.reserve(chunks_.size() * 2 + 8);
    chunks_.push_back(take_chunk(std::max(needed, next_chunk_bytes_)));
    next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, largest_chunk_bytes_);
    index = chunks_.size() - 1;
  }
  leave_current();
  for (std::size_t skipped = current_ + 1; skipped < index; ++skipped) {
    chunks_[skipped].used_end = chunks_[skipped].begin;
  }
  enter(index);
  settle_use();
}

void* arena::allocate_slow(std::size_t bytes, std::size_t alignment) {
  if (has_checks_) return allocate_checked(bytes, alignment);
  next_chunk(bytes, alignment);
  const std::uintptr_t begin = align_up(cursor_, alignment);
  TENURE_CHECK(begin <= end_ && end_ - begin >= bytes);
  cursor_ = begin + bytes;
  publish();
  return reinterpret_cast<void*>(begin);
}

// What the fast path leaves out of the account: the total and the peak.
void arena::settle_use() noexcept {
  store(published_->allocations, published_->allocations + (count_ - settled_count_));
  settled_count_ = count_;
  const std::uint64_t used = cursor_ - base_;
  if (used > published_->peak_used_bytes) store(published_->peak_used_bytes, used);
}

arena::mark arena::set_mark() const noexcept {
  mark result;
  result.of_ = this;
  // At the beginning there is no place to remember, and the chunk may go before anybody comes back.
  if (cursor_ != base_) {
    result.chunk_ = current_;
    result.cursor_ = cursor_;
  }
  result.used_bytes_ = cursor_ - base_;
  result.count_ = count_;
  result.round_ = round_;
  result.destructors_ = destructors_;
  return result;
}

void arena::run_destructors(const void* until) noexcept {
  while (destructors_ != until) {
    TENURE_CHECK(destructors_ != nullptr);  // the mark was not one of this round's
    destructor* last = destructors_;
    destructors_ = last->previous;
    last->run(last->object);
  }
}

void arena::go_back(const mark& to) {
  run_destructors(to.destructors_);
  settle_use();
  high_water_bytes_ = std::max<std::size_t>(high_water_bytes_, cursor_ - base_);
  leave_current();
  if (has_checks_) {
    // Sealed memory is not used again: whole chunks leave, of the marked one what lies beyond its last page in use.
    for (std::size_t index = chunks_.size(); index-- > to.chunk_ + (to.cursor_ == 0 ? 0 : 1);) {
      give_back(chunks_[index]);
      chunks_.pop_back();
    }
    if (to.cursor_ != 0) {
      chunk& marked = chunks_[to.chunk_];
      const std::uintptr_t page_end = align_up(to.cursor_, resources::os_page_bytes());
      if (const std::size_t rest = marked.begin + marked.bytes - page_end; rest != 0) {
        checked_->seal(page_end, rest);
        let_go(rest, 0);
        marked.bytes -= rest;
      }
    }
    checked_->forget_beyond(to.count_);
  }
  current_ = to.cursor_ == 0 ? (chunks_.empty() ? 0 : current_) : to.chunk_;
  count_ = settled_count_ = to.count_;
  if (to.cursor_ != 0) {
    cursor_ = to.cursor_;
    base_ = cursor_ - to.used_bytes_;
    end_ = has_checks_ ? 0 : chunks_[to.chunk_].begin + chunks_[to.chunk_].bytes;
  } else {
    go_nowhere();
    if (!chunks_.empty()) enter(0);
  }
  store(published_->used_bytes, cursor_ - base_);
  store(published_->used_blocks, count_);
}

void arena::rewind(const mark& to) {
  const bool is_before =
      to.of_ == this && to.round_ == round_ && to.count_ <= count_ && to.used_bytes_ <= cursor_ - base_;
  if (!is_before) throw std::invalid_argument("tenure::arena: a mark of another arena, or of a time that is gone");
  go_back(to);
}

void arena::reset() {
  go_back(mark{});
  ++round_;
  if (chunks_.empty()) return;
  const std::size_t kept_limit = std::min(keep_bytes_, high_water_bytes_);
  drop_chunks_beyond(kept_limit);
  high_water_bytes_ -= high_water_bytes_ / 8;
}

void arena::drop_chunks_beyond(std::size_t kept_limit) noexcept {
  std::size_t kept_bytes = 0;
  std::size_t kept = 0;
  // As long as what stands before does not suffice.
  while (kept < chunks_.size() && kept_bytes < kept_limit && kept_bytes + chunks_[kept].bytes <= keep_bytes_) {
    kept_bytes += chunks_[kept++].bytes;
  }
  while (chunks_.size() > kept) {
    give_back(chunks_.back());
    chunks_.pop_back();
  }
  go_nowhere();
  if (!chunks_.empty()) enter(0);
}

void arena::release() noexcept {
  go_back(mark{});
  ++round_;
  high_water_bytes_ = 0;
  drop_chunks_beyond(0);
}

std::size_t arena::trim() noexcept {
  std::size_t freed = 0;
  const std::size_t used = count_ == 0 && cursor_ == base_ ? 0 : current_ + 1;
  while (chunks_.size() > used) {
    freed += chunks_.back().bytes;
    give_back(chunks_.back());
    chunks_.pop_back();
  }
  if (chunks_.empty()) go_nowhere();
  return freed;
}

void arena::merge(arena& other) {
  if (&other == this) return;
  if (has_checks_ != other.has_checks_ || (!has_checks_ && !upstream_->is_equal(*other.upstream_))) {
    throw std::invalid_argument("tenure::arena: arenas of different upstreams cannot be merged");
  }
  if (other.chunks_.empty()) return;
  chunks_.reserve(chunks_.size() + other.chunks_.size());
  if (checked_) checked_->reserve_for(*other.checked_);
  const std::size_t taken_chunks = other.chunks_.size();
  const std::uint64_t taken_bytes = other.statistics().held_bytes;
  hold(taken_bytes, other.chunks_.size());  // throws before anything has changed
  other.settle_use();
  settle_use();
  other.leave_current();
  leave_current();
  const std::uint64_t used = cursor_ - base_;
  const std::uint64_t other_used = other.cursor_ - other.base_;
  // The other's chunks go before the current one, so that this arena goes on where it was.
  for (std::size_t i = other.current_ + 1; i < other.chunks_.size(); ++i) {
    other.chunks_[i].used_end = other.chunks_[i].begin;
  }
  const auto before = chunks_.begin() + static_cast<std::ptrdiff_t>(chunks_.empty() ? 0 : current_);
  const bool was_empty = chunks_.empty();
  chunks_.insert(before, other.chunks_.begin(), other.chunks_.end());
  current_ = was_empty ? chunks_.size() - 1 : current_ + other.chunks_.size();
  if (was_empty) {
    cursor_ = chunks_[current_].used_end;
    end_ = has_checks_ ? 0 : chunks_[current_].begin + chunks_[current_].bytes;
  }
  base_ = cursor_ - (used + other_used);
  count_ += other.count_;
  settled_count_ = count_;
  if (other.destructors_ != nullptr) {
    destructor* last = other.destructors_;
    while (last->previous != nullptr) last = last->previous;
    last->previous = destructors_;
    destructors_ = other.destructors_;
  }
  if (checked_) checked_->take_over(*other.checked_);
  ++round_;  // marks count objects in an order that is no more
  store(published_->used_bytes, cursor_ - base_);
  store(published_->used_blocks, count_);
  store(published_->allocations, published_->allocations + other.count_);
  settle_use();
  other.chunks_.clear();
  other.destructors_ = nullptr;
  other.go_nowhere();
  other.count_ = other.settled_count_ = 0;
  ++other.round_;
  store(other.published_->used_bytes, 0);
  store(other.published_->used_blocks, 0);
  other.let_go(taken_bytes, taken_chunks);
}

std::uintptr_t arena::used_end_of(std::size_t index) const noexcept {
  return index == current_ ? cursor_ : index < current_ ? chunks_[index].used_end : chunks_[index].begin;
}

std::size_t arena::kept_bytes() const noexcept {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    if (used_end_of(i) == chunks_[i].begin) bytes += chunks_[i].bytes;
  }
  return bytes;
}

const arena::chunk* arena::find(std::uintptr_t address) const noexcept {
  for (const chunk& one : chunks_) {
    if (address - one.begin < one.bytes) return &one;
  }
  return nullptr;
}

bool arena::owns(const void* block) const noexcept { return find(reinterpret_cast<std::uintptr_t>(block)) != nullptr; }

void arena::visit_live(live_visitor visit, void* context) const {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const std::size_t bytes = used_end_of(i) - chunks_[i].begin;
    if (bytes != 0) visit(context, {reinterpret_cast<const void*>(chunks_[i].begin), bytes});
  }
}

void arena::check() const {
  std::size_t held = 0;
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const std::uintptr_t end = used_end_of(i);
    TENURE_CHECK(end >= chunks_[i].begin && end <= chunks_[i].begin + chunks_[i].bytes);
    held += chunks_[i].bytes;
  }
  TENURE_CHECK(chunks_.empty() || current_ < chunks_.size());
  TENURE_CHECK(held == statistics().held_bytes);
  TENURE_CHECK(cursor_ - base_ == published_->used_bytes);
  TENURE_CHECK(!has_checks_ || checked_->object_count() == count_);
}

}  // namespace tenure
