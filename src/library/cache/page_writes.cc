// Dirty pages and their way to the file.
//
//   begin_write: one pin more, so that no writer gets in ──▶ hook ──▶ write ──▶ end_write: clean, or dirty as before
//
// Between the hook and the write nobody changes the page. An eviction writes one page; a flush asks the hook for all
// that it can have without waiting, and then begins, asks and writes a few at a time in the order that came of it: so
// a writer waits for some writes, and not for all. A flush waits for pages that have a writer with nothing in its
// hands, not even its turn, so that a thread with several pages waits for a flush and never the other way round.
#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <tenure/cache/entry_table.hpp>
#include <tenure/cache/step.hpp>

#include "core/base/check.h"
#include "library/cache/page_core.h"

namespace tenure::detail {
namespace {

thread_local const page_core* hook_of = nullptr;  // whose hook this thread is in
constexpr std::size_t most_begun = 32;            // by a flush, at a time

}  // namespace

bool page_core::begin_write(page_slot& slot, bool is_shared) noexcept {
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  do {
    constexpr std::uint64_t in_the_way = page_state::closed | page_state::writer | page_state::writing;
    if ((state & in_the_way) != 0 || (state & page_state::dirty) == 0) return false;
    if (!is_shared && state >= page_state::one_pin) return false;
  } while (!slot.state.compare_exchange_weak(state, (state + page_state::one_pin) | page_state::writing,
                                             std::memory_order_acquire, std::memory_order_relaxed));
  ++writing_count_;
  slot.failed_syncs = files_[slot.page().file].failed_syncs;
  return true;
}

// True when it is clean by that: not where a sync has failed meanwhile, which may have been told of this very write.
bool page_core::end_write(page_slot& slot, outcome what, bool is_wanted) noexcept {
  const bool is_written = what == outcome::written && slot.failed_syncs == files_[slot.page().file].failed_syncs;
  if (what == outcome::written) {
    if (is_written) slot.written_in = sync_round_;
    ++figures_.writes;
  } else if (what != outcome::skipped) {
    ++(what == outcome::vetoed ? figures_.vetoes : figures_.write_failures);
  }
  const std::uint64_t over = page_state::writing | (is_written ? page_state::dirty : 0);
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  while (!slot.state.compare_exchange_weak(state, (state - page_state::one_pin) & ~over, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
  }
  --writing_count_;
  ++writes_ended_;
  settle(slot, is_wanted);
  tell_waiters();
  return is_written;
}

// A hook that waits for a frame, or for the flush that it is part of, would wait for itself.
void page_core::check_no_hook() const {
  if (hook_of != this) return;
  throw std::logic_error("page pool \"" + name_ + "\": before_write() uses the pool that it is the hook of");
}

std::optional<std::uint64_t> page_core::ask_hook(const page_slot& slot) const {
  if (!before_write_) return 0;
  struct guard {
    explicit guard(const page_core* now) noexcept : before(std::exchange(hook_of, now)) {}
    ~guard() { hook_of = before; }
    const page_core* before;
  };
  const guard within(this);
  return before_write_(slot.page(), {slot.memory, page_bytes_});
}

void page_core::write(const page_slot& slot) {
  const page_id page = slot.page();
  const std::shared_ptr<page_file> file = file_of(page.file);
  const auto fail = [&](std::error_code code, const std::string& why) {
    throw page_io_error(code, "page pool \"" + name_ + "\": write of " + text_of(page) + ", which stays dirty: " + why,
                        page_io_error::operation::write, page);
  };
  try {
    std::size_t done = 0;
    while (done < page_bytes_) {
      const std::size_t put = file->write(page.number * page_bytes_ + done, {slot.memory + done, page_bytes_ - done});
      if (put == 0) fail(std::make_error_code(std::errc::no_space_on_device), "the file takes no more");
      done += std::min(put, page_bytes_ - done);
    }
  } catch (const page_io_error&) {
    throw;
  } catch (const std::system_error& error) {
    fail(error.code(), error.what());
  }
}

// With the lock let go.
page_core::write_result page_core::write_one(page_slot& slot) noexcept {
  try {
    TENURE_CACHE_STEP();
    if (!ask_hook(slot).has_value()) {
      return {outcome::vetoed,
              std::make_exception_ptr(page_io_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                                                    "page pool \"" + name_ + "\": before_write() does not let " +
                                                        text_of(slot.page()) + " be written, and nothing else can go",
                                                    page_io_error::operation::write, slot.page()))};
    }
    TENURE_CACHE_STEP();
    write(slot);
    return {outcome::written, nullptr};
  } catch (...) {
    return {outcome::failed, std::current_exception()};
  }
}

// --- all of them

std::vector<page_core::planned_write> page_core::dirty_pages(std::uint32_t of_file) const {
  std::vector<planned_write> plan;
  const lock_type lock = take_lock();
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    const page_slot& slot = slots_[i];
    if ((slot.state.load(std::memory_order_relaxed) & page_state::dirty) == 0 || slot.load != nullptr) continue;
    if (of_file == all_files || slot.page().file == of_file) plan.push_back({slot.key});
  }
  return plan;
}

