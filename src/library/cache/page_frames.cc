// Frames: where one comes from when a page needs it, and how they go back.
#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include <tenure/cache/step.hpp>

#include "core/base/check.h"
#include "library/cache/page_core.h"

namespace tenure::detail {
namespace {

constexpr std::size_t most_alignment = 4096;

}  // namespace

// With the lock let go: whoever is asked for memory may come back to this pool.
std::byte* page_core::make_frame(lock_type& lock) {
  ++frames_;
  lock.unlock();
  std::byte* frame = nullptr;
  if (account_.try_charge(page_bytes_)) {
    try {
      frame = static_cast<std::byte*>(upstream_->allocate(page_bytes_, std::min(page_bytes_, most_alignment)));
    } catch (...) {
      account_.release(page_bytes_);
    }
  }
  lock.lock();
  if (frame == nullptr) {
    --frames_;
    tell_waiters();
  } else {
    figures_.peak_frames = std::max<std::uint64_t>(figures_.peak_frames, frames_);
  }
  return frame;
}

void page_core::free_frame(std::byte* frame) noexcept {
  upstream_->deallocate(frame, page_bytes_, std::min(page_bytes_, most_alignment));
  account_.release(page_bytes_);
  --frames_;
}

// Takes the frame of a slot that is closed, and ends the slot.
std::byte* page_core::detach(page_slot& slot) noexcept {
  const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  TENURE_CHECK(state < page_state::one_pin && (state & page_state::closed) != 0 && slot.memory != nullptr);
  if ((state & page_state::fresh) != 0) {
    slot_ring::take(slot);
    --prefetched_count_;
    ++figures_.prefetch_losses;
  }
  if (slot.is_in_order) order_->erase(number_of(slot));
  slot.is_in_order = false;
  leave_aside(slot);
  table_.erase(slot.identity.load(std::memory_order_relaxed), number_of(slot), slots_.get());
  if (slot.written_in != 0) ++files_[slot.page().file].gone_unsynced;
  std::byte* const frame = std::exchange(slot.memory, nullptr);
  slot.identity.store(0, std::memory_order_relaxed);
  slot.state.store(page_state::closed, std::memory_order_relaxed);
  free_slots_.push_back(number_of(slot));
  ++figures_.evictions;
  --figures_.resident_pages;
  __atomic_store_n(&use_->used_blocks, figures_.resident_pages, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_bytes, figures_.resident_pages * page_bytes_, __ATOMIC_RELAXED);
  if ((state & page_state::waited) != 0 || free_slots_.size() == 1) tell_waiters();
  return frame;
}

// The frame of one that the policy has given up, if it can go; otherwise it stays: with whoever has it pinned, or for
// the attempt, with what could not be written.
std::byte* page_core::give_up(lock_type& lock, page_slot& slot, attempt& by) {
  if (try_close(slot)) return detach(slot);
  if (slot.state.load(std::memory_order_relaxed) >= page_state::one_pin) return nullptr;
  if (!by.may_write || by.failures >= most_failures) {
    slot.is_ready = true;
    by.refused.push_last(slot);
    return nullptr;
  }
  if (!begin_write(slot, false)) return nullptr;
  lock.unlock();
  write_result result = write_one(slot);
  lock.lock();
  end_write(slot, result.what, true);
  if (result.what == outcome::written) return nullptr;  // it is ready now, unless somebody has it
  ++by.failures;
  if (by.error == nullptr) by.error = std::move(result.error);
  if (slot.is_ready) {
    slot_ring::take(slot);
    by.refused.push_last(slot);
  }
  return nullptr;
}

// Null when nothing can go.
std::byte* page_core::reclaim(lock_type& lock, attempt& by) {
  for (;;) {
    if (!free_frames_.empty()) {
      std::byte* const frame = free_frames_.back();
      free_frames_.pop_back();
      return frame;
    }
    if (!ready_.empty()) {
      page_slot& slot = ready_.first();
      slot_ring::take(slot);
      slot.is_ready = false;
      if (std::byte* const frame = give_up(lock, slot, by); frame != nullptr) return frame;
      continue;
    }
    if (evict_one(by)) continue;
    page_slot* unasked = nullptr;
    prefetched_.each([&](const page_slot& one) {
      if (unasked == nullptr && one.load == nullptr) unasked = &slots_[number_of(one)];
    });
    if (unasked == nullptr || !try_close(*unasked)) return nullptr;
    return detach(*unasked);
  }
}

// What could not go comes back to the policy.
void page_core::end_attempt(attempt& by) noexcept {
  while (!by.refused.empty()) readmit(by.refused.first());
  if (std::exchange(by.is_newcomer_out, false)) readmit(*by.newcomer);
}

std::byte* page_core::take_frame(lock_type& lock, page_slot& newcomer, patience& of) {
  std::optional<std::uint64_t> last_write;
  for (;;) {
    bool is_out_of_memory = false;
    if (free_frames_.empty() && frames_ < limit_) {
      if (std::byte* const frame = make_frame(lock); frame != nullptr) return frame;
      is_out_of_memory = true;
    }
    attempt by(*this);
    by.newcomer = &newcomer;
    std::byte* const frame = reclaim(lock, by);
    end_attempt(by);
    if (frame != nullptr) {
      if (frames_ <= limit_) return frame;
      free_frame(frame);
      continue;
    }
    if (!free_frames_.empty() || !ready_.empty()) {
      if (by.error == nullptr && by.failures == 0) continue;
    }
    if (by.error != nullptr) std::rethrow_exception(by.error);
    if (is_out_of_memory) throw std::bad_alloc();
    // What is being written already can go soon, whatever the caller's patience. What begins later counts for nothing.
    if (!last_write.has_value()) last_write = writes_ended_ + writing_count_;
    patience writes{nanoseconds::max()};
    const bool is_pinned = writing_count_ == 0 || writes_ended_ >= *last_write;
    // Who has joined has a patience of its own, and hears of it once: all who wait look again at each word.
    if (std::exchange(newcomer.load->waits_for_frame, is_pinned) != is_pinned && is_pinned) tell_waiters();
    if (!wait_for_change(lock, is_pinned ? of : writes)) throw_exhausted(lock, newcomer.key, of.wait);
  }
}

// --- going back

std::uint64_t page_core::shed(lock_type& lock, std::uint64_t bytes, bool may_write) {
  attempt by(*this);
  by.may_write = may_write;
  const std::size_t wanted = std::min<std::uint64_t>(bytes / page_bytes_ + (bytes % page_bytes_ != 0), frames_);
  std::size_t freed = 0;
  for (; freed < wanted; ++freed) {
    std::byte* const frame = reclaim(lock, by);
    if (frame == nullptr) break;
    free_frame(frame);
  }
  if (freed != 0) tell_waiters();
  return freed * page_bytes_;
}

void page_core::set_limit(std::size_t pages) {
  if (pages == 0 || pages > most_pages_) {
    throw std::invalid_argument("tenure::page_pool: a limit of " + std::to_string(pages) +
                                " pages, of a pool for 1 to " + std::to_string(most_pages_));
  }
  lock_type lock = take_lock();
  drain();
  limit_ = pages;
  order_->set_capacity(pages, take_given_up, this);
  if (frames_ > limit_) shed(lock, (frames_ - limit_) * page_bytes_, true);
  tell_waiters();
}

std::uint64_t page_core::trim(std::uint64_t bytes) {
  lock_type lock = take_lock();
  drain();
  return shed(lock, bytes, true);
}

// Whoever holds the lock may be this thread, and short of memory: then there is nothing to be had here.
std::uint64_t page_core::shrink(void* core, const tenure_pressure* why) {
  auto* const self = static_cast<page_core*>(core);
  lock_type lock(self->lock_, std::try_to_lock);
  if (!lock.owns_lock()) return 0;
  return self->shed(lock, why->wanted_bytes, false);
}

}  // namespace tenure::detail
