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

#include <tenure/cache/building.hpp>
#include <tenure/cache/departures.hpp>
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
  static constexpr std::int64_t untimed = std::numeric_limits<std::int64_t>::min();  // for `now`: nothing expires
  using listener = std::function<void(entry&)>;

  using removed = removed_entries<entry>;

  // Throws std::invalid_argument for a limit that is too low. `object_bytes`: of the cache itself.
  bounded_entries(const cache_options& options, std::uint64_t bytes, std::uint64_t entries, std::uint64_t object_bytes)
      : memory_(options.name, options.parent, checked_limit(bytes, entries), make_room, this),
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
    departures_.free_waiting();
    check_nobody_holds(memory_.name(), departures_.waiting_count());
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
  void try_drain(std::uint32_t thread) {
    const std::unique_lock hold(lock_, std::try_to_lock);
    if (hold.owns_lock()) drain(thread);
  }

  // --- changing

  // An entry that is in nobody's way yet; null where there is no room for it. `owned(e)` measures what the entry owns
  // outside of memory(); what it is going to own where `e` is null. `build(block)` builds it; `take_back(e)` gets back
  // what that took when there was no room after all.
  template <class measure, class builder, class undo>
  entry* make(std::uint64_t identity, measure owned, builder build, undo take_back) {
    cache_memory::batch batch(memory_, is_in_bytes_ ? capacity() : no_limit);
    building<entry> one(memory_);
    try {
      static_cast<void>(my_hazards());  // so that it is there from now on
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
      drain(my_hazards().number);
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
    if (!is_kept) {
      refusals_.fetch_add(1, std::memory_order_relaxed);
      gone.push(fresh, removal_cause::refused);
    }
    release(gone);
    return is_kept;
  }

  template <class predicate>
  bool remove(std::uint64_t identity, removal_cause why, predicate is_it) {
    entry* one = nullptr;
    change([&](removed& gone) {
      one = table_.find_held(identity, is_it);
      if (one != nullptr) take_out(*one, why, gone);
    });
    return one != nullptr;
  }

  void clear() {
    change([&](removed& gone) {
      leaver leave(*this, removal_cause::erased, gone);
      while (policies_.evict_one(true, leave)) {
      }
    });
  }

  void remove_expired(std::int64_t now) {
    change([&](removed& gone) {
      // Taking out moves others up: where something was found, once more from the same place. At 0 it has gone round.
      std::uint64_t cursor = 0, before = 0;
      std::size_t found = 0;
      do {
        before = cursor;
        found = sweep(cursor, now, gone);
        if (found != 0) cursor = before;
      } while (found != 0 || cursor != 0);
    });
  }

  // Bytes that came back.
  std::uint64_t trim(std::uint64_t bytes) { return trim(bytes, when_locked::wait, true); }

  void set_limit(std::uint64_t bytes, std::uint64_t entries) {
    checked_limit(bytes, entries);
    if ((bytes != no_limit) != is_in_bytes_) throw std::invalid_argument("tenure::cache: a limit in the other unit");
    memory_.set_limit(bytes);
    change([&](removed& gone) {
      entry_limit_ = entries;
      set_capacity(gone);
    });
    const std::uint64_t used = memory_.used_bytes();
    if (used > bytes) trim(used - bytes);
  }

  // --- knowing

  void tell_removals_to(listener told) { told_ = std::move(told); }
  void add_shadow(std::unique_ptr<shadow> one) { shadows_.push_back(std::move(one)); }
  template <class visitor>
  void each_shadow(visitor see) {
    change([&](removed&) {
      for (const auto& one : shadows_) see(*one);
    });
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
    all.evictions = counted_[index_of(removal_cause::evicted)] + counted_[index_of(removal_cause::pressure)];
    all.pressure_evictions = pressure_evictions_;
    all.pressure_bytes = pressure_bytes_;
    all.expirations = counted_[index_of(removal_cause::expired)];
    all.collections = counted_[index_of(removal_cause::collected)];
    all.entries = table_.count();
    all.firm_entries = policies_.firm_count();
    all.used_bytes = memory_.used_bytes();
    all.peak_used_bytes = memory_.peak_bytes();
    all.limit_bytes = memory_.limit_bytes();
    all.table_bytes = table_bytes_;
    all.policy_bytes = policies_.side_bytes();
    all.waiting_entries = departures_.waiting_count();
  }
  void check() {
    change([&](removed&) {
      table_.check();
      policies_.check();
      eviction::structure_check(policies_.count() == table_.count(), "the table and the policy hold different entries");
      eviction::structure_check(memory_.used_bytes() <= memory_.limit_bytes(), "a cache beyond its limit");
    });
  }

 private:
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

  template <class undo>
  entry* refuse(building<entry>& one, undo& take_back) {
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

  // Under the lock, when the policy has heard of everything; what goes is released afterwards.
  template <class function>
  void change(function what) {
    removed gone;
    {
      const std::lock_guard hold(lock_);
      drain();
      what(gone);
    }
    release(gone);
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

  // The hits of all threads, or of `thread` and of another one in turn.
  void drain(std::uint32_t thread) {
    log_.drain(thread, [this](const auto& told, std::size_t count) { hear_of(told, count); });
    begin_quiet_if_due();
  }
  void drain() {
    log_.drain([this](const auto& told, std::size_t count) { hear_of(told, count); });
    begin_quiet_if_due();
  }
  void hear_of(const read_log::identities& told, std::size_t count) {
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
  }
  void begin_quiet_if_due() {
    // Shadows are to see every request.
    if (shadows_.empty()) log_.begin_quiet_after(quiet_hits_each * table_.count() + quiet_hits_least);
  }

  void count_put() noexcept { puts_.store(puts_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

  static constexpr std::size_t index_of(removal_cause why) noexcept { return static_cast<std::size_t>(why); }
  void leave_table(typename Policy::node& node, removal_cause why, removed& gone) {
    auto& one = static_cast<entry&>(node);
    table_.erase(one);
    ++counted_[index_of(why)];
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
    if (is_kept) count_put();
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
    departures_.free_waiting();
    for (;;) {
      const std::uint64_t freed = before - std::min(before, memory_.used_bytes());
      if (freed >= bytes || !evict(bytes - freed, removal_cause::pressure, then, takes_firm)) return freed;
    }
  }
  // Takes out what weighs so many bytes, or all; false when there was nothing to take out or to free.
  bool evict(std::uint64_t bytes, removal_cause why, when_locked then, bool takes_firm) {
    const bool has_freed = departures_.free_waiting();
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
    if (told_) {
      gone.for_each([this](entry& one) {
        if (one.cause != removal_cause::refused) told_(one);
      });
    }
    departures_.depart(gone);
    publish();
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
  departures<entry> departures_{memory_};
  // By cause, of what was in the policy.
  std::array<std::uint64_t, static_cast<std::size_t>(removal_cause::refused) + 1> counted_{};
  std::atomic<std::uint64_t> puts_{0};  // written under the lock
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace tenure::detail
