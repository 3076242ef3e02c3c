// The entries of a cache, in their table and in their policy, within the bound.
//
//   put:  make() the entry, its bytes reserved as it is built   --lock-->  the policy makes room, the entry is found
//         what had to go is told and freed, with no lock held   <--------
//   get:  table without a lock; the hit goes to the log, and from there to the policy (read_log.hpp)
//
// Of a bound in bytes the policy has what is left after the cache itself, the table, the policy's own memory, and one
// part in 64 that lets entries be built before the policy has made room for them. Where that does not do, entries go at
// once. What has been taken out and is still held by readers waits in a list, and counts.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <tenure/cache/entry.hpp>
#include <tenure/cache/entry_table.hpp>
#include <tenure/cache/lock.hpp>
#include <tenure/cache/memory.hpp>
#include <tenure/cache/options.hpp>
#include <tenure/cache/read_log.hpp>
#include <tenure/cache/shadow.hpp>
#include <tenure/cache/strengths.hpp>

namespace tenure::detail {

template <class entry, eviction::policy Policy>
class bounded_entries : eviction::not_copied {
 public:
  static constexpr std::uint64_t no_limit = cache_memory::no_limit;
  static constexpr std::uint64_t least_limit_bytes = 128 * 1024;
  static constexpr std::int64_t untimed = std::numeric_limits<std::int64_t>::min();  // for `now`: nothing expires
  using listener = std::function<void(entry&)>;

  using removed = removed_entries<entry>;

  // Throws std::invalid_argument for a limit that is too low. `object_bytes`: of the cache itself.
  bounded_entries(const cache_options& options, std::uint64_t bytes, std::uint64_t entries, std::uint64_t object_bytes)
      : memory_(options.name, options.parent, checked(bytes, entries), make_room, this),
        is_in_bytes_(bytes != no_limit),
        entry_limit_(entries),
        first_reserve_(!is_in_bytes_               ? 0
                       : options.policy_bytes != 0 ? options.policy_bytes
                                                   : bytes / 16),
        policy_reserve_(first_reserve_),
        table_bytes_(table_.least_bytes),
        counted_bytes_(object_bytes + sizeof(Policy) + first_reserve_ + table_bytes_),
        capacity_(capacity_of(bytes)),
        policies_(capacity(), policy_limit(first_reserve_)) {
    if (!memory_.take(counted_bytes_)) throw std::bad_alloc();
    shrinker_ = tenure_shrinker_register(memory_.account(), options.shrink_priority, shrink, this);
  }
  // Nobody uses it any more.
  ~bounded_entries() {
    tenure_shrinker_unregister(shrinker_);
    told_ = nullptr;
    removed gone;
    std::uint64_t cursor = 0;
    while (table_.visit(cursor, 1024, [&](entry& one) { gone.push(one, removal_cause::erased); })) {
    }
    release(gone);
    free_waiting();
    check_nobody_holds(memory_.name(), waiting_count_.load());
    memory_.give(counted_bytes_);
  }

  cache_memory& memory() noexcept { return memory_; }
  const cache_memory& memory() const noexcept { return memory_; }
  read_log& log() noexcept { return log_; }

  // --- looking, without a lock

  template <class predicate>
  entry* find(std::uint64_t identity, hazard_slot& hazard, predicate is_it) noexcept {
    return table_.find(identity, hazard, is_it);
  }
  void try_drain() {
    const std::unique_lock hold(lock_, std::try_to_lock);
    if (hold.owns_lock()) drain();
  }

  // --- changing

