// tenure::flyweight<T>: a value that is kept once, however many have it.
//
//     struct font { std::string family; int size; bool operator==(const font&) const = default; };
//     using shared_font = tenure::flyweight<font, font_hash>;
//     shared_font a(font{"Sans", 12}), b(font{"Sans", 12});
//     a == b;                                    // compares addresses: both have the same font
//     a->family;                                 // to be read; a = font{...} takes another one
//
// A flyweight is one word, which is never empty, and is copied and let go of like an arc. The value goes with the last
// flyweight that has it. All flyweights of the same T, Hash and Tag share one set; a Tag of one's own makes another
// one.
//
// When: many equal values that are read and not changed: fonts, styles, types, paths. When not: strings alone
// (counted_interner, which finds them without a lock); values that are mostly different.
//
// Thread-safe as std::shared_ptr: one flyweight is for one thread at a time. Errors: std::bad_alloc, also at a hard
// limit of the account, and what T's copy constructor, Hash and operator== throw. Cost: finding a value takes the lock
// of one of 16 parts of the set; a copy is a locked instruction; beside T, 24 bytes, two words of a table, and one
// block of the heap (docs/library/interner.md). The account counts these, and not what a T has taken besides.
// Source: Gamma and others, Design Patterns (1994); boost::flyweight.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <unordered_set>
#include <utility>

#include <tenure/account.hpp>
#include <tenure/ref/counts.hpp>
#include <tenure/ref/step.hpp>

namespace tenure {

struct flyweight_statistics {
  std::uint64_t values = 0;
  std::uint64_t held_bytes = 0;
};

namespace detail {

template <class T>
struct flyweight_value {
  std::atomic<std::uint32_t> references;
  std::size_t hash;
  T value;
};

template <class T, class Hash, class Tag>
class flyweight_set {
  using node = flyweight_value<T>;
  struct sought {
    const T& value;
    std::size_t hash;
  };
  struct hash_of {
    using is_transparent = void;
    std::size_t operator()(const node* of) const noexcept { return of->hash; }
    std::size_t operator()(const sought& of) const noexcept { return of.hash; }
  };
  struct equal {
    using is_transparent = void;
    bool operator()(const node* a, const node* b) const noexcept { return a == b; }
    bool operator()(const sought& a, const node* b) const { return a.hash == b->hash && a.value == b->value; }
    bool operator()(const node* a, const sought& b) const { return operator()(b, a); }
  };
  struct alignas(64) part {
    std::mutex lock;
    std::unordered_set<node*, hash_of, equal> values;
  };
  static constexpr std::size_t part_count = 16;
  static constexpr std::size_t bytes_each = sizeof(node) + 2 * sizeof(void*) + sizeof(std::size_t);

 public:
  // Static flyweights may end after everything else, so it is never destroyed.
  static flyweight_set& get() {
    static auto* const only = new flyweight_set;
    return *only;
  }

