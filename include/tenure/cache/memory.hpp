// What a cache takes, counted to the byte and never beyond its limit.
//
// A std::pmr::memory_resource that the entries of a cache, and those of their keys and values that take an allocator,
// get their memory from. A block counts with what the heap says that it offers (malloc_usable_size), whatever was asked
// for. Room is reserved before a block is taken, so that there is no moment at which the cache holds more than its
// limit.
//
// Within a `batch` what the thread takes and gives back is put to the account once, at its end: what is freed there
// counts until then.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <string_view>

#include <tenure/api.h>
#include <tenure/account.hpp>

namespace tenure::detail {

class TENURE_API cache_memory final : public std::pmr::memory_resource {
 public:
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
  // Called where `bytes` more do not fit. False when there is nothing left that could go.
  using room_maker = bool (*)(void* context, std::uint64_t bytes);

  cache_memory(std::string_view name, const tenure::account* parent, std::uint64_t limit_bytes, room_maker make_room,
               void* context);
  ~cache_memory() override;
  cache_memory(const cache_memory&) = delete;
  cache_memory& operator=(const cache_memory&) = delete;

  const char* name() const noexcept { return name_; }
  tenure_account* account() const noexcept { return account_; }
  // What is reserved included: never above the limit, unless that was lowered.
  std::uint64_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::uint64_t peak_bytes() const noexcept { return peak_.load(std::memory_order_relaxed); }
  std::uint64_t limit_bytes() const noexcept { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::uint64_t limit_bytes) noexcept;
  // What is shown as used in the report.
  void publish(std::uint64_t used_bytes, std::uint64_t entries, std::uint64_t puts) noexcept;

  // Counts memory that was not taken here. False: it does not fit, and does not count.
  bool take(std::uint64_t bytes) noexcept;
  void give(std::uint64_t bytes) noexcept;

  class TENURE_API batch {
   public:
    // Only what is given back; what is taken meanwhile, by a destructor, is put to the account at once.
    explicit batch(cache_memory& memory) noexcept : batch(memory, no_limit, false) {}
    // Refuses to let `net_bytes()` become more than `most_bytes`, and makes no room for that.
    batch(cache_memory& memory, std::uint64_t most_bytes) noexcept : batch(memory, most_bytes, true) {}
    ~batch();
    batch(const batch&) = delete;
    batch& operator=(const batch&) = delete;
    // What was taken less what was given back.
    std::int64_t net_bytes() const noexcept { return net_; }
    // False where an account above refuses; then what was taken must be given back within the batch.
    bool settle() noexcept;

   private:
    friend class cache_memory;
    batch(cache_memory& memory, std::uint64_t most_bytes, bool takes) noexcept;
    bool allows(std::uint64_t bytes) const noexcept;

    cache_memory& memory_;
    batch* outer_;
    std::uint64_t most_;
    bool takes_;
    std::int64_t net_ = 0;
    std::int64_t settled_ = 0;
    std::uint64_t freed_ = 0;  // no longer there, and still in used_
  };

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  batch* current_batch() const noexcept;
  batch* taking_batch() const noexcept;
  bool reserve(std::uint64_t bytes) noexcept;
  bool try_reserve(std::uint64_t bytes) noexcept;
  void raise_peak(std::uint64_t used) noexcept;
  bool charge(std::uint64_t bytes) noexcept;

  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<std::uint64_t> limit_;
  room_maker make_room_;
  void* context_;
  tenure_account* account_;
  tenure_account_use* use_ = nullptr;
  char name_[64];
};

// Bytes of the block at `block`, as the heap that it is from tells.
TENURE_API std::size_t block_bytes(const void* block) noexcept;

// Arrays of zeros for tables. A large one can be discarded: its pages go back and it reads as zeros from then on, so
// that whoever still reads it finds nothing. Null when there is no memory.
TENURE_API void* make_table(std::size_t bytes) noexcept;
TENURE_API bool discard_table(void* table, std::size_t bytes) noexcept;
TENURE_API void free_table(void* table, std::size_t bytes) noexcept;

// Ends the process with a message when a cache that ends has entries in somebody's hands.
TENURE_API void check_nobody_holds(const char* cache, std::uint64_t entries) noexcept;

}  // namespace tenure::detail
