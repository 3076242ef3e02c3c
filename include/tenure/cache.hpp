// tenure::cache<K, V>: what was dear to get, kept while there is room, under a bound that is kept to the byte.
//
//     tenure::cache<std::string, page> pages(tenure::limit_bytes{64 << 20}, {.name = "pages"});
//     auto one = pages.get_or_load("/index", [](const std::string& path) { return render(path); });
//     if (one) send(*one);                       // a handle: the page stays while it lives
//     pages.put("/about", render("/about"));
//     pages.erase("/index");
//
// The bound is in bytes that are measured, or in entries. Measured is what the heap says of every block that an entry
// takes: itself, its key, its value and what they own (cache/measure.hpp says which types that is known of; nothing is
// asked of the user). The table, the policy and the cache itself count too. At no moment, with any number of threads,
// does the cache hold a byte more than its bound: room is made before it is taken. What has been evicted counts until
// it is freed, so handles are to be kept for a short time.
//
// Which entry goes is for the policy to say (tenure/eviction.hpp): adaptive, where no other is named.
//
//   get()          a hit takes no lock and writes nothing that other threads read, besides a word when entries expire
//                  after access; a miss may have to look again while the table changes
//   get_or_load()  one load for each key at a time: others wait for it, and get what it threw. A loader gives a V or a
//                  std::optional<V>; that there is none is remembered too.
//   put()          false when the value was not kept: there was no room, or the policy finds it not worth it. Whatever
//                  was kept for the key before is gone then.
//
// A std::weak_ptr as V is a weak value, of a cache bounded in entries: when what it points to is gone, there is no
// entry any more. A value is soft where nothing else is said: it goes when memory is wanted elsewhere, in the order of
// the policy. A firm one (put(), cache_options::strength) stays then, and has the room of soft ones where it needs it.
//
// Thread-safe, apart from construction, destruction, on_removal() and add_shadow(). Loaders, listeners, and destructors
// of keys and values run without any lock held, and may use the cache. Listeners and destructors must not throw. A
// cache is a shrinker: where its account, or one above it, meets a limit, or the process is short, it evicts.
// Errors: get() throws std::bad_alloc for the first call of a thread when there is no memory at all; get_or_load() what
// the loader threw; put() what the copy of a key or value throws, apart from std::bad_alloc, which is a refusal.
//
// When: what is read more often than it changes, and can be got again. When not: what must not be lost; values of
// which many are in use at once (ref/). Cost: docs/library/cache.md.
// Source: Caffeine for policy behind buffers, refresh and single flight; the strict bound is ours.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <tenure/cache/bounded_entries.hpp>
#include <tenure/cache/flights.hpp>
#include <tenure/cache/measure.hpp>
#include <tenure/eviction/adaptive.hpp>

namespace tenure {

template <class K, class V, eviction::policy Policy = eviction::adaptive, class Hash = std::hash<K>,
          class Equal = std::equal_to<K>>
class cache : eviction::not_copied {
  using entry = detail::cache_entry<K, V, typename Policy::node>;
  using entries = detail::bounded_entries<entry, Policy>;
  static constexpr std::uint64_t no_limit = entries::no_limit;
  static constexpr bool is_measured = measurable<K> && measurable<V>;
  static constexpr bool is_weak = detail::is_weak<V>;

 public:
  using handle = detail::cache_handle<K, V, typename Policy::node>;
  // The value; null where it was remembered that there is none.
  using listener = std::function<void(const K&, const V*, removal_cause)>;

  // Throws std::invalid_argument below 128 KiB.
  explicit cache(limit_bytes limit, cache_options options = {}) : cache(std::move(options), limit.value, no_limit) {
    static_assert(
        is_measured,
        "it is not known what a K or a V owns (tenure/cache/measure.hpp): bound the cache by limit_entries, or "
        "let the type take a std::pmr::polymorphic_allocator");
  }
  // Throws std::invalid_argument for none.
  explicit cache(limit_entries limit, cache_options options = {}) : cache(std::move(options), no_limit, limit.value) {}
  // Handles must be gone; otherwise a message says how many are left, and the process ends. Listeners are not told.
  ~cache() = default;

  // --- looking