  template <class Value>
  node* take(Value&& value) {
    const std::size_t hash = Hash()(value);
    part& in = part_of(hash);
    {
      const std::lock_guard held(in.lock);
      if (node* const found = find(in, {value, hash}); found != nullptr) return found;
    }
    TENURE_REF_STEP();
    // Without the lock: shrinkers may run, and the constructors of T.
    if (!account_.try_charge(bytes_each)) throw std::bad_alloc();
    try {
      auto made = std::make_unique<node>(1u, hash, std::forward<Value>(value));
      TENURE_REF_STEP();
      node* const kept = keep(in, *made);
      if (kept == made.get()) return made.release();
      account_.release(bytes_each);
      return kept;
    } catch (...) {
      account_.release(bytes_each);
      throw;
    }
  }
  static void add(node* of) noexcept {
    if (!is_positive(of->references.fetch_add(1, std::memory_order_relaxed) + 1)) [[unlikely]] {
      saturate(of->references);
    }
  }
  // The last one goes with the lock, so that nobody finds it meanwhile.
  void release(node* of) noexcept {
    std::uint32_t references = of->references.load(std::memory_order_relaxed);
    while (references != 1) {
      if (!is_positive(references)) return;  // saturated: it stays
      TENURE_REF_STEP();
      if (of->references.compare_exchange_weak(references, references - 1, std::memory_order_release,
                                               std::memory_order_relaxed)) {
        return;
      }
    }
    TENURE_REF_STEP();
    std::unique_ptr<node> last;
    {
      part& in = part_of(of->hash);
      const std::lock_guard held(in.lock);
      if (of->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      in.values.erase(of);
      last.reset(of);
    }
    account_.release(bytes_each);
  }
  flyweight_statistics statistics() {
    flyweight_statistics result;
    for (part& one : parts_) {
      const std::lock_guard held(one.lock);
      result.values += one.values.size();
    }
    result.held_bytes = account_.statistics().held_bytes;
    return result;
  }
  template <class Function>
  void for_each(Function function) {
    for (part& one : parts_) {
      const std::lock_guard held(one.lock);
      for (const node* each : one.values) function(each->value);
    }
  }
  // Bytes of tables that were larger than what there is needs.
  std::size_t trim() {
    std::size_t before = 0, now = 0;
    for (part& one : parts_) {
      const std::lock_guard held(one.lock);
      before += one.values.bucket_count();
      one.values.rehash(0);
      now += one.values.bucket_count();
    }
    return before > now ? (before - now) * sizeof(void*) : 0;
  }
  tenure::account& account() noexcept { return account_; }

  static constexpr const char* name() noexcept {
    if constexpr (requires { Tag::name; }) {
      return Tag::name;
    } else {
      return "flyweights";
    }
  }

 private:
  // With the lock. With a reference to what it returns.
  static node* find(part& in, const sought& what) {
    const auto found = in.values.find(what);
    if (found == in.values.end()) return nullptr;
    add(*found);
    return *found;
  }
  // The new one, or an equal one that another thread has brought meanwhile.
  static node* keep(part& in, node& made) {
    const std::lock_guard held(in.lock);
    if (node* const found = find(in, {made.value, made.hash}); found != nullptr) return found;
    in.values.insert(&made);
    return &made;
  }
  part& part_of(std::size_t hash) noexcept {
    return parts_[(std::uint64_t{hash} * 0x9e37'79b9'7f4a'7c15) >> 60 & (part_count - 1)];
  }

  tenure::account account_{name(), "flyweight"};
  std::array<part, part_count> parts_;
};

}  // namespace detail

// Tag::name, where it has one, is how the set is called in reports.
template <std::equality_comparable T, class Hash = std::hash<T>, class Tag = void>
class flyweight {
  using set = detail::flyweight_set<T, Hash, Tag>;

 public:
  flyweight(const T& value) : value_(set::get().take(value)) {}
  flyweight(T&& value) : value_(set::get().take(std::move(value))) {}
  flyweight() requires std::default_initializable<T> : flyweight(T()) {}
  flyweight(const flyweight& other) noexcept : value_(other.value_) { set::add(value_); }
  // Never empty: what is moved from has the value still.
  flyweight& operator=(const flyweight& other) noexcept {
    flyweight copy(other);
    std::swap(value_, copy.value_);
    return *this;
  }
  ~flyweight() { set::get().release(value_); }

  const T& get() const noexcept { return value_->value; }
  const T& operator*() const noexcept { return value_->value; }
  const T* operator->() const noexcept { return &value_->value; }
  operator const T&() const noexcept { return value_->value; }
  bool operator==(const flyweight& other) const noexcept { return value_ == other.value_; }
  std::size_t hash() const noexcept { return std::hash<const void*>()(value_); }

  static flyweight_statistics statistics() { return set::get().statistics(); }
  // Every value that is there. Taking and letting go of some wait meanwhile, so `function` must do neither.
  template <std::invocable<const T&> Function>
  static void for_each(Function function) {
    set::get().for_each(function);
  }
  static const char* name() noexcept { return set::name(); }
  static tenure::account& account() noexcept { return set::get().account(); }
  // Of what the set holds; at a hard limit a value that is new is refused with std::bad_alloc.
  static void set_limits(account_limits limits) noexcept { account().set_limits(limits); }
  // A value goes with its last flyweight; what can be given back are tables that have become too large. Their bytes,
  // which the account does not have. Throws std::bad_alloc where there is no memory for smaller ones.
  static std::size_t trim() { return set::get().trim(); }

 private:
  detail::flyweight_value<T>* value_;
};

}  // namespace tenure

template <class T, class Hash, class Tag>
struct std::hash<tenure::flyweight<T, Hash, Tag>> {
  std::size_t operator()(const tenure::flyweight<T, Hash, Tag>& of) const noexcept { return of.hash(); }
};