  // An entry that is in nobody's way yet; null where there is no room for it. `owned(e)` measures what the entry owns
  // outside of memory(); what it is going to own where `e` is null. `build(block)` builds it; `take_back(e)` gets back
  // what that took when there was no room after all.
  template <class measure, class builder, class undo>
  entry* make(std::uint64_t identity, measure owned, builder build, undo take_back) {
    cache_memory::batch batch(memory_, is_in_bytes_ ? capacity() : no_limit);
    building one(memory_);
    try {
      one.block = memory_.allocate(sizeof(entry), alignof(entry));
      if (one.own(owned(nullptr))) {
        one.made = build(one.block);
        if (one.own(owned(one.made)) && set_weight(*one.made, identity, batch.net_bytes()) && batch.settle()) {
          return one.finished();
        }
      }
    } catch (const std::bad_alloc&) {
      // No room in the cache, or no memory at all: the value is not kept either way.
      return refuse(one, take_back);
    }
    return refuse(one, take_back);
  }

  // Takes the entry over; false when it is not kept. Where `over` is given, only in its place. `is_same` finds the
  // entry that it replaces.
  template <class predicate>
  bool insert(entry& fresh, const entry* over, std::int64_t now, predicate is_same) {
    removed gone;
    bool is_kept = false;
    while (!fresh.is_firm || have_firm_policy(gone)) {
      std::unique_lock hold(lock_);
      drain();
      entry* const before = table_.find_held(fresh.identity, is_same);
      if (before == nullptr && table_.growth_bytes(fresh.identity) != 0) {
        const bool is_full = table_.is_full(fresh.identity);
        hold.unlock();
        if (grow(fresh.identity)) continue;
        if (is_full) break;
        hold.lock();
        if (table_.is_full(fresh.identity) || table_.find_held(fresh.identity, is_same) != nullptr) continue;
      }
      if (over != nullptr && before != over) break;
      is_kept = place(fresh, before, gone);
      sweep(sweep_cursor_, now, gone);
      break;
    }
    (is_kept ? puts_ : refusals_).fetch_add(1, std::memory_order_relaxed);
    if (!is_kept) gone.push(fresh, removal_cause::refused);
    release(gone);
    return is_kept;
  }

  template <class predicate>
  bool remove(std::uint64_t identity, removal_cause why, predicate is_it) {
    removed gone;
    {
      const std::lock_guard hold(lock_);
      drain();
      entry* const one = table_.find_held(identity, is_it);
      if (one == nullptr) return false;
      take_out(*one, why, gone);
    }
    release(gone);
    return true;
  }

  void clear() {
    removed gone;
    {
      const std::lock_guard hold(lock_);
      drain();
      leaver leave(*this, removal_cause::erased, gone);
      while (policies_.evict_one(true, leave)) {
      }
    }
    release(gone);
  }

  void remove_expired(std::int64_t now) {
    removed gone;
    {
      const std::lock_guard hold(lock_);
      drain();
      // Taking out moves others up: where something was found, once more from the same place. At 0 it has gone round.
      std::uint64_t cursor = 0, before = 0;
      std::size_t found = 0;
      do {
        before = cursor;
        found = sweep(cursor, now, gone);
        if (found != 0) cursor = before;
      } while (found != 0 || cursor != 0);
    }
    release(gone);
  }

  // Bytes that came back.
  std::uint64_t trim(std::uint64_t bytes) { return trim(bytes, when_locked::wait, true); }

  void set_limit(std::uint64_t bytes, std::uint64_t entries) {
    checked(bytes, entries);
    if ((bytes != no_limit) != is_in_bytes_) throw std::invalid_argument("tenure::cache: a limit in the other unit");
    memory_.set_limit(bytes);
    removed gone;
    {
      const std::lock_guard hold(lock_);
      entry_limit_ = entries;
      drain();
      set_capacity(gone);
    }
    release(gone);
    const std::uint64_t used = memory_.used_bytes();
    if (used > bytes) trim(used - bytes);
  }

  // --- knowing