  handle get(const K& key) {
    const std::uint64_t identity = identity_of(key);
    detail::hazard_record& mine = detail::my_hazards();
    handle found = look(key, identity, mine);
    if (found.entry_ == nullptr || ((is_timed_ || is_weak) && !is_fresh(found, key, identity))) [[unlikely]] {
      entries_.log().miss(mine.number);
      return {};
    }
    if (entries_.log().hit(mine.number, identity)) [[unlikely]]
      entries_.try_drain(mine.number);
    return found;
  }
  // Counted nowhere, and the policy does not hear of it.
  bool contains(const K& key) {
    const handle found = look_again(key);
    return static_cast<bool>(found);
  }
  // What get() gives, or else what the loader gives: `loader(key)` is a V, or a std::optional<V>.
  template <class Loader>
  handle get_or_load(const K& key, Loader&& loader) {
    static_assert(!is_weak, "what a weak value points to must be somebody's before it is put: use get() and put()");
    handle found = get(key);
    if (found.entry_ != nullptr) {
      if (found.entry_->refresh_at != detail::never) refresh_if_due(found, std::forward<Loader>(loader));
      return found;
    }
    auto [flight, is_leader] = flights_.join(key, identity_of(key), [&] {
      found = look_again(key);
      return found.entry_ != nullptr;
    });
    if (flight == nullptr) return found;
    if (!is_leader) {
      joined_loads_.fetch_add(1, std::memory_order_relaxed);
      return flight->wait();
    }
    std::exception_ptr failure;
    try {
      found = load(key, loader, nullptr);
    } catch (...) {
      failure = std::current_exception();
    }
    flights_.leave(*flight);
    flight->land(found, failure);
    if (failure != nullptr) std::rethrow_exception(failure);
    return found;
  }

  // --- changing

  bool put(K key, V value) { return put_or_drop(key, std::addressof(value), options_.strength); }
  bool put(K key, V value, value_strength strength) { return put_or_drop(key, std::addressof(value), strength); }
  // Remembers that there is no value.
  bool put_absent(K key) { return put_or_drop(key, nullptr, value_strength::soft); }
  bool erase(const K& key) { return entries_.remove(identity_of(key), removal_cause::erased, same_as(key)); }
  void clear() { entries_.clear(); }
  // What has expired, or was collected, goes now, and not when it is met.
  void remove_expired() { entries_.remove_expired(now()); }
  // Evicts until so many bytes have come back, or nothing is left; firm values last. Bytes that did.
  std::uint64_t trim(std::uint64_t bytes = no_limit) { return entries_.trim(bytes); }
  // In the unit that the cache was made with, or std::invalid_argument. What no longer fits goes, held entries when
  // they are let go.
  void set_limit(limit_bytes limit) { entries_.set_limit(limit.value, no_limit); }
  void set_limit(limit_entries limit) { entries_.set_limit(no_limit, limit.value); }

  // --- knowing

  const char* name() const noexcept { return entries_.memory().name(); }
  tenure_account* account() const noexcept { return entries_.memory().account(); }
  std::uint64_t size() const noexcept { return entries_.count(); }
  // What the policy may hold, in the unit of the bound: of a bound in bytes, what is left for entries.
  std::uint64_t capacity() const noexcept { return entries_.capacity(); }

  cache_statistics statistics() const {
    cache_statistics all;
    entries_.tell(all);
    all.loads = loads_.load();
    all.load_failures = load_failures_.load();
    all.joined_loads = joined_loads_.load();
    all.refreshes = refreshes_.load();
    all.load_ns = load_ns_.load();
    return all;
  }
  // `see(key, value)` for every value, without a lock; those that come or go meanwhile may be left out.
  template <std::invocable<const K&, const V&> function>
  void for_each(function see) {
    std::uint64_t cursor = 0;
    for (bool more = true; more;) {
      std::vector<handle> some;
      some.reserve(64);
      more = entries_.visit(cursor, 64, [&](entry& one) {
        one.pin();
        some.push_back(handle(&one, nullptr));
      });
      for (const handle& one : some) {
        if (one) see(one.key(), *one);
      }
    }
  }
  // Called with each entry that goes, by the thread that made it go. To be set before the cache is used.
  void on_removal(listener told) {
    entries_.tell_removals_to(
        [told = std::move(told)](entry& one) { told(one.key, one.has_value ? &one.value : nullptr, one.cause); });
  }

  // Simulates `Shadow` of a capacity in the unit of the bound on the requests that come from now on, for one in 2^shift
  // keys; what it takes is beside the bound. To be added before the cache is used.
  template <eviction::policy Shadow>
  void add_shadow(std::uint64_t capacity, unsigned shift = 4) {
    entries_.add_shadow(std::make_unique<detail::shadow_of<Shadow>>(capacity, shift));
  }
  std::vector<shadow_statistics> shadows() {
    std::vector<shadow_statistics> all;
    entries_.each_shadow([&](const detail::shadow& one) { all.push_back(one.statistics()); });
    return all;
  }
  // The policy, for its figures: which one the adaptive runs. Not while others use the cache.
  const Policy& policy() const noexcept { return entries_.policy(); }
  // Ends the process where a structure is damaged.
  void check() { entries_.check(); }