// Begins with those that can be written now. What is clean by now is left out, and what has a writer or is being
// written is busy. `busy` has room for all.
bool page_core::begin_writes(std::span<planned_write> plan, std::vector<planned_write>& busy) noexcept {
  bool has_begun = false;
  const lock_type lock = take_lock();
  for (planned_write& each : plan) {
    page_slot* const slot = find(mixed_identity(each.key));
    if (slot == nullptr || (slot->state.load(std::memory_order_relaxed) & page_state::dirty) == 0) continue;
    if (begin_write(*slot, true)) {
      each.slot = slot;
      has_begun = true;
    } else {
      busy.push_back({each.key});
    }
  }
  return has_begun;
}

void page_core::end_planned(planned_write& of, outcome what, page_flush& so_far) noexcept {
  const lock_type lock = take_lock();
  so_far.written += end_write(*std::exchange(of.slot, nullptr), what);
  so_far.vetoed += what == outcome::vetoed;
}

// Of those that have begun; what may not be written ends.
void page_core::ask_hook_for_all(std::span<planned_write> plan, page_flush& so_far,
                                 std::exception_ptr& error) noexcept {
  for (planned_write& each : plan) {
    if (each.slot == nullptr) continue;
    try {
      const std::optional<std::uint64_t> order = ask_hook(*each.slot);
      if (order.has_value()) {
        each.order = *order;
      } else {
        end_planned(each, outcome::vetoed, so_far);
      }
    } catch (...) {
      if (error == nullptr) error = std::current_exception();
      end_planned(each, outcome::failed, so_far);
    }
  }
}

void page_core::sort_planned(std::span<planned_write> plan) noexcept {
  std::sort(plan.begin(), plan.end(), [](const planned_write& one, const planned_write& other) {
    return std::tie(one.order, one.key) < std::tie(other.order, other.key);
  });
}

// In the order that the hook gives now, and with no page begun afterwards.
void page_core::plan_in_order(std::vector<planned_write>& plan, std::vector<planned_write>& busy, page_flush& so_far,
                              std::exception_ptr& error) noexcept {
  for (planned_write& each : plan) {
    const std::span<planned_write> one(&each, 1);
    if (!begin_writes(one, busy)) continue;
    ask_hook_for_all(one, so_far, error);
    each.is_planned = each.slot != nullptr;
    if (each.is_planned) end_planned(each, outcome::skipped, so_far);
  }
  std::erase_if(plan, [](const planned_write& each) { return !each.is_planned; });
  sort_planned(plan);
}

// True when one of them could be begun. A page that has been changed since it was planned, and now comes after what is
// still to be written, is busy, too, where it may be.
bool page_core::write_planned(std::vector<planned_write>& plan, std::vector<planned_write>& busy, bool may_put_off,
                              page_flush& so_far, std::exception_ptr& error) noexcept {
  bool has_begun = false;
  sort_planned(plan);
  if (before_write_ && plan.size() > most_begun) {
    const std::size_t all = plan.size();
    plan_in_order(plan, busy, so_far, error);
    has_begun = plan.size() + busy.size() < all;
  }
  std::uint64_t last = ~std::uint64_t{0};  // nothing of a higher order any more
  for (std::size_t from = 0; from < plan.size(); from += most_begun) {
    const std::span<planned_write> some(plan.data() + from, std::min(most_begun, plan.size() - from));
    const std::size_t next = from + some.size();
    const std::uint64_t before = may_put_off && next < plan.size() ? plan[next].order : ~std::uint64_t{0};
    has_begun |= begin_writes(some, busy);
    ask_hook_for_all(some, so_far, error);
    sort_planned(some);
    for (planned_write& each : some) {
      if (each.slot == nullptr) continue;
      outcome what = outcome::skipped;
      if (each.order > before) {
        busy.push_back({each.key});
      } else if (each.order <= last) {
        try {
          TENURE_CACHE_STEP();
          write(*each.slot);
          what = outcome::written;
        } catch (...) {
          if (error == nullptr) error = std::current_exception();
          what = outcome::failed;
          last = each.order;
        }
      }
      end_planned(each, what, so_far);
    }
  }
  return has_begun;
}

