// Lending and taking back, and what becomes of a connection in between.
#include "library/pool/connection_core.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "core/base/check.h"
#include "core/base/yield_point.h"

namespace tenure::detail {
namespace {

constexpr nanoseconds first_backoff = std::chrono::milliseconds(100);
constexpr nanoseconds longest_backoff = std::chrono::seconds(5);
constexpr double keepalive_jitter = 0.1;
// Whoever has less time left than this gets it all the same: what answers in less is not closed for a hurry of ours.
constexpr nanoseconds least_validation = std::chrono::milliseconds(250);

std::uint32_t this_thread() noexcept {
  static thread_local const auto id = static_cast<std::uint32_t>(::syscall(SYS_gettid));
  return id;
}

// Where there is no memory for the text, one that needs none.
void keep_text(std::string& into, const char* text) noexcept {
  try {
    into = text;
  } catch (const std::bad_alloc&) {
    into = "out of memory";
  }
}

}  // namespace

nanoseconds connection_core::now() const noexcept {
  return clock_ ? clock_() : std::chrono::steady_clock::now().time_since_epoch();
}

connection_core::lock_type connection_core::take_lock() const {
  TENURE_YIELD_POINT();
  return lock_type(mutex_);
}

void connection_core::wait(lock_type& lock, std::condition_variable& on, nanoseconds until) const {
#ifdef TENURE_SYSTEMATIC
  static_cast<void>(on);
  static_cast<void>(until);
  lock.unlock();
  TENURE_YIELD_POINT();
  lock.lock();
#else
  if (clock_ && until != never) {
    on.wait_for(lock, std::chrono::milliseconds(1));
  } else if (until == never) {
    on.wait(lock);
  } else {
    on.wait_until(lock, std::chrono::steady_clock::time_point(std::max(until, nanoseconds())));
  }
#endif
}

// --- waiting

void connection_core::enter(waiter& me) noexcept {
  ++waiters_;
  // Whoever was handed a connection that turned out to be broken goes back to where it was.
  waiter** place = &first_waiter_;
  if (last_waiter_ != nullptr && last_waiter_->ticket < me.ticket) place = &last_waiter_->next;
  while (*place != nullptr && (*place)->ticket < me.ticket) place = &(*place)->next;
  me.next = *place;
  *place = &me;
  if (me.next == nullptr) last_waiter_ = &me;
}

void connection_core::leave(const waiter& me) noexcept {
  --waiters_;
  waiter* before = nullptr;
  waiter** place = &first_waiter_;
  while (*place != &me) {
    before = *place;
    place = &before->next;
  }
  *place = me.next;
  if (last_waiter_ == &me) last_waiter_ = before;
}

nanoseconds connection_core::suspended_until(nanoseconds moment) const noexcept {
  return suspended_total_ + (is_suspended_ ? moment - suspended_since_ : nanoseconds());
}

nanoseconds connection_core::time_left(const waiter& me) const noexcept {
  const nanoseconds waited = me.seen - me.started - (suspended_until(me.seen) - me.suspended_before);
  return me.timeout - std::max(waited, nanoseconds());
}

bool connection_core::is_over(const connection_slot* slot, nanoseconds moment) const noexcept {
  return is_shut_down_ || slot->is_evicted || slot->expires <= moment;
}

std::uint64_t& connection_core::reason_of(const connection_slot* slot) noexcept {
  return slot->is_evicted || is_shut_down_ ? figures_.evicted : figures_.expired;
}

connection_slot* connection_core::take_idle(nanoseconds moment) noexcept {
  while (!idle_.empty()) {
    connection_slot* slot = idle_.back();
    idle_.pop_back();
    if (!is_over(slot, moment)) {
      slot->state = slot_state::offered;
      return slot;
    }
    retire(slot, reason_of(slot));
  }
  return nullptr;
}

connection_core::waiter* connection_core::first_to_serve() const noexcept {
  waiter* first = first_waiter_;
  while (first != nullptr && first->is_busy) first = first->next;
  return first;
}

// Hands idle connections to those who wait, and has others opened for the rest.
void connection_core::serve_waiters() noexcept {
  if (first_waiter_ != nullptr && !is_suspended_ && !idle_.empty()) {
    const nanoseconds moment = now();
    while (waiter* first = first_to_serve()) {
      connection_slot* slot = take_idle(moment);
      if (slot == nullptr) break;
      leave(*first);
      first->given = slot;
      first->wake.notify_one();
    }
  }
  if (!idle_.empty()) is_one_wanted_ = false;
  if (wants_connection()) ask_for_connection();
}

void connection_core::ask_for_connection() noexcept {
  if (has_threads_) {
    workers_wake_.notify_one();
  } else {
    wake_waiters();
  }
}

void connection_core::wake_waiters() noexcept {
  for (waiter* each = first_waiter_; each != nullptr; each = each->next) each->wake.notify_one();
}

// Null at the timeout, and where the pool is shut down.
connection_slot* connection_core::find_for(lock_type& lock, waiter& me) noexcept {
  if (first_waiter_ == nullptr && !is_suspended_ && !is_shut_down_) {
    if (connection_slot* slot = take_idle(me.seen); slot != nullptr) return slot;
  }
  enter(me);
  serve_waiters();
  for (;;) {
    me.seen = now();
    if (me.given != nullptr) return std::exchange(me.given, nullptr);
    const nanoseconds left = time_left(me);
    if (is_shut_down_ || (left <= nanoseconds() && !is_suspended_)) {
      // What nobody has begun to open for it is opened for whoever comes next, or who polls would never have one.
      if (wants_connection()) is_one_wanted_ = true;
      leave(me);
      return nullptr;
    }
    nanoseconds until = is_suspended_ ? never : after(me.seen, left);
    if (!has_threads_) {
      if (close_one(lock, &me)) continue;
      if (wants_connection()) {
        if (connect_again_ <= me.seen) {
          connect_one(lock, left, &me);
          continue;
        }
        until = std::min(until, connect_again_);
      }
    }
    wait(lock, me.wake, until);
  }
}

bool connection_core::is_good_to_lend(lock_type& lock, connection_slot* slot, waiter& me) noexcept {
  if (!actions_->can_validate()) return true;
  // Where it is to be none, the clock may still have been read before the other thread's.
  if (validate_after_ > nanoseconds() && me.seen - std::max(slot->used, slot->validated) < validate_after_) return true;
  const nanoseconds most = std::clamp(time_left(me), least_validation, validation_timeout_);
  lock.unlock();
  TENURE_YIELD_POINT();
  const bool is_good = validate(slot->connection, most);
  lock.lock();
  me.seen = now();
  if (is_good) slot->validated = me.seen;
  return is_good;
}

void connection_core::stamp(connection_slot* slot, const waiter& me, const call_site& site) noexcept {
  slot->state = slot_state::borrowed;
  slot->borrowed_at = me.seen;
  slot->thread = this_thread();
  slot->site = site;
  slot->is_leak_told = false;
  ++figures_.acquisitions;
  figures_.wait.add(me.seen - me.started);
  __atomic_store_n(&use_->allocations, use_->allocations + 1, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_blocks, use_->used_blocks + 1, __ATOMIC_RELAXED);
  const std::uint64_t used = use_->used_bytes + connection_bytes_;
  __atomic_store_n(&use_->used_bytes, used, __ATOMIC_RELAXED);
  if (used > use_->peak_used_bytes) __atomic_store_n(&use_->peak_used_bytes, used, __ATOMIC_RELAXED);
  if (leak_detection_threshold_ > nanoseconds()) note_due(after(me.seen, leak_detection_threshold_));
}

connection_slot* connection_core::lend(nanoseconds timeout, bool throws, const call_site& site) {
  waiter me;
  me.timeout = timeout;
  me.started = me.seen = now();
  lock_type lock = take_lock();
  me.ticket = ++tickets_;
  me.suspended_before = suspended_until(me.started);
  for (;;) {
    connection_slot* slot = find_for(lock, me);
    if (slot == nullptr) break;
    if (!is_good_to_lend(lock, slot, me)) {
      retire(slot, figures_.validation_failures);
      // One validation beyond its time is all that anybody waits for.
      if (time_left(me) <= nanoseconds() && !is_suspended_) break;
    } else if (is_over(slot, me.seen)) {
      retire(slot, reason_of(slot));
    } else {
      stamp(slot, me, site);
      close_without_threads(lock);
      return slot;
    }
  }
  close_without_threads(lock);
  if (!is_shut_down_) ++figures_.timeouts;
  if (!throws) return nullptr;
  const bool is_shut_down = is_shut_down_;
  const std::string what = refusal(lock, now() - me.started);
  lock.unlock();
  throw connection_unavailable(what, is_shut_down);
}

// --- where a connection is

void connection_core::put_idle(connection_slot* slot) noexcept {
  slot->state = slot_state::idle;
  const auto place = std::upper_bound(idle_.begin(), idle_.end(), slot,
                                      [](const auto* one, const auto* other) { return one->used < other->used; });
  idle_.insert(place, slot);
  note_due(std::min(slot->expires, next_keepalive(slot)));
  if (idle_.size() > minimum_idle_ && idle_timeout_ > nanoseconds())
    note_due(after(idle_.front()->used, idle_timeout_));
  serve_waiters();
}

void connection_core::retire(connection_slot* slot, std::uint64_t& reason) noexcept {
  ++reason;
  slot->state = slot_state::closing;
  to_close_.push_back(slot);
  workers_wake_.notify_one();
}

connection_slot* connection_core::find_empty() noexcept {
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [](const connection_slot& one) { return one.state == slot_state::empty; });
  return found == slots_.end() ? nullptr : &*found;
}

