// Pins: of what is here, of what has to be read first, and their ends.
#include "library/cache/page_core.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include <tenure/cache/entry_table.hpp>
#include <tenure/cache/hazards.hpp>
#include <tenure/cache/step.hpp>

#include "core/base/check.h"

namespace tenure::detail {

page_core::lock_type page_core::take_lock() const {
  TENURE_CACHE_STEP();
  return lock_type(lock_);
}

nanoseconds page_core::now() const noexcept {
  return clock_ ? clock_() : std::chrono::steady_clock::now().time_since_epoch();
}

bool page_core::wait_for_change(lock_type& lock, patience& of) {
  if (of.wait <= nanoseconds::zero()) return false;
  const nanoseconds moment = now();
  if (of.until == nanoseconds::min()) {
    of.until = of.wait >= nanoseconds::max() - moment ? nanoseconds::max() : moment + of.wait;
  }
  if (moment >= of.until) return false;
  ++waiting_count_;
#ifdef TENURE_SYSTEMATIC
  // Until it is told: a change that nobody is told of ends the test.
  const std::uint64_t before = changes_;
  for (unsigned steps = 0; changes_ == before; ++steps) {
    TENURE_CHECK(steps < 100'000);
    lock.unlock();
    TENURE_CACHE_STEP();
    lock.lock();
  }
#else
  if (clock_) {
    changed_.wait_for(lock, std::chrono::milliseconds(1));
  } else if (of.until == nanoseconds::max()) {
    changed_.wait(lock);
  } else {
    changed_.wait_until(lock, std::chrono::steady_clock::time_point(of.until));
  }
#endif
  --waiting_count_;
  return true;
}

// --- what is here

bool page_core::try_take(page_slot& slot, page_access how) noexcept {
  const bool writes = how == page_access::write;
  const std::uint64_t more = page_state::one_pin + (writes ? page_state::writer : 0);
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  do {
    if ((state & (page_state::closed | page_state::writer | page_state::fresh)) != 0) return false;
    if (writes && state >= page_state::one_pin) return false;
    TENURE_CACHE_STEP();
  } while (
      !slot.state.compare_exchange_weak(state, state + more, std::memory_order_acquire, std::memory_order_relaxed));
  return true;
}

bool page_core::try_close(page_slot& slot) noexcept {
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  do {
    constexpr std::uint64_t in_the_way = page_state::closed | page_state::dirty;
    if (state >= page_state::one_pin || (state & in_the_way) != 0) return false;
    TENURE_CACHE_STEP();
  } while (!slot.state.compare_exchange_weak(state, state | page_state::closed, std::memory_order_acquire,
                                             std::memory_order_relaxed));
  return true;
}

page_slot* page_core::pin_here(const page_request& want) {
  const std::uint64_t identity = mixed_identity(want.key);
  hazard_record& me = my_hazards();
  page_slot* const slot = find(identity);
  TENURE_CACHE_STEP();
  if (slot == nullptr || !try_take(*slot, want.how)) return nullptr;
  if (slot->identity.load(std::memory_order_relaxed) != identity) [[unlikely]] {
    // The slot has become another page's in between.
    unpin(*slot);
    return nullptr;
  }
  // That it is the right page comes before that it is dirty.
  if (want.how == page_access::write) slot->state.fetch_or(page_state::dirty, std::memory_order_relaxed);
  slot->pinned_at.store(want.caller, std::memory_order_relaxed);
  if (log_.hit(me.number, identity)) [[unlikely]]
    try_drain();
  return slot;
}

page_slot* page_core::pin(const page_request& want) {
  page_slot* const slot = pin_here(want);
  return slot != nullptr ? slot : pin_slow(want);
}

page_slot* page_core::try_pin(const page_request& want) {
  if (page_slot* const slot = pin_here(want); slot != nullptr) return slot;
  {
    // A reader without the lock may miss what is here; and what was prefetched becomes the policy's first.
    const lock_type lock = take_lock();
    page_slot* const slot = find(mixed_identity(want.key));
    if (slot == nullptr || slot->load != nullptr) return nullptr;
    if ((slot->state.load(std::memory_order_relaxed) & page_state::fresh) != 0) take_fresh(*slot);
  }
  return pin_here(want);
}

// The last access to the pool is the one that lets go, or else lies under the lock: who sees no pin may end the pool.
void page_core::unpin(page_slot& slot) noexcept {
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  // Where there is a writer, the pin is its own.
  const std::uint64_t minus = page_state::one_pin + (state & page_state::writer);
  do {
    TENURE_DCHECK(state >= page_state::one_pin && (state & page_state::closed) == 0);
    TENURE_CACHE_STEP();
    constexpr std::uint64_t somebody_cares = page_state::waited | page_state::aside;
    if (state < 2 * page_state::one_pin && (state & somebody_cares) != 0) return unpin_slow(slot, minus);
  } while (
      !slot.state.compare_exchange_weak(state, state - minus, std::memory_order_release, std::memory_order_relaxed));
}

void page_core::unpin_slow(page_slot& slot, std::uint64_t minus) noexcept {
  const lock_type lock = take_lock();
  const std::uint64_t before = slot.state.fetch_sub(minus, std::memory_order_acq_rel);
  TENURE_CHECK(before >= page_state::one_pin && (before & page_state::closed) == 0);
  settle(slot);
}

// A pin less, or a write that is over: whoever waits for it looks again, and what is to go can. Beyond the limit it
// goes at once, unless somebody here wants the frame.
void page_core::settle(page_slot& slot, bool is_wanted) noexcept {
  const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  if ((state & page_state::waited) != 0) {
    slot.state.fetch_and(~page_state::waited, std::memory_order_relaxed);
    tell_waiters();
  }
  if ((state & page_state::aside) == 0 || (state & page_state::closed) != 0 || state >= page_state::one_pin) return;
  if (!is_wanted && frames_ > limit_ && try_close(slot)) {
    free_frame(detach(slot));
    tell_waiters();
    return;
  }
  if (!slot.is_ready) {
    slot.is_ready = true;
    ready_.push_first(slot);
  }
  tell_waiters();
}

// --- what is not

page_slot* page_core::pin_slow(const page_request& want) {
  const std::uint64_t identity = mixed_identity(want.key);
  patience until{want.wait};
  lock_type lock = take_lock();
  for (;;) {
    page_slot* const slot = find(identity);
    if (slot == nullptr) {
      page_slot* const loaded = load(lock, want, until);
      if (loaded != nullptr) return loaded;
      continue;
    }
    if (slot->load != nullptr) {
      join(lock, *slot, want, until);
      continue;
    }
    if ((slot->state.load(std::memory_order_relaxed) & page_state::fresh) != 0) {
      take_fresh(*slot);
      continue;  // beyond the limit it may have gone by that
    }
    bool is_taken = try_take(*slot, want.how);
    if (!is_taken) {
      slot->state.fetch_or(page_state::waited, std::memory_order_acq_rel);
      is_taken = try_take(*slot, want.how);
    }
    if (is_taken) {
      if (want.how == page_access::write) slot->state.fetch_or(page_state::dirty, std::memory_order_relaxed);
      slot->pinned_at.store(want.caller, std::memory_order_relaxed);
      lock.unlock();
      if (log_.hit(my_hazards().number, identity)) try_drain();
      return slot;
    }
    if (!wait_for_change(lock, until)) throw_busy(lock, *slot, want.wait);
  }
}

// Another thread reads the page, and its failure is that of all who wait. Where it has no frame yet, each waits for as
// long as it may itself; where it finds none, each tries by itself.
void page_core::join(lock_type& lock, page_slot& slot, const page_request& want, patience& until) {
  const std::shared_ptr<page_load> of = slot.load;
  ++figures_.joined;
  while (!of->is_done) {
    patience read{nanoseconds::max()};
    if (!wait_for_change(lock, of->waits_for_frame ? until : read)) throw_exhausted(lock, want.key, want.wait);
  }
  if (of->error != nullptr) std::rethrow_exception(of->error);
}

// Null: something has happened meanwhile, and the page may be here.
page_slot* page_core::load(lock_type& lock, const page_request& want, patience& of) {
  check_file(want.key);
  check_no_hook();
  drain();
  page_slot* const mine = begin(want.key, mixed_identity(want.key));
  if (mine == nullptr) {
    if (!wait_for_change(lock, of)) throw_exhausted(lock, want.key, want.wait);
    return nullptr;
  }
  std::exception_ptr error;
  try {
    admit(*mine);
    mine->memory = take_frame(lock, *mine, of);
    mine->load->waits_for_frame = false;
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    abandon(*mine, nullptr);
    throw;
  }
  lock.unlock();
  try {
    TENURE_CACHE_STEP();
    if (!want.is_new) read(*mine);
  } catch (...) {
    error = std::current_exception();
  }
  log_.miss(my_hazards().number);
  lock.lock();
  if (!want.is_new) ++(error == nullptr ? figures_.reads : figures_.read_failures);
  if (error != nullptr) {
    abandon(*mine, error);
    std::rethrow_exception(error);
  }
  mine->pinned_at.store(want.caller, std::memory_order_relaxed);
  open(*mine, page_state::one_pin | (want.how == page_access::write ? page_state::writer | page_state::dirty : 0));
  return mine;
}

// A slot for a page that is not here, which others find from now on, and wait for. Null when all are taken.
page_slot* page_core::begin(std::uint64_t key, std::uint64_t identity) {
  if (free_slots_.empty()) return nullptr;
  auto load = std::make_shared<page_load>();
  page_slot& slot = slots_[free_slots_.back()];
  free_slots_.pop_back();
  slot.key = key;
  slot.written_in = 0;
  slot.load = std::move(load);
  slot.identity.store(identity, std::memory_order_relaxed);
  table_.insert(identity, number_of(slot));
  return &slot;
}

void page_core::finish_load(page_slot& slot, std::exception_ptr error) noexcept {
  slot.load->error = std::move(error);
  slot.load->is_done = true;
  slot.load.reset();
  tell_waiters();
}

void page_core::open(page_slot& slot, std::uint64_t bits) noexcept {
  // Nobody else changes the state of what is closed but under the lock; the policy may have given it up already.
  const std::uint64_t aside = slot.state.load(std::memory_order_relaxed) & page_state::aside;
  slot.state.store(bits | aside, std::memory_order_release);
  ++figures_.resident_pages;
  __atomic_store_n(&use_->used_blocks, figures_.resident_pages, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_bytes, figures_.resident_pages * page_bytes_, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->allocations, use_->allocations + 1, __ATOMIC_RELAXED);
  if (use_->used_bytes > use_->peak_used_bytes) {
    __atomic_store_n(&use_->peak_used_bytes, use_->used_bytes, __ATOMIC_RELAXED);
  }
  finish_load(slot, nullptr);
}

// It comes to nothing.
void page_core::abandon(page_slot& slot, std::exception_ptr error) noexcept {
  if (slot.is_in_order) order_->erase(number_of(slot));
  slot.is_in_order = false;
  leave_aside(slot);
  if ((slot.state.load(std::memory_order_relaxed) & page_state::fresh) != 0) {
    slot_ring::take(slot);
    --prefetched_count_;
  }
  table_.erase(slot.identity.load(std::memory_order_relaxed), number_of(slot), slots_.get());
  if (slot.memory != nullptr) free_frames_.push_back(std::exchange(slot.memory, nullptr));
  slot.identity.store(0, std::memory_order_relaxed);
  slot.state.store(page_state::closed, std::memory_order_relaxed);
  free_slots_.push_back(number_of(slot));
  finish_load(slot, std::move(error));
}

void page_core::read(const page_slot& slot) {
  const page_id page = slot.page();
  const std::shared_ptr<page_file> file = file_of(page.file);
  std::size_t done = 0;
  const auto fail = [&](std::error_code code, const std::string& why) {
    throw page_io_error(code, "page pool \"" + name_ + "\": read of " + text_of(page) + ": " + why,
                        page_io_error::operation::read, page);
  };
  try {
    while (done < page_bytes_) {
      const std::size_t got = file->read(page.number * page_bytes_ + done, {slot.memory + done, page_bytes_ - done});
      if (got == 0) {
        fail(std::make_error_code(std::errc::result_out_of_range),
             "the file ends after " + std::to_string(done) + " of its " + std::to_string(page_bytes_) + " bytes");
      }
      done += std::min(got, page_bytes_ - done);
    }
  } catch (const page_io_error&) {
    throw;
  } catch (const std::system_error& error) {
    fail(error.code(), error.what());
  }
}

// --- the policy

void page_core::drain() {
  log_.drain([this](const read_log::identities& told, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      page_slot* const slot = find(told[i]);
      if (slot == nullptr || slot->load != nullptr) continue;
      if (slot->is_in_order) {
        order_->hit(number_of(*slot));
      } else if ((slot->state.load(std::memory_order_relaxed) & page_state::aside) != 0) {
        readmit(*slot);
      }
    }
  });
  log_.begin_quiet_after(quiet_hits_each * order_->count() + quiet_hits_least);
}

void page_core::try_drain() {
  const lock_type lock(lock_, std::try_to_lock);
  if (lock.owns_lock()) drain();
}

void page_core::take_given_up(void* core, std::uint32_t number) {
  auto* const self = static_cast<page_core*>(core);
  self->put_aside(self->slots_[number]);
}

void page_core::put_aside(page_slot& slot) noexcept {
  slot.is_in_order = false;
  slot.state.fetch_or(page_state::aside, std::memory_order_acq_rel);
  ++aside_count_;
  settle(slot);
}

void page_core::leave_aside(page_slot& slot) noexcept {
  if ((slot.state.load(std::memory_order_relaxed) & page_state::aside) == 0) return;
  slot.state.fetch_and(~page_state::aside, std::memory_order_relaxed);
  --aside_count_;
  if (std::exchange(slot.is_ready, false)) slot_ring::take(slot);
}

// False where the policy finds no memory for it.
bool page_core::put_in_order(page_slot& slot) noexcept {
  slot.is_in_order = true;
  try {
    order_->insert(number_of(slot), slot.identity.load(std::memory_order_relaxed), take_given_up, this);
    return true;
  } catch (const std::bad_alloc&) {
    slot.is_in_order = false;
    return false;
  }
}

// The newcomer, in front of what it may push out. Where frames are taken by what the policy does not count, another one
// goes before: afterwards the policy might choose the newcomer.
void page_core::make_way() {
  log_.end_quiet();
  const std::size_t others = aside_count_ + prefetched_count_;
  if (others != 0 && ready_.empty() && order_->count() + others >= limit_) order_->evict_one(take_given_up, this);
}

void page_core::admit(page_slot& slot) {
  make_way();
  if (!put_in_order(slot)) throw std::bad_alloc();
}

// From here on its last pin would go unseen by whoever waits for a frame, and so is waited for.
void page_core::readmit(page_slot& slot) noexcept {
  if (waiting_count_ != 0 && slot.load == nullptr &&
      slot.state.fetch_or(page_state::waited, std::memory_order_acq_rel) < page_state::one_pin) {
    tell_waiters();
  }
  leave_aside(slot);
  if (!put_in_order(slot)) put_aside(slot);
}

void page_core::take_fresh(page_slot& slot) {
  slot_ring::take(slot);
  slot.state.fetch_and(~page_state::fresh, std::memory_order_relaxed);
  --prefetched_count_;
  ++figures_.prefetch_hits;
  make_way();
  readmit(slot);
}

bool page_core::evict_one(attempt& by) {
  if (!order_->evict_one(take_given_up, this)) return false;
  if (by.newcomer != nullptr && !by.newcomer->is_in_order) by.is_newcomer_out = true;
  return true;
}

}  // namespace tenure::detail