  void tell_removals_to(listener told) { told_ = std::move(told); }
  void add_shadow(std::unique_ptr<shadow> one) { shadows_.push_back(std::move(one)); }
  template <class visitor>
  void each_shadow(visitor see) {
    const std::lock_guard hold(lock_);
    drain();
    for (const auto& one : shadows_) see(*one);
  }
  template <class visitor>
  bool visit(std::uint64_t& cursor, std::size_t most, visitor see) {
    const std::lock_guard hold(lock_);
    return table_.visit(cursor, most, see);
  }
  std::uint64_t count() const noexcept { return table_.count(); }
  std::uint64_t capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }
  const Policy& policy() const noexcept { return policies_.soft(); }

  void tell(cache_statistics& all) const {
    const std::lock_guard hold(lock_);
    all.hits = log_.hits();
    all.misses = log_.misses();
    all.puts = puts_.load();
    all.refusals = refusals_.load();
    all.evictions = evictions_.load();
    all.pressure_evictions = pressure_evictions_;
    all.pressure_bytes = pressure_bytes_;
    all.expirations = expirations_.load();
    all.collections = collections_.load();
    all.entries = table_.count();
    all.firm_entries = policies_.firm_count();
    all.used_bytes = memory_.used_bytes();
    all.peak_used_bytes = memory_.peak_bytes();
    all.limit_bytes = memory_.limit_bytes();
    all.table_bytes = table_bytes_;
    all.policy_bytes = policies_.side_bytes();
    all.waiting_entries = waiting_count_.load();
  }
  void check() {
    const std::lock_guard hold(lock_);
    drain();
    table_.check();
    policies_.check();
    eviction::structure_check(policies_.count() == table_.count(), "the table and the policy hold different entries");
    eviction::structure_check(memory_.used_bytes() <= memory_.limit_bytes(), "a cache beyond its limit");
  }

 private:
  // An entry that may come to nothing: then everything is given back.
  struct building {
    explicit building(cache_memory& from) noexcept : memory(&from) {}
    building(const building&) = delete;
    building& operator=(const building&) = delete;
    ~building() {
      if (made != nullptr) made->~entry();
      if (owned != 0) memory->give(owned);
      if (block != nullptr) memory->deallocate(block, sizeof(entry), alignof(entry));
    }
    bool own(std::uint64_t bytes) noexcept {
      if (bytes > owned && !memory->take(bytes - owned)) return false;
      if (bytes < owned) memory->give(owned - bytes);
      owned = bytes;
      return true;
    }
    entry* finished() noexcept {
      block = nullptr;
      made->owned_bytes = std::exchange(owned, 0);
      return std::exchange(made, nullptr);
    }
    cache_memory* memory;
    void* block = nullptr;
    entry* made = nullptr;
    std::uint64_t owned = 0;
  };

  // What policies hand what they give up to: one type for all, so that each policy is compiled for it once.
  struct leaver {
    leaver(bounded_entries& from, removal_cause cause, removed& to) noexcept : of(from), why(cause), gone(to) {}
    void operator()(typename Policy::node& node) noexcept {
      if (&node == static_cast<typename Policy::node*>(fresh)) {
        fresh = nullptr;
        return;
      }
      const auto& one = static_cast<entry&>(node);
      taken_bytes += std::max<std::uint64_t>(one.owned_bytes + sizeof(entry), one.weight);
      of.leave_table(node, why, gone);
    }
    bounded_entries& of;
    removal_cause why;
    removed& gone;
    entry* fresh = nullptr;  // the newcomer, which is in no table; null once the policy refuses it
    std::uint64_t taken_bytes = 0;
  };

  // A shrinker must not wait: the lock may be this thread's own, where the policy took memory and the process was
  // short.
  enum class when_locked { wait, leave };

  // By then the policy knows what is asked for how often.
  static constexpr std::uint64_t quiet_hits_each = 8, quiet_hits_least = 4096;
  // That many wait without anybody looking whether they still have to.
  static constexpr std::uint64_t least_waiting = 8;

