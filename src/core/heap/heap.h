// The heap: what the C and C++ entry points are made of.
//
// No function here throws or logs (misuse aside), and none sets errno but where it says so; null means that the system
// refused.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bits.h"
#include "core/heap/hot_access.h"
#include "core/heap/thread_cache.h"
#include "core/pages/page_map.h"
#include "core/telemetry/unwind.h"

namespace tenure::core {

// Once, from the first slow path of the process; again harmless. Reads the options as soon as there is an environment.
void initialize() noexcept;

// Where there are two of a function, the second is for who does not end with it: a recorded stack begins in `caller`,
// own_caller() of the program's own call. The first takes its own caller for that, so that a function of the heap that
// ends with it is a jump and no frame.

// Any size. `entry` is what a sample tells about where it came from. Aligned to 16. Sets ENOMEM.
void* allocate_slow(std::size_t bytes, wire::allocation_entry entry) noexcept;
void* allocate_slow(std::size_t bytes, wire::allocation_entry entry, const telemetry::caller_place& caller) noexcept;
// Sets ENOMEM.
void* allocate_zeroed(std::size_t bytes) noexcept;
// `alignment` is a power of two.
void* allocate_aligned(std::size_t bytes, std::size_t alignment, wire::allocation_entry entry) noexcept;
void* allocate_aligned(std::size_t bytes, std::size_t alignment, wire::allocation_entry entry,
                       const telemetry::caller_place& caller) noexcept;

// By which function a block goes, where it is the program's own call.
enum class free_entry : std::uint32_t { unknown = 0, free, operator_delete, operator_delete_array };

// Null is ignored; anything else that is not a block in use ends in a message.
void deallocate_slow(void* block, free_entry entry = free_entry::unknown) noexcept;
void deallocate_slow(void* block, free_entry entry, const telemetry::caller_place& caller) noexcept;

// As realloc(), for a block in use and bytes != 0. Null, and ENOMEM, when refused; the block is then as it was.
void* reallocate(void* block, std::size_t bytes) noexcept;

// Bytes the program may use of a block in use; 0 for null and for addresses that are no block.
std::size_t usable_bytes(const void* block) noexcept;

// The block in use or free that covers the address: its start and size; null for what is no block's.
// The answer is exact for a block the caller keeps alive.
const void* block_start(const void* address, std::size_t* bytes) noexcept;

bool is_in_window(const void* address) noexcept;

// Gives everything that is cached and free back to the system: this thread's cache, the batches between threads, pages.
// Bytes returned to the system.
std::size_t purge() noexcept;

// A block of the class if this thread's cache has one; else null.
template <hot_access::kind of>
[[gnu::always_inline]] inline void* pop_block(const hot_access& cache, std::size_t size_class) noexcept {
  bool none = false;
  free_block* block = cache.first_to_allocate<of>(size_class, &none);
  if (unlikely(none)) return nullptr;
  cache.set_first<of>(size_class, block->link);
  block->link = 0;
  return block;
}

// The fast path of malloc: up to largest_tabled_bytes.
[[gnu::always_inline]] inline void* try_allocate(std::size_t bytes) noexcept {
  if (unlikely(bytes > largest_tabled_bytes)) return nullptr;
  const hot_access cache;
  return pop_block<hot_access::kind::paired>(cache, cache.class_of(bytes));
}

// The next one: the other sizes that have a class.
[[gnu::always_inline]] inline void* try_allocate_medium(std::size_t bytes) noexcept {
  if (bytes - largest_tabled_bytes - 1 >= largest_small_bytes - largest_tabled_bytes) return nullptr;
  return pop_block<hot_access::kind::single>(hot_access(), medium_class_of(bytes));
}

[[gnu::always_inline]] inline void* allocate(std::size_t bytes, wire::allocation_entry entry) noexcept {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : allocate_slow(bytes, entry);
}
[[gnu::always_inline]] inline void* allocate(std::size_t bytes, wire::allocation_entry entry,
                                             const telemetry::caller_place& caller) noexcept {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : allocate_slow(bytes, entry, caller);
}

// The fast path of free: everything that is not a block of a size class in use goes out of line.
[[gnu::always_inline]] inline void deallocate(void* block, free_entry entry = free_entry::unknown) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t page = (address - window.begin) >> page_shift;
  if (unlikely(page >= window.page_count)) return deallocate_slow(block, entry);
  const std::size_t size_class = window.class_map[page];
  const hot_access cache;
  // Class 0 has inverse 0, which no product is below: large, named, sampled and free pages leave here.
  if (unlikely(cache.is_no_start(address, size_class))) return deallocate_slow(block, entry);
  if (unlikely(static_cast<const unsigned char*>(block)[7] == link_tag)) return deallocate_slow(block, entry);
  if (unlikely(cache.use_room(size_class))) return deallocate_slow(block, entry);
  cache.push(size_class, block);
}

// The same for who has more to do afterwards.
[[gnu::always_inline]] inline void deallocate(void* block, free_entry entry,
                                              const telemetry::caller_place& caller) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t page = (address - window.begin) >> page_shift;
  if (unlikely(page >= window.page_count)) return deallocate_slow(block, entry, caller);
  const std::size_t size_class = window.class_map[page];
  const hot_access cache;
  if (unlikely(cache.is_no_start(address, size_class)) ||
      unlikely(static_cast<const unsigned char*>(block)[7] == link_tag) || unlikely(cache.use_room(size_class))) {
    return deallocate_slow(block, entry, caller);
  }
  cache.push(size_class, block);
}

// operator delete with a size of up to largest_tabled_bytes. False, and nothing is done, when the block's page is not
// of the size's class.
[[gnu::always_inline]] inline bool deallocate_sized(void* block, std::size_t bytes) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uintptr_t page = (address - window.begin) >> page_shift;
  if (unlikely(page >= window.page_count)) return false;
  const std::size_t size_class = window.class_map[page];
  const hot_access cache;
  if (unlikely(size_class != cache.class_of(bytes))) return false;
  if (unlikely(cache.is_no_start(address, size_class)) ||
      unlikely(static_cast<const unsigned char*>(block)[7] == link_tag) || unlikely(cache.use_room(size_class))) {
    deallocate_slow(block);
    return true;
  }
  cache.push(size_class, block);
  return true;
}

}  // namespace tenure::core
