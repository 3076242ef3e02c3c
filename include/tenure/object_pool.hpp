// tenure::object_pool<T>: objects that many threads make and end, in any order.
//
//     tenure::object_pool<session> sessions({.name = "sessions"});
//     auto one = sessions.create(socket);              // RAII: ends when it goes out of scope
//     tenure::object_pool<session>::weak_handle seen = one.weak();
//     one.reset();
//     if (session* still = seen.get()) still->touch(); // null: it is gone, whatever lies there now
//     sessions.for_each_live([](session& each) { each.tick(); });
//
// create() and the end of an object cost O(1) whatever the number and order of objects; addresses never change. Each
// thread has a magazine of free slots of its own, and full magazines pass between threads through a lock-free stack
// (detail/slot_depot.hpp says why it is safe from ABA). A weak handle is an index and a generation: 8 bytes and a
// pointer to the pool; a slot is given up for good before its generation could come round again.
//
// With a Reset other than destroy_objects objects are not destroyed when they come back: `Reset{}(object)` is called,
// and acquire() hands them out again as they are. For what is dear to build: buffers, parsers, connections.
//
// When: many objects of one type and of lives of their own. When not: objects that all end at once (arena).
//
// Thread-safe: everything but construction, destruction and, against the end of the very object it visits or returns,
// for_each_live() and weak_handle::get(). Errors: std::bad_alloc beyond limit_objects, which counts objects in use and
// nothing else, at a limit of set_limits(), and where there is no memory; what T's constructor throws. A second
// destroy() ends in a message, always; with checks on the message has the sites of creation and both ends, and objects
// of another pool, as well as writes into an object after its end, are told too. The account's held bytes are exact;
// what it shows as used is up to a magazine (64 objects) a thread behind, while statistics() asks all threads. Cost:
// some 3 ns for a pair, at any number of threads (docs/library/object_pool.md); 24 bytes a slot beyond T. Memory stays
// with the pool until its end, apart from what trim() gives back. Source: magazines of Bonwick and Adams (2001);
// Treiber's stack (1986) with a tag; generational indices of games.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <tenure/detail/slot_depot.hpp>

namespace tenure {

struct object_pool_options {
  std::string_view name = "objects";
  std::uint64_t limit_objects = TENURE_NO_LIMIT;  // in use at once; costs another atomic each way
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

// The usual end of an object.
struct destroy_objects {};

namespace detail {
TENURE_API bool wants_checks(resource_checks wish) noexcept;
}

template <class T, class Reset = destroy_objects>
class object_pool {
  static constexpr bool keeps_objects = !std::is_same_v<Reset, destroy_objects>;
  static_assert(!keeps_objects || std::is_invocable_v<Reset&, T&>, "Reset is called with each object that comes back");
  static_assert(std::is_nothrow_destructible_v<T>);
  using slot_header = detail::slot_header;

 public:
  explicit object_pool(const object_pool_options& options = {})
      : depot_({options.name, sizeof(T), alignof(T), options.limit_objects, detail::wants_checks(options.checks),
                options.parent}) {}
  // Ends the objects that are left; with checks on a message says how many. Handles must be gone.
  ~object_pool() {
    if (depot_.has_checks()) depot_.report_left();
    for (std::uint32_t i = 0; i < depot_.opened_slots(); ++i) {
      slot_header* one = depot_.slot_at(i);
      if (one->is_constructed || is_live(one)) static_cast<T*>(depot_.object_of(one))->~T();
    }
  }
  object_pool(const object_pool&) = delete;
  object_pool& operator=(const object_pool&) = delete;

  class weak_handle {
   public:
    weak_handle() = default;
    // The object, or null when it is gone. The caller sees to it that no other thread ends it meanwhile.
    T* get() const noexcept {
      slot_header* slot = pool_ == nullptr ? nullptr : pool_->depot_.slot_at(index_);
      if (slot == nullptr || slot->generation.load(std::memory_order_acquire) != generation_) return nullptr;
      return static_cast<T*>(pool_->depot_.object_of(slot));
    }
    bool operator==(const weak_handle&) const = default;

   private:
    friend class object_pool;
    weak_handle(const object_pool* pool, const slot_header* slot) noexcept
        : pool_(pool), index_(slot->index), generation_(slot->generation.load(std::memory_order_relaxed)) {}
    const object_pool* pool_ = nullptr;
    std::uint32_t index_ = 0;
    std::uint32_t generation_ = 0;
  };

  class handle {
   public:
    handle() = default;
    handle(handle&& other) noexcept : pool_(other.pool_), object_(std::exchange(other.object_, nullptr)) {}
    handle& operator=(handle&& other) noexcept {
      if (this != &other) {
        reset();
        pool_ = other.pool_;
        object_ = std::exchange(other.object_, nullptr);
      }
      return *this;
    }
    ~handle() { reset(); }

