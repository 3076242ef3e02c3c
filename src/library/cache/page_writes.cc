// Dirty pages and their way to the file.
//
//   begin_write: one pin more, so that no writer gets in ──▶ hook ──▶ write ──▶ end_write: clean, or dirty as before
//
// Between the hook and the write nobody changes the page. An eviction writes one page; a flush begins with all that it
// can have without waiting, asks the hook for each, and writes them in order. It waits for those that have a writer
// with nothing in its hands, so that a thread with several pages waits for a flush and never the other way round.
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

std::vector<std::uint64_t> page_core::dirty_keys(std::uint32_t of_file) const {
  std::vector<std::uint64_t> keys;
  const lock_type lock = take_lock();
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    const page_slot& slot = slots_[i];
    if ((slot.state.load(std::memory_order_relaxed) & page_state::dirty) == 0 || slot.load != nullptr) continue;
    if (of_file == all_files || slot.page().file == of_file) keys.push_back(slot.key);
  }
  return keys;
}

// Those that can be written now. What is clean by now is left out, and what has a writer or is being written is busy.
std::vector<page_core::planned_write> page_core::begin_writes(std::vector<std::uint64_t>& keys,
                                                              std::vector<std::uint64_t>& busy) {
  std::vector<planned_write> begun;
  begun.reserve(keys.size());
  busy.clear();
  busy.reserve(keys.size());
  const lock_type lock = take_lock();
  for (const std::uint64_t key : keys) {
    page_slot* const slot = find(mixed_identity(key));
    if (slot == nullptr || (slot->state.load(std::memory_order_relaxed) & page_state::dirty) == 0) continue;
    if (begin_write(*slot, true)) {
      begun.push_back({slot, 0});
    } else {
      slot->state.fetch_or(page_state::waited, std::memory_order_relaxed);
      busy.push_back(key);
    }
  }
  return begun;
}

// Nothing here may fail for want of memory before all that has begun has ended.
void page_core::ask_hook_for_all(std::vector<planned_write>& plan, page_flush& so_far, std::exception_ptr& error) {
  for (planned_write& each : plan) {
    outcome what = outcome::vetoed;
    try {
      const std::optional<std::uint64_t> order = ask_hook(*each.slot);
      if (order.has_value()) {
        each.order = *order;
        continue;
      }
      ++so_far.vetoed;
    } catch (...) {
      if (error == nullptr) error = std::current_exception();
      what = outcome::failed;
    }
    const lock_type lock = take_lock();
    end_write(*std::exchange(each.slot, nullptr), what);
  }
  std::erase_if(plan, [](const planned_write& each) { return each.slot == nullptr; });
}

void page_core::write_in_order(std::vector<planned_write>& plan, page_flush& so_far, std::exception_ptr& error) {
  ask_hook_for_all(plan, so_far, error);
  std::sort(plan.begin(), plan.end(), [](const planned_write& one, const planned_write& other) {
    return std::tie(one.order, one.slot->key) < std::tie(other.order, other.slot->key);
  });
  std::uint64_t last = ~std::uint64_t{0};  // nothing of a higher order any more
  for (const planned_write& each : plan) {
    outcome what = outcome::skipped;
    if (each.order <= last) {
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
    const lock_type lock = take_lock();
    so_far.written += end_write(*each.slot, what);
  }
}

page_flush page_core::flush(nanoseconds wait) { return flush(wait, all_files); }

page_flush page_core::flush(nanoseconds wait, std::uint32_t of_file) {
  check_no_hook();
  const lock_type alone(flush_lock_);
  page_flush so_far;
  std::exception_ptr error;
  patience until{wait};
  std::vector<std::uint64_t> keys = dirty_keys(of_file);
  std::vector<std::uint64_t> busy;
  for (;;) {
    std::vector<planned_write> begun = begin_writes(keys, busy);
    const bool is_waiting = begun.empty();
    write_in_order(begun, so_far, error);
    // What came first and failed must not be passed by what comes later.
    if (busy.empty() || error != nullptr) break;
    if (is_waiting) {
      lock_type lock = take_lock();
      // What was let go since it was found busy is there at once.
      const bool is_still_busy = std::all_of(busy.begin(), busy.end(), [this](std::uint64_t key) {
        const page_slot* const slot = find(mixed_identity(key));
        return slot != nullptr && (slot->state.load() & (page_state::writer | page_state::writing)) != 0;
      });
      if (is_still_busy && !wait_for_change(lock, until)) break;
    }
    keys = busy;
  }
  so_far.busy = busy.size();
  if (error != nullptr) std::rethrow_exception(error);
  return so_far;
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
