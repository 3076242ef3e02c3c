// An entry of a cache, and the handle that keeps it while somebody looks at its value.
//
//   entry   [ policy's node 32..48 | pins, flags | owned | times | next | key | value ]    one block
//
// A handle holds its entry by a hazard slot of the thread that asked (hazards.hpp); when those are used up, or when it
// is copied, by a count in the entry. An entry that was taken out of the cache is freed, by the cache, when neither is
// left.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <utility>

#include <tenure/cache/hazards.hpp>
#include <tenure/cache/options.hpp>
#include <tenure/cache/step.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure {

template <class K, class V, eviction::policy Policy, class Hash, class Equal>
class cache;

}  // namespace tenure

namespace tenure::detail {

inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

template <class V>
inline constexpr bool is_weak = false;
template <class T>
inline constexpr bool is_weak<std::weak_ptr<T>> = true;

template <class K, class V, class node>
struct cache_entry : node {
  static constexpr std::uint32_t detached = std::uint32_t{1} << 31;
  std::atomic<std::uint32_t> pins{0};  // how many, and `detached`
  std::atomic<bool> is_refreshing{false};
  static constexpr bool is_weak_entry = is_weak<V>;
  bool has_value = false;
  removal_cause cause{};
  bool is_firm = false;
  std::uint64_t owned_bytes = 0;
  std::int64_t write_deadline = never;
  std::atomic<std::int64_t> access_deadline{never};
  std::int64_t refresh_at = never;
  cache_entry* next = nullptr;  // of those that were taken out
  union {
    K key;
  };
  union {
    V value;
  };

  using allocator = std::pmr::polymorphic_allocator<>;

  // Without a value where `from` is null.
  cache_entry(const allocator& memory, K& named, V* from) {
    construct(std::addressof(key), memory, named);
    if (from == nullptr) return;
    try {
      construct(std::addressof(value), memory, *from);
    } catch (...) {
      give_back(named, key);
      std::destroy_at(std::addressof(key));
      throw;
    }
    has_value = true;
  }
  ~cache_entry() {
    if (has_value) std::destroy_at(std::addressof(value));
    std::destroy_at(std::addressof(key));
  }
  cache_entry(const cache_entry&) = delete;
  cache_entry& operator=(const cache_entry&) = delete;

  bool is_expired(std::int64_t now) const noexcept {
    return now >= write_deadline || now >= access_deadline.load(std::memory_order_relaxed);
  }
  // Of a weak value: what it points to is gone.
  bool is_collected() const noexcept {
    if constexpr (is_weak<V>) return has_value && value.expired();
    return false;
  }
  bool is_over(std::int64_t now) const noexcept { return is_collected() || is_expired(now); }
  // Only what is in the cache, or held already.
  void pin() noexcept { pins.fetch_add(1, std::memory_order_relaxed); }
  // The cache may free the entry as soon as the count is down: nothing of it is read after that.
  void unpin() noexcept {
    const std::uint32_t before = pins.fetch_sub(1, std::memory_order_acq_rel);
    TENURE_CACHE_STEP();
    if (before == detached + 1) delete this;
  }
  // It never gets into a cache, and is not counted: the last pin frees it. Its maker's pin is the first.
  void detach() noexcept { pins.store(detached + 1, std::memory_order_relaxed); }
  bool is_detached() const noexcept { return (pins.load(std::memory_order_relaxed) & detached) != 0; }
  bool is_pinned() const noexcept { return pins.load(std::memory_order_acquire) != 0; }

  // Of an entry that comes to nothing: what its constructor was given is as it was.
  void give_back(K& named, V* from) noexcept {
    give_back(named, key);
    if (has_value) give_back(*from, value);
  }

 private:
  // What takes an allocator is copied where it can be, so that `from` is as it was when there is no room.
  template <class T>
  static constexpr bool is_copied = std::uses_allocator_v<T, allocator>&& std::is_copy_constructible_v<T>;

  template <class T>
  static void construct(T* at, const allocator& memory, T& from) {
    if constexpr (is_copied<T>) {
      std::uninitialized_construct_using_allocator(at, memory, std::as_const(from));
    } else {
      std::uninitialized_construct_using_allocator(at, memory, std::move(from));
    }
  }
  template <class T>
  static void give_back(T& to, T& made) noexcept {
    if constexpr (!is_copied<T> && std::is_nothrow_move_constructible_v<T>) {
      std::destroy_at(std::addressof(to));
      std::construct_at(std::addressof(to), std::move(made));
    } else if constexpr (!is_copied<T> && std::is_move_assignable_v<T>) {
      to = std::move(made);
    }
  }
};

// Entries that were taken out, in the order of that.
template <class entry>
class removed_entries : eviction::not_copied {
 public:
  void push(entry& one, removal_cause why) noexcept {
    one.cause = why;
    one.next = nullptr;
    *end_ = &one;
    end_ = &one.next;
  }
  entry* pop() noexcept {
    entry* const one = first_;
    if (one == nullptr) return nullptr;
    first_ = one->next;
    if (first_ == nullptr) end_ = &first_;
    return one;
  }
  bool empty() const noexcept { return first_ == nullptr; }
  // Those that are there; none may be taken out meanwhile.
  template <class function>
  void for_each(function see) const {
    for (entry* one = first_; one != nullptr; one = one->next) see(*one);
  }

 private:
  entry* first_ = nullptr;
  entry** end_ = &first_;
};

// What get() returns. True when there is a value; it stays as it is for as long as the handle lives. Cheap to make, to
// be kept for a short time: what it holds is counted, so a cache whose values are all held has room for no other. A
// handle may be moved and copied to other threads. It must be gone before the cache.
template <class K, class V, class node>
class cache_handle {
  using entry = cache_entry<K, V, node>;

 public:
  cache_handle() noexcept = default;
  cache_handle(cache_handle&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}
  cache_handle(const cache_handle& other) noexcept : entry_(other.entry_) {
    if (entry_ != nullptr) entry_->pin();
  }
  cache_handle& operator=(cache_handle other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~cache_handle() { reset(); }

  void reset() noexcept {
    if (entry_ == nullptr) return;
    TENURE_CACHE_STEP();
    if (slot_ != nullptr) {
      slot_->store(nullptr, std::memory_order_release);
    } else {
      entry_->unpin();
    }
    entry_ = nullptr;
    slot_ = nullptr;
  }

  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete): the analyzer takes an unpin() for the last one
  explicit operator bool() const noexcept { return entry_ != nullptr && entry_->has_value; }
  // The cache knows that there is no value for the key: a loader said so.
  bool is_absent() const noexcept { return entry_ != nullptr && !entry_->has_value; }

  // Of a handle that is true.
  const V& operator*() const noexcept { return entry_->value; }
  const V* operator->() const noexcept { return std::addressof(entry_->value); }
  const V* get() const noexcept { return *this ? std::addressof(entry_->value) : nullptr; }
  const K& key() const noexcept { return entry_->key; }

 private:
  template <class, class, eviction::policy, class, class>
  friend class tenure::cache;
  // `slot` holds the entry; where it is null, a pin does.
  cache_handle(entry* held, hazard_slot* slot) noexcept : entry_(held), slot_(slot) {}

  entry* entry_ = nullptr;
  hazard_slot* slot_ = nullptr;
};

}  // namespace tenure::detail