  static std::uint64_t checked(std::uint64_t bytes, std::uint64_t entries) {
    if (bytes < least_limit_bytes) throw std::invalid_argument("tenure::cache: a limit below 128 KiB");
    if (entries == 0) throw std::invalid_argument("tenure::cache: a limit of no entries");
    return bytes;
  }

  template <class undo>
  entry* refuse(building& one, undo& take_back) {
    if (one.made != nullptr) take_back(*one.made);
    refusals_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }

  bool set_weight(entry& one, std::uint64_t identity, std::int64_t bytes) const noexcept {
    one.identity = identity;
    if (!is_in_bytes_) return true;
    if (bytes > std::int64_t{std::numeric_limits<std::uint32_t>::max()}) return false;
    one.weight = static_cast<std::uint32_t>(bytes);
    return one.weight <= capacity();
  }

  // --- under the lock

  std::uint64_t capacity_of(std::uint64_t bytes) const noexcept {
    if (!is_in_bytes_) return entry_limit_;
    const std::uint64_t fixed = counted_bytes_ + bytes / 64;
    return fixed < bytes ? bytes - fixed : 0;
  }
  void set_capacity(removed& gone) {
    capacity_.store(capacity_of(memory_.limit_bytes()), std::memory_order_relaxed);
    leaver leave(*this, removal_cause::evicted, gone);
    policies_.set_capacity(capacity(), leave);
  }
  std::size_t policy_limit(std::uint64_t reserve) const noexcept { return is_in_bytes_ ? reserve : eviction::no_limit; }

  void drain() {
    log_.drain([this](const read_log::identities& told, std::size_t count) {
      std::array<entry*, read_log::kept> found;
      for (std::size_t i = 0; i < count; ++i) table_.prefetch(told[i]);
      for (std::size_t i = 0; i < count; ++i) {
        found[i] = table_.find_held(told[i], [](const entry&) { return true; });
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (found[i] == nullptr) continue;
        policies_.hit(*found[i]);
        for (const auto& one : shadows_) one->access(found[i]->identity, found[i]->weight);
      }
    });
    // Shadows are to see every request.
    if (shadows_.empty()) log_.begin_quiet_after(quiet_hits_each * table_.count() + quiet_hits_least);
  }

  void leave_table(typename Policy::node& node, removal_cause why, removed& gone) {
    auto& one = static_cast<entry&>(node);
    table_.erase(one);
    gone.push(one, why);
  }
  void take_out(entry& one, removal_cause why, removed& gone) {
    policies_.erase(one);
    leave_table(one, why, gone);
  }

  bool place(entry& fresh, entry* before, removed& gone) {
    log_.end_quiet();
    if (before != nullptr) policies_.erase(*before);
    leaver leave(*this, removal_cause::evicted, gone);
    leave.fresh = &fresh;
    policies_.insert(fresh, leave);
    const bool is_kept = leave.fresh != nullptr;
    for (const auto& one : shadows_) one->access(fresh.identity, fresh.weight);
    if (before != nullptr && is_kept) {
      table_.replace(*before, fresh);
    } else if (before != nullptr) {
      table_.erase(*before);
    } else if (is_kept) {
      table_.insert(fresh);
    }
    if (before != nullptr) gone.push(*before, removal_cause::replaced);
    return is_kept;
  }

  // Takes out what is over in the next few slots, and tells how many that were.
  std::size_t sweep(std::uint64_t& cursor, std::int64_t now, removed& gone) {
    if (now == untimed && !entry::is_weak_entry) return 0;
    std::array<entry*, 16> over;
    std::size_t count = 0;
    table_.visit(cursor, over.size(), [&](entry& one) {
      if (one.is_over(now)) over[count++] = &one;
    });
    for (std::size_t i = 0; i < count; ++i) {
      take_out(*over[i], over[i]->is_collected() ? removal_cause::collected : removal_cause::expired, gone);
    }
    return count;
  }

  // --- without the lock