    void reset() noexcept {
      if (object_ != nullptr) pool_->destroy(std::exchange(object_, nullptr));
    }
    // The object is the caller's, to be given to destroy().
    T* release() noexcept { return std::exchange(object_, nullptr); }
    T* get() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    weak_handle weak() const noexcept { return object_ == nullptr ? weak_handle() : pool_->weak(object_); }

   private:
    friend class object_pool;
    handle(object_pool* pool, T* object) noexcept : pool_(pool), object_(object) {}
    object_pool* pool_ = nullptr;
    T* object_ = nullptr;
  };

  template <class... Arguments>
  requires(!keeps_objects && std::constructible_from<T, Arguments...>) handle create(Arguments&&... arguments) {
    return handle(this, make(std::forward<Arguments>(arguments)...));
  }
  // One that came back, or a new one.
  handle acquire() requires(keeps_objects&& std::default_initializable<T>) { return handle(this, make()); }

  // The same without a handle. destroy() also takes what handle::release() gave.
  template <class... Arguments>
  T* make(Arguments&&... arguments) {
    slot_header* slot = depot_.take();
    T* object = static_cast<T*>(depot_.object_of(slot));
    if (!keeps_objects && depot_.has_checks()) [[unlikely]] {
      depot_.find_late_write(slot);
    }
    if (!keeps_objects || !slot->is_constructed) {
      try {
        ::new (static_cast<void*>(object)) T(std::forward<Arguments>(arguments)...);
      } catch (...) {
        if (!keeps_objects && depot_.has_checks()) depot_.fill(slot);
        depot_.give(slot);
        throw;
      }
      if constexpr (keeps_objects) slot->is_constructed = true;
    }
    if (depot_.has_checks()) [[unlikely]] {
      depot_.note_created(slot);
    }
    slot->generation.store(slot->generation.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    return object;
  }
  void destroy(T* object) noexcept {
    if (depot_.has_checks()) [[unlikely]] {
      return destroy_checked(object);
    }
    slot_header* slot = depot_.slot_of(object);
    const std::uint32_t generation = slot->generation.load(std::memory_order_relaxed);
    if (generation % 2 == 0) [[unlikely]] {
      return depot_.report_not_in_use(slot);
    }
    if constexpr (keeps_objects) {
      Reset{}(*object);
    } else {
      object->~T();
    }
    give_back(slot, generation);
  }
  weak_handle weak(const T* object) const noexcept { return weak_handle(this, depot_.slot_of(object)); }

  // Every object in use. Others may create and end objects meanwhile, but not the one that is being visited.
  template <std::invocable<T&> Function>
  void for_each_live(Function function) {
    const std::uint32_t count = depot_.opened_slots();
    for (std::uint32_t i = 0; i < count; ++i) {
      slot_header* one = depot_.slot_at(i);
      if (is_live(one)) function(*static_cast<T*>(depot_.object_of(one)));
    }
  }

  // Gives memory back: whole pages on which no object is in use, eight together at least. Objects that are kept there
  // for another use end. Free slots in the magazines of other threads stay. Costs a look at every slot. Bytes.
  std::size_t trim() noexcept {
    return depot_.trim([](void* object) noexcept { static_cast<T*>(object)->~T(); });
  }
  // Of what the pool holds, in bytes; where it is met shrinkers are asked, and then make() throws std::bad_alloc.
  void set_limits(account_limits limits) noexcept { depot_.set_limits(limits); }

  const char* name() const noexcept { return depot_.name(); }
  tenure_account* account() const noexcept { return depot_.account(); }
  // Exact when no other thread uses the pool meanwhile.
  resource_statistics statistics() const noexcept { return depot_.statistics(); }
  std::uint64_t live_objects() const noexcept { return depot_.statistics().used_blocks; }
  void check() const { depot_.check(); }

 private:
  static bool is_live(const slot_header* of) noexcept {
    return of->generation.load(std::memory_order_acquire) % 2 == 1;
  }
  // Apart, so that what has no checks has nothing to save and restore: many ends of objects wait for memory at once,
  // and each word that is written for one of them is a place less for another.
  [[gnu::noinline]] void destroy_checked(T* object) noexcept {
    if (!depot_.is_mine_or_report(object)) return;
    slot_header* slot = depot_.slot_of(object);
    const std::uint32_t generation = slot->generation.load(std::memory_order_relaxed);
    if (generation % 2 == 0) return depot_.report_not_in_use(slot);
    depot_.note_destroyed(slot);
    if constexpr (keeps_objects) {
      Reset{}(*object);
    } else {
      object->~T();
      depot_.fill(slot);
    }
    give_back(slot, generation);
  }
  void give_back(slot_header* slot, std::uint32_t generation) noexcept {
    slot->generation.store(generation + 1, std::memory_order_release);
    // The next round would begin with generations that somebody may remember: the slot stays out of use.
    if (generation + 1 == 0) [[unlikely]] {
      return depot_.give_up();
    }
    depot_.give(slot);
  }

  detail::slot_depot depot_;
};

}  // namespace tenure