 private:
  cache(cache_options options, std::uint64_t bytes, std::uint64_t count)
      : options_(std::move(options)),
        is_timed_(options_.expire_after_write.count() > 0 || options_.expire_after_access.count() > 0 ||
                  options_.expire_absent.count() > 0 || options_.refresh_after.count() > 0),
        entries_(options_, bytes, count, sizeof(cache)) {}

  std::uint64_t identity_of(const K& key) const {
    const std::uint64_t identity = detail::mixed_identity(static_cast<std::uint64_t>(hash_(key)));
    return identity != 0 ? identity : 1;
  }
  auto same_as(const K& key) const {
    return [this, &key](const entry& one) { return equal_(one.key, key); };
  }

  // --- looking

  handle look(const K& key, std::uint64_t identity, detail::hazard_record& mine) {
    detail::hazard_slot* const slot = mine.free_slot();
    if (slot != nullptr) [[likely]] {
      entry* const found = entries_.find(identity, *slot, same_as(key));
      return handle(found, found != nullptr ? slot : nullptr);
    }
    entry* const found = entries_.find(identity, mine.passing, same_as(key));
    if (found == nullptr) return {};
    found->pin();
    mine.passing.store(nullptr, std::memory_order_release);
    return handle(found, nullptr);
  }
  // For what has been counted already, or is not to be.
  handle look_again(const K& key) {
    handle found = look(key, identity_of(key), detail::my_hazards());
    if ((is_timed_ || is_weak) && found.entry_ != nullptr && found.entry_->is_over(now())) found.reset();
    return found;
  }

  // --- time

  std::int64_t now() const {
    if (!is_timed_) return entries::untimed;
    if (options_.clock) return options_.clock().count();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  // False for what is over, which goes; the handle first, so that it can go at once.
  bool is_fresh(handle& found, const K& key, std::uint64_t identity) {
    entry& one = *found.entry_;
    const std::int64_t at = now();
    if (one.is_over(at)) [[unlikely]] {
      const removal_cause why = one.is_collected() ? removal_cause::collected : removal_cause::expired;
      found.reset();
      entries_.remove(identity, why, [&](const entry& other) { return other.is_over(at) && equal_(other.key, key); });
      return false;
    }
    if (options_.expire_after_access.count() > 0) {
      one.access_deadline.store(after(at, options_.expire_after_access), std::memory_order_relaxed);
    }
    return true;
  }
  static std::int64_t after(std::int64_t at, cache_options::duration life) noexcept {
    return life.count() > 0 && at < detail::never - life.count() ? at + life.count() : detail::never;
  }
  void set_deadlines(entry& one, std::int64_t at) const noexcept {
    if (!is_timed_) return;
    cache_options::duration life = options_.expire_after_write;
    if (!one.has_value && options_.expire_absent.count() > 0) life = options_.expire_absent;
    if (options_.jitter > 0) {
      const std::uint64_t drawn = detail::mixed_identity(one.identity + static_cast<std::uint64_t>(at));
      const double part = static_cast<double>(drawn >> 11) / 9007199254740992.0 * options_.jitter;
      life -= cache_options::duration(static_cast<std::int64_t>(static_cast<double>(life.count()) * part));
    }
    one.write_deadline = after(at, life);
    one.access_deadline.store(after(at, options_.expire_after_access), std::memory_order_relaxed);
    if (one.has_value) one.refresh_at = after(at, options_.refresh_after);
  }

  // --- changing

  // Null where there is no room.
  entry* make(std::uint64_t identity, K& key, V* value, value_strength strength) {
    entry* const made = entries_.make(
        identity,
        [&](const entry* one) -> std::uint64_t {
          if constexpr (!is_measured) {
            return 0;
          } else if (one != nullptr) {
            return owned_bytes(one->key) + (one->has_value ? owned_bytes(one->value) : 0);
          } else {
            return owned_bytes(key) + (value != nullptr ? owned_bytes(*value) : 0);
          }
        },
        [&](void* block) { return ::new (block) entry(&entries_.memory(), key, value); },
        [&](entry& one) { one.give_back(key, value); });
    if (made == nullptr) return nullptr;
    made->is_firm = strength == value_strength::firm;
    set_deadlines(*made, now());
    return made;
  }
  bool insert(entry& fresh, const entry* over) {
    const K& key = fresh.key;
    return entries_.insert(fresh, over, now(), same_as(key));
  }
  bool put_or_drop(K& key, V* value, value_strength strength) {
    const std::uint64_t identity = identity_of(key);
    entry* const fresh = make(identity, key, value, strength);
    if (fresh != nullptr) return insert(*fresh, nullptr);
    entries_.remove(identity, removal_cause::replaced, same_as(key));
    return false;
  }

  // --- loading

  template <class Loader>
  handle load(const K& key, Loader& loader, const entry* over) {
    using loaded = std::invoke_result_t<Loader&, const K&>;
    loads_.fetch_add(1, std::memory_order_relaxed);
    const auto began = std::chrono::steady_clock::now();
    try {
      std::optional<V> value = [&]() -> std::optional<V> {
        if constexpr (std::is_same_v<std::remove_cvref_t<loaded>, std::optional<V>>)
          return loader(key);
        else
          return std::optional<V>(std::in_place, loader(key));
      }();
      count_load(began);
      return keep(key, value.has_value() ? std::addressof(*value) : nullptr, over);
    } catch (...) {
      load_failures_.fetch_add(1, std::memory_order_relaxed);
      throw;
    }
  }
  void count_load(std::chrono::steady_clock::time_point began) noexcept {
    const auto took = std::chrono::steady_clock::now() - began;
    load_ns_.fetch_add(static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count()), std::memory_order_relaxed);
  }
  // In the cache, where there is room; the callers get it in any case.
  handle keep(const K& key, V* value, const entry* over) {
    const std::uint64_t identity = identity_of(key);
    K named = key;
    entry* fresh = make(identity, named, value, value != nullptr ? options_.strength : value_strength::soft);
    if (fresh == nullptr) {
      if (over == nullptr) entries_.remove(identity, removal_cause::replaced, same_as(key));
      named = key;
      fresh = new entry(std::pmr::new_delete_resource(), named, value);
      fresh->detach();
      return handle(fresh, nullptr);
    }
    fresh->pin();
    handle kept(fresh, nullptr);
    insert(*fresh, over);
    return kept;
  }