bool connection_core::wants_connection() const noexcept {
  if (is_suspended_ || is_shut_down_ || open_ == slots_.size()) return false;
  const std::size_t wanted = waiters_ + static_cast<std::size_t>(is_one_wanted_);
  const std::size_t coming = idle_.size() + connecting_;
  // One that is being kept alive may take a long time to come back: it is none for those who wait.
  return coming < wanted || coming + validating_ < wanted + minimum_idle_;
}

std::size_t connection_core::count_of(slot_state state) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](const connection_slot& one) { return one.state == state; }));
}

nanoseconds connection_core::shorten(nanoseconds full, double part) noexcept {
  const double share = part * std::uniform_real_distribution<double>(0, 1)(dice_);
  return full - nanoseconds(static_cast<nanoseconds::rep>(static_cast<double>(full.count()) * share));
}

void connection_core::take_back(connection_slot* slot, bool is_good) noexcept {
  const nanoseconds moment = now();
  lock_type lock = take_lock();
  TENURE_CHECK(slot->state == slot_state::borrowed);
  const nanoseconds age = moment - slot->borrowed_at;
  if (slot->is_leak_told) {
    // While it is still out: once it is back, the pool may end.
    lock.unlock();
    tell_returned(*slot, age);
    lock.lock();
    slot->is_leak_told = false;
  }
  figures_.use.add(age);
  __atomic_store_n(&use_->used_blocks, use_->used_blocks - 1, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_bytes, use_->used_bytes - connection_bytes_, __ATOMIC_RELAXED);
  slot->used = moment;
  if (!is_good) {
    retire(slot, figures_.discarded);
  } else if (is_over(slot, moment)) {
    retire(slot, reason_of(slot));
  } else {
    put_idle(slot);
  }
  close_without_threads(lock);
}