page_flush page_core::flush(nanoseconds wait) { return flush(wait, all_files); }

page_flush page_core::flush(nanoseconds wait, std::uint32_t of_file) {
  check_no_hook();
  lock_type turn(flush_lock_);
  page_flush so_far;
  std::exception_ptr error;
  patience until{wait};
  std::vector<planned_write> plan = dirty_pages(of_file);
  std::vector<planned_write> busy;
  for (bool is_first = true;; is_first = false) {
    busy.clear();
    busy.reserve(plan.size());
    const bool has_begun = write_planned(plan, busy, is_first, so_far, error);
    // What came first and failed must not be passed by what comes later.
    if (busy.empty() || error != nullptr) break;
    if (!has_begun) {
      turn.unlock();
      if (!wait_for_writers(busy, until)) break;
      turn.lock();
    }
    plan.swap(busy);
  }
  so_far.busy = busy.size();
  if (error != nullptr) std::rethrow_exception(error);
  return so_far;
}

// What was let go since it was found busy is there at once.
bool page_core::wait_for_writers(const std::vector<planned_write>& busy, patience& until) {
  lock_type lock = take_lock();
  for (const planned_write& each : busy) {
    page_slot* const slot = find(mixed_identity(each.key));
    constexpr std::uint64_t in_other_hands = page_state::writer | page_state::writing;
    if (slot == nullptr || (slot->state.fetch_or(page_state::waited) & in_other_hands) == 0) return true;
  }
  return wait_for_change(lock, until);
}

// --- on the disk

// What has been written by now, and after a failure is in doubt.
void page_core::note_file_change(std::uint32_t file, std::uint64_t round, bool is_synced) noexcept {
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    page_slot& slot = slots_[i];
    if (slot.written_in == 0 || slot.page().file != file || slot.memory == nullptr || slot.load != nullptr) continue;
    if (is_synced && slot.written_in > round) continue;
    slot.written_in = 0;
    if (!is_synced) slot.state.fetch_or(page_state::dirty, std::memory_order_acq_rel);
  }
}

// Under the lock of syncs.
void page_core::sync_file(std::uint32_t file, std::uint64_t round) {
  std::shared_ptr<page_file> of;
  std::uint64_t gone = 0;
  {
    const lock_type lock = take_lock();
    of = files_[file].file;
    gone = files_[file].gone_unsynced;
  }
  if (of == nullptr) return;
  const auto settle_file = [&](bool is_synced) {
    const lock_type lock = take_lock();
    note_file_change(file, round, is_synced);
    file_entry& entry = files_[file];
    // After a failure, what has left in the meantime is in doubt, too.
    if (!is_synced) gone = entry.gone_unsynced;
    if (!is_synced) ++entry.failed_syncs;
    entry.gone_unsynced -= gone;
  };
  try {
    of->sync();
  } catch (const std::system_error& error) {
    settle_file(false);
    std::string why = "page pool \"" + name_ + "\": sync of " + of->name() + ": " + error.what() +
                      "; what was written since the last one is dirty again";
    if (gone != 0) why += ", apart from " + std::to_string(gone) + " pages that have left the pool and are in doubt";
    throw page_io_error(error.code(), why, page_io_error::operation::sync, {file, 0});
  } catch (...) {
    settle_file(false);
    throw;
  }
  settle_file(true);
}

// Under the lock.
bool page_core::has_unsynced(std::uint32_t file) const noexcept {
  if (files_[file].gone_unsynced != 0) return true;
  return std::any_of(slots_.get(), slots_.get() + slot_count_, [file](const page_slot& slot) {
    return slot.written_in != 0 && slot.memory != nullptr && slot.page().file == file;
  });
}

void page_core::sync_unsynced(std::uint32_t file) {
  const lock_type alone(sync_lock_);
  std::uint64_t round = 0;
  {
    const lock_type lock = take_lock();
    if (file >= files_.size() || !has_unsynced(file)) return;
    round = sync_round_++;
  }
  sync_file(file, round);
}

void page_core::sync() {
  const lock_type alone(sync_lock_);
  std::size_t files = 0;
  std::uint64_t round = 0;
  {
    const lock_type lock = take_lock();
    files = files_.size();
    round = sync_round_++;
  }
  std::exception_ptr error;
  for (std::size_t file = 0; file < files; ++file) {
    try {
      sync_file(static_cast<std::uint32_t>(file), round);
    } catch (...) {
      if (error == nullptr) error = std::current_exception();
    }
  }
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace tenure::detail