  // False where there is no room for a larger table.
  bool grow(std::uint64_t identity) {
    std::unique_lock hold(lock_);
    const std::size_t bytes = table_.growth_bytes(identity);
    hold.unlock();
    if (bytes == 0) return true;
    if (!memory_.take(bytes)) return false;
    void* const table = make_table(bytes);
    if (table == nullptr) {
      memory_.give(bytes);
      return false;
    }
    removed gone;
    hold.lock();
    const bool is_wanted = table_.growth_bytes(identity) == bytes;
    std::uint64_t back = bytes;
    if (is_wanted) {
      back = table_.grow(identity, table, bytes);
      counted_bytes_ += bytes - back;
      table_bytes_ += bytes - back;
      if (is_in_bytes_) set_capacity(gone);
    }
    hold.unlock();
    if (!is_wanted) free_table(table, bytes);
    memory_.give(back);
    release(gone);
    return true;
  }

  // The second policy, with a reserve of its own. False where there is no room for that.
  bool have_firm_policy(removed& gone) {
    if (has_firm_policy_.load(std::memory_order_acquire)) return true;
    const std::uint64_t taken = first_reserve_ + sizeof(Policy);
    if (!memory_.take(taken)) return false;
    std::unique_ptr<Policy> made;
    try {
      made = std::make_unique<Policy>(capacity(), policy_limit(first_reserve_));
    } catch (const std::bad_alloc&) {
      memory_.give(taken);
      return false;
    }
    std::unique_lock hold(lock_);
    if (!policies_.has_firm()) {
      policies_.add_firm(std::move(made));
      counted_bytes_ += taken;
      policy_reserve_.fetch_add(first_reserve_, std::memory_order_relaxed);
      set_capacity(gone);
      has_firm_policy_.store(true, std::memory_order_release);
      return true;
    }
    hold.unlock();
    memory_.give(taken);
    return true;
  }

  std::uint64_t trim(std::uint64_t bytes, when_locked then, bool takes_firm) {
    // No destructor runs with the lock held: then not even what waits is freed.
    if (then == when_locked::leave) {
      if (!lock_.try_lock()) return 0;
      lock_.unlock();
    }
    const std::uint64_t before = memory_.used_bytes();
    free_waiting();
    for (;;) {
      const std::uint64_t freed = before - std::min(before, memory_.used_bytes());
      if (freed >= bytes || !evict(bytes - freed, removal_cause::pressure, then, takes_firm)) return freed;
    }
  }
  // Takes out what weighs so many bytes, or all; false when there was nothing to take out or to free.
  bool evict(std::uint64_t bytes, removal_cause why, when_locked then, bool takes_firm) {
    const bool has_freed = free_waiting();
    removed gone;
    {
      std::unique_lock hold(lock_, std::defer_lock);
      if (then == when_locked::wait) hold.lock();
      if (!hold.owns_lock() && !hold.try_lock()) return has_freed;
      drain();
      const std::uint64_t before = table_.count();
      leaver leave(*this, why, gone);
      while (leave.taken_bytes < bytes && policies_.evict_one(takes_firm, leave)) {
      }
      if (why == removal_cause::pressure) {
        pressure_evictions_ += before - table_.count();
        pressure_bytes_ += leave.taken_bytes;
      }
    }
    const bool has_taken = !gone.empty();
    release(gone);
    return has_taken || has_freed;
  }

  static bool make_room(void* self, std::uint64_t bytes) {
    return static_cast<bounded_entries*>(self)->evict(bytes, removal_cause::evicted, when_locked::wait, true);
  }
  static std::uint64_t shrink(void* self, const tenure_pressure* why) {
    return static_cast<bounded_entries*>(self)->trim(why->wanted_bytes, when_locked::leave, false);
  }