// --- what needs the server

bool connection_core::connect_one(lock_type& lock, nanoseconds timeout, waiter* by) noexcept {
  connection_slot* slot = wants_connection() ? find_empty() : nullptr;
  if (slot == nullptr) return false;
  slot->state = slot_state::connecting;
  is_one_wanted_ = false;
  ++open_;
  ++connecting_;
  figures_.peak_open = std::max(figures_.peak_open, open_);
  if (wants_connection()) ask_for_connection();  // somebody else's work
  if (by != nullptr) by->is_busy = true;
  lock.unlock();
  TENURE_YIELD_POINT();
  const nanoseconds started = now();
  std::string failure;
  void* opened = try_connect(timeout, failure);
  lock.lock();
  if (by != nullptr) by->is_busy = false;
  --connecting_;
  if (opened == nullptr) {
    note_not_connected(slot, std::move(failure));
  } else {
    note_connected(slot, opened, started);
  }
  return true;
}

// Shrinkers may be asked, hence without the lock.
void* connection_core::try_connect(nanoseconds timeout, std::string& failure) noexcept {
  if (!account_.try_charge(connection_bytes_)) {
    keep_text(failure, "the budget has no room for it");
    return nullptr;
  }
  try {
    return actions_->connect(timeout);
  } catch (const std::exception& thrown) {
    keep_text(failure, thrown.what());
  } catch (...) {
    keep_text(failure, "something that is no std::exception was thrown");
  }
  account_.release(connection_bytes_);
  return nullptr;
}

