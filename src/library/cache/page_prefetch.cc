// Pages that are read before anybody asks for them.
//
//   prefetch ──▶ wanted, at most prefetch_pages ──▶ (a thread) ──▶ fresh, as many at most ──asked for──▶ the policy
//                                                                    │ newer ones want the place
//                                                                    ▼ gone
//
// The policy does not hear of them before they are asked for, so that what is read in vain takes no other's place in
// it.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include <tenure/cache/entry_table.hpp>
#include <tenure/cache/step.hpp>

#include "library/cache/page_core.h"

namespace tenure::detail {

std::size_t page_core::prefetch(std::uint64_t key, std::size_t count) {
  lock_type lock = take_lock();
  check_file(key);
  count = std::min<std::uint64_t>(count, last_page_ - (key & page_slot::most_number) + 1);
  std::size_t here = 0;
  bool has_more = false;
  for (; count != 0; --count, ++key) {
    if (find(mixed_identity(key)) == nullptr) {
      if (wanted_.size() >= prefetch_pages_) break;
      wanted_.push_back(key);
      has_more = true;
    }
    ++here;
  }
  if (!has_more) return here;
  if (has_thread_) {
    leave_worker_of_parent();
    if (worker_ == nullptr) {
      std::unique_ptr<worker> made(new worker{::getpid(), {}, {}, nullptr});
      made->thread = std::thread([this] { work(); });
      worker_ = std::move(made);
    }
    worker_->wakes.notify_one();
    return here;
  }
  while (!wanted_.empty()) {
    const std::uint64_t next = wanted_.front();
    wanted_.pop_front();
    prefetch_one(lock, next);
  }
  return here;
}

void page_core::work() {
  lock_type lock = take_lock();
  for (;;) {
    worker_->wakes.wait(lock, [this] { return ends_ || !wanted_.empty(); });
    if (ends_) return;
    const std::uint64_t next = wanted_.front();
    wanted_.pop_front();
    try {
      prefetch_one(lock, next);
    } catch (...) {  // NOLINT(bugprone-empty-catch): whoever asks for the page meets the failure
      if (!lock.owns_lock()) lock.lock();
    }
  }
}

void page_core::stop() noexcept {
  {
    const lock_type lock = take_lock();
    ends_ = true;
    leave_worker_of_parent();
    if (worker_ == nullptr) return;
    worker_->wakes.notify_all();
  }
  worker_->thread.join();
}

// A process that was forked has no such thread. What is left of it can be neither joined nor ended, since it counts as
// waiting; it stays where it is.
void page_core::leave_worker_of_parent() noexcept {
  if (worker_ == nullptr || worker_->process == ::getpid()) return;
  static std::atomic<worker*> left{nullptr};
  worker* const one = worker_.release();
  one->left_before = left.load();
  while (!left.compare_exchange_weak(one->left_before, one)) {
  }
}

void page_core::prefetch_one(lock_type& lock, std::uint64_t key) {
  const std::uint64_t identity = mixed_identity(key);
  if (find(identity) != nullptr || !has_file(key)) return;
  drain();
  page_slot* const slot = begin(key, identity);
  if (slot == nullptr) return;
  slot->state.store(page_state::closed | page_state::fresh, std::memory_order_relaxed);
  prefetched_.push_last(*slot);
  ++prefetched_count_;
  try {
    slot->memory = frame_to_prefetch(lock);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    abandon(*slot, nullptr);
    throw;
  }
  if (slot->memory == nullptr) return abandon(*slot, nullptr);
  lock.unlock();
  bool is_read = false;
  try {
    TENURE_CACHE_STEP();
    read(*slot);
    is_read = true;
  } catch (...) {  // NOLINT(bugprone-empty-catch): whoever waits for it reads by itself, and meets the failure
  }
  lock.lock();
  ++(is_read ? figures_.reads : figures_.read_failures);
  if (!is_read) return abandon(*slot, nullptr);
  ++figures_.prefetches;
  open(*slot, page_state::fresh);
}

// Null where that would take more than is for prefetching, or nothing can go.
std::byte* page_core::frame_to_prefetch(lock_type& lock) {
  if (prefetched_count_ > prefetch_pages_) {
    page_slot* oldest = nullptr;
    prefetched_.each([&](const page_slot& one) {
      if (oldest == nullptr && one.load == nullptr) oldest = &slots_[number_of(one)];
    });
    return oldest != nullptr && try_close(*oldest) ? detach(*oldest) : nullptr;
  }
  if (free_frames_.empty() && frames_ < limit_) return make_frame(lock);
  attempt by(*this);
  std::byte* const frame = reclaim(lock, by);
  end_attempt(by);
  if (frame == nullptr || frames_ <= limit_) return frame;
  free_frame(frame);
  return nullptr;
}

}  // namespace tenure::detail
