// What happens to connections by themselves: lifetimes, idle times, keep-alives, leaks, and the threads that see to it.
#include <algorithm>

#include "core/base/check.h"
#include "library/pool/connection_core.h"

namespace tenure::detail {

void connection_core::note_due(nanoseconds moment) noexcept {
  if (moment >= keeper_until_) return;
  keeper_until_ = moment;
  keeper_wakes_.notify_one();
}

// Takes idle connections out whose time is up. When the next one is.
nanoseconds connection_core::tend_idle(nanoseconds moment) {
  nanoseconds due = never;
  std::size_t left = idle_.size();
  const auto goes = [&](connection_slot* slot) {
    if (is_over(slot, moment)) {
      retire(slot, reason_of(slot));
    } else if (idle_timeout_ > nanoseconds() && left > minimum_idle_ && moment - slot->used >= idle_timeout_) {
      retire(slot, figures_.unneeded);
    } else {
      due = std::min(due, slot->expires);
      if (is_keepalive_due(slot, moment)) {
        workers_wake_.notify_one();  // it stays until one of them has time for it
      } else {
        due = std::min(due, next_keepalive(slot));
      }
      return false;
    }
    --left;
    return true;
  };
  std::erase_if(idle_, goes);
  if (!idle_.empty() && left > minimum_idle_ && idle_timeout_ > nanoseconds()) {
    due = std::min(due, after(idle_.front()->used, idle_timeout_));
  }
  return due;
}

nanoseconds connection_core::tend_borrowed(nanoseconds moment, std::vector<told_leak>& leaks) {
  nanoseconds due = never;
  if (leak_detection_threshold_ == nanoseconds()) return due;
  for (connection_slot& slot : slots_) {
    if (slot.state != slot_state::borrowed || slot.is_leak_told) continue;
    const nanoseconds age = moment - slot.borrowed_at;
    if (age < leak_detection_threshold_) {
      due = std::min(due, after(slot.borrowed_at, leak_detection_threshold_));
      continue;
    }
    slot.is_leak_told = true;
    ++figures_.leaks;
    leaks.push_back({slot.number, age, slot.site});
  }
  return due;
}

nanoseconds connection_core::tend(std::vector<told_leak>& leaks) {
  const nanoseconds moment = now();
  const nanoseconds due = tend_idle(moment);
  if (wants_connection()) ask_for_connection();
  return std::min(due, tend_borrowed(moment, leaks));
}

void connection_core::keep() {
  std::vector<told_leak> leaks;
  lock_type lock = take_lock();
  while (!is_stopped_) {
    const nanoseconds due = tend(leaks);
    if (!leaks.empty()) {
      lock.unlock();
      tell(leaks);
      leaks.clear();
      lock.lock();
      continue;
    }
    keeper_until_ = due;
    wait(lock, keeper_wakes_, due);
  }
}

void connection_core::work() {
  lock_type lock = take_lock();
  for (;;) {
    if (close_one(lock, nullptr)) continue;
    const bool is_wanted = wants_connection();
    if (is_wanted && connect_again_ <= now()) {
      connect_one(lock, connection_timeout_, nullptr);
      continue;
    }
    if (validate_one(lock)) continue;
    if (is_stopped_) return;
    wait(lock, workers_wake_, is_wanted ? connect_again_ : never);
  }
}

void connection_core::maintain() {
  std::vector<told_leak> leaks;
  lock_type lock = take_lock();
  tend(leaks);
  if (!has_threads_) {
    while (close_one(lock, nullptr) || validate_one(lock) ||
           (connect_again_ <= now() && connect_one(lock, connection_timeout_, nullptr))) {
    }
  }
  lock.unlock();
  tell(leaks);
}

void connection_core::suspend() {
  const lock_type lock = take_lock();
  if (is_suspended_) return;
  is_suspended_ = true;
  suspended_since_ = now();
  // Who waits until a moment shall wait without one.
  wake_waiters();
}

void connection_core::resume() {
  const lock_type lock = take_lock();
  if (!is_suspended_) return;
  suspended_total_ = suspended_until(now());
  is_suspended_ = false;
  serve_waiters();
  wake_waiters();
}

void connection_core::soft_evict() {
  lock_type lock = take_lock();
  for (connection_slot& slot : slots_) {
    if (slot.state != slot_state::empty && slot.state != slot_state::connecting) slot.is_evicted = true;
  }
  for (connection_slot* slot : idle_) retire(slot, figures_.evicted);
  idle_.clear();
  close_without_threads(lock);
}

std::size_t connection_core::shutdown(nanoseconds grace) {
  lock_type lock = take_lock();
  if (!is_shut_down_) {
    is_shut_down_ = true;
    for (connection_slot* slot : idle_) retire(slot, figures_.evicted);
    idle_.clear();
    wake_waiters();
  }
  close_without_threads(lock);
  const nanoseconds started = now();
  while (open_ != 0 && now() - started < grace) wait(lock, emptied_, after(started, grace));
  return count_of(slot_state::borrowed);
}

void connection_core::stop() noexcept {
  {
    const lock_type lock = take_lock();
    TENURE_CHECK(is_shut_down_);
    is_stopped_ = true;
    keeper_wakes_.notify_all();
    workers_wake_.notify_all();
  }
  for (std::thread& each : threads_) each.join();
  threads_.clear();
  // Without threads, whoever gave the last one back may still be closing it.
  lock_type lock = take_lock();
  while (open_ != 0 && open_ == count_of(slot_state::closing)) wait(lock, emptied_, never);
}

}  // namespace tenure::detail