  // A refresh that is to be done: where the old value is still in the cache at its end, the next request tries again.
  class refresh_duty : eviction::not_copied {
   public:
    explicit refresh_duty(const handle& old) noexcept : old_(old) {}
    ~refresh_duty() {
      if (!is_done_) old_.entry_->is_refreshing.store(false);
    }
    const K& key() const noexcept { return old_.key(); }
    const entry* over() const noexcept { return old_.entry_; }
    // Another entry is in place of the old one, or it is gone.
    void end() noexcept { is_done_ = true; }

   private:
    handle old_;
    bool is_done_ = false;
  };

  // By the one that comes first; all others go on with the value that there is. What a refresh throws, or the executor
  // that does not take it, is counted and otherwise nobody's.
  template <class Loader>
  void refresh_if_due(handle& old, Loader&& loader) {
    entry& one = *old.entry_;
    if (now() < one.refresh_at || one.is_refreshing.exchange(true)) return;
    refreshes_.fetch_add(1, std::memory_order_relaxed);
    if (!options_.executor) {
      refresh_duty duty(old);
      if (handle fresh = refresh(duty, loader); fresh.entry_ != nullptr) old = std::move(fresh);
      return;
    }
    bool has_duty = false;
    try {
      const auto duty = std::make_shared<refresh_duty>(old);
      has_duty = true;
      const auto shared = std::make_shared<std::decay_t<Loader>>(std::forward<Loader>(loader));
      options_.executor([this, duty, shared] { refresh(*duty, *shared); });
    } catch (...) {
      if (!has_duty) one.is_refreshing.store(false);
      load_failures_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  template <class Loader>
  handle refresh(refresh_duty& duty, Loader& loader) noexcept {
    try {
      handle fresh = load(duty.key(), loader, duty.over());
      if (!fresh.entry_->is_detached()) duty.end();
      return fresh;
    } catch (...) {
      return {};
    }
  }

  cache_options options_;
  bool is_timed_;
  [[no_unique_address]] Hash hash_;
  [[no_unique_address]] Equal equal_;
  detail::flights<K, handle, Equal> flights_;
  std::atomic<std::uint64_t> loads_{0}, load_failures_{0}, joined_loads_{0}, refreshes_{0}, load_ns_{0};
  entries entries_;
};

}  // namespace tenure