void connection_core::note_connected(connection_slot* slot, void* opened, nanoseconds started) noexcept {
  const nanoseconds moment = now();
  slot->connection = opened;
  slot->number = ++figures_.created;
  slot->is_evicted = false;
  slot->used = slot->validated = moment;
  slot->expires = max_lifetime_ > nanoseconds() ? after(moment, shorten(max_lifetime_, lifetime_jitter_)) : never;
  slot->keepalive = keepalive_time_ > nanoseconds() ? shorten(keepalive_time_, keepalive_jitter) : never;
  figures_.creation.add(moment - started);
  backoff_ = nanoseconds();
  connect_again_ = at_once;
  last_failure_.clear();
  if (is_shut_down_) return retire(slot, figures_.evicted);
  put_idle(slot);
}

void connection_core::note_not_connected(connection_slot* slot, std::string why) noexcept {
  slot->state = slot_state::empty;
  --open_;
  ++figures_.connect_failures;
  last_failure_ = std::move(why);
  const nanoseconds moment = now();
  // Those that were on their way at the same time have failed for the same reason.
  if (connect_again_ <= moment) {
    backoff_ = std::clamp(backoff_ * 2, first_backoff, longest_backoff);
    connect_again_ = after(moment, backoff_);
  }
  if (open_ == 0) emptied_.notify_all();
  serve_waiters();                    // one of them may have been busy with this when a connection came back
  if (!has_threads_) wake_waiters();  // one of them is the next to try
}

bool connection_core::close_one(lock_type& lock, waiter* by) noexcept {
  if (to_close_.empty()) return false;
  connection_slot* slot = to_close_.back();
  to_close_.pop_back();
  void* closed = std::exchange(slot->connection, nullptr);
  if (by != nullptr) by->is_busy = true;
  lock.unlock();
  TENURE_YIELD_POINT();
  actions_->close(closed);
  account_.release(connection_bytes_);
  lock.lock();
  if (by != nullptr) by->is_busy = false;
  slot->state = slot_state::empty;
  --open_;
  ++figures_.closed;
  if (open_ == 0) emptied_.notify_all();
  serve_waiters();
  return true;
}

void connection_core::close_without_threads(lock_type& lock) noexcept {
  if (has_threads_) return;
  while (close_one(lock, nullptr)) {
  }
}

bool connection_core::validate(void* connection, nanoseconds timeout) noexcept {
  try {
    return actions_->validate(connection, timeout);
  } catch (...) {
    return false;
  }
}

nanoseconds connection_core::next_keepalive(const connection_slot* slot) const noexcept {
  return after(std::max(slot->used, slot->validated), slot->keepalive);
}

bool connection_core::is_keepalive_due(const connection_slot* slot, nanoseconds moment) const noexcept {
  return slot->keepalive != never && next_keepalive(slot) <= moment;
}

// The one that has not been used for the longest time. The others stay in reach of who wants one.
connection_slot* connection_core::take_to_keep_alive() noexcept {
  if (keepalive_time_ == nanoseconds() || idle_.empty() || validating_ >= most_validating_) return nullptr;
  const nanoseconds moment = now();
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const connection_slot* slot) {
    return is_keepalive_due(slot, moment) && !is_over(slot, moment);
  });
  if (found == idle_.end()) return nullptr;
  connection_slot* slot = *found;
  idle_.erase(found);
  return slot;
}

// Keeps one alive that is idle.
bool connection_core::validate_one(lock_type& lock) noexcept {
  connection_slot* slot = take_to_keep_alive();
  if (slot == nullptr) return false;
  slot->state = slot_state::validating;
  ++validating_;
  lock.unlock();
  TENURE_YIELD_POINT();
  const bool is_good = validate(slot->connection, validation_timeout_);
  lock.lock();
  --validating_;
  const nanoseconds moment = now();
  if (!is_good) {
    retire(slot, figures_.validation_failures);
  } else if (is_over(slot, moment)) {
    retire(slot, reason_of(slot));
  } else {
    slot->validated = moment;
    put_idle(slot);
  }
  serve_waiters();
  return true;
}

}  // namespace tenure::detail