  // Told, and freed or left to wait for their readers.
  void release(removed& gone) {
    if (gone.empty()) return publish();
    removed free;
    while (entry* const one = gone.pop()) {
      if (one->cause == removal_cause::expired) expirations_.fetch_add(1, std::memory_order_relaxed);
      if (one->cause == removal_cause::collected) collections_.fetch_add(1, std::memory_order_relaxed);
      if (one->cause == removal_cause::evicted || one->cause == removal_cause::pressure) {
        evictions_.fetch_add(1, std::memory_order_relaxed);
      }
      if (told_ && one->cause != removal_cause::refused) told_(*one);
      if (one->is_in_use()) {
        wait_for_readers(*one);
      } else {
        free.push(*one, one->cause);
      }
    }
    destroy(free);
    // Somebody may have let go of what waits, and nobody else looks where the bound is no matter of bytes.
    if (waiting_count_.load(std::memory_order_relaxed) >= waiting_looked_at_.load(std::memory_order_relaxed))
      free_waiting();
    publish();
  }

  void destroy(removed& free) {
    cache_memory::batch batch(memory_);
    while (entry* const one = free.pop()) {
      const std::uint64_t owned = one->owned_bytes;
      one->~entry();
      if (owned != 0) memory_.give(owned);
      memory_.deallocate(one, sizeof(entry), alignof(entry));
    }
  }

  void wait_for_readers(entry& one) {
    const std::lock_guard hold(waiting_lock_);
    waiting_.push(one, one.cause);
    waiting_count_.fetch_add(1, std::memory_order_relaxed);
  }

  // False when all are still held.
  bool free_waiting() {
    if (waiting_count_.load(std::memory_order_relaxed) == 0) return false;
    removed free, held;
    {
      const std::lock_guard hold(waiting_lock_);
      while (entry* const one = waiting_.pop()) {
        if (one->is_in_use()) {
          held.push(*one, one->cause);
        } else {
          free.push(*one, one->cause);
          waiting_count_.fetch_sub(1, std::memory_order_relaxed);
        }
      }
      while (entry* const one = held.pop()) waiting_.push(*one, one->cause);
      // As much again may come before the next look, so that each that waits is looked at a few times only.
      waiting_looked_at_.store(2 * waiting_count_.load(std::memory_order_relaxed) + least_waiting,
                               std::memory_order_relaxed);
    }
    const bool has_freed = !free.empty();
    destroy(free);
    return has_freed;
  }

  // What is set aside for the policy is held by the cache, and not in use.
  void publish() noexcept {
    const std::uint64_t used = memory_.used_bytes();
    const std::uint64_t reserved = policy_reserve_.load(std::memory_order_relaxed);
    memory_.publish(used - std::min(used, reserved), table_.count(), puts_.load(std::memory_order_relaxed));
  }

  cache_memory memory_;
  mutable cache_lock lock_;
  entry_table<entry> table_;
  const bool is_in_bytes_;
  std::uint64_t entry_limit_;
  const std::uint64_t first_reserve_;
  std::atomic<std::uint64_t> policy_reserve_;
  std::uint64_t table_bytes_;
  std::uint64_t counted_bytes_;  // all but entries
  std::atomic<std::uint64_t> capacity_;
  strengths<entry, Policy> policies_;
  std::atomic<bool> has_firm_policy_{false};
  read_log log_;
  std::vector<std::unique_ptr<shadow>> shadows_;
  listener told_;
  std::uint64_t sweep_cursor_ = 0;
  std::uint64_t pressure_evictions_ = 0, pressure_bytes_ = 0;
  tenure_shrinker shrinker_ = 0;

  cache_lock waiting_lock_;
  removed waiting_;
  std::atomic<std::uint64_t> waiting_count_{0};
  std::atomic<std::uint64_t> waiting_looked_at_{least_waiting};

  std::atomic<std::uint64_t> puts_{0}, refusals_{0}, evictions_{0}, expirations_{0}, collections_{0};
};

}  // namespace tenure::detail
