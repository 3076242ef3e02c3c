// Access to the hot cache on the fast path: the one file of this room that depends on the architecture.
//
// On x86-64 the thread's cache is addressed through the segment register, from an offset that one load yields; a
// compiler, left alone, computes addresses it then uses once. tests/golden holds the instructions that come out.
// Elsewhere plain C++.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/sanitizers.h"
#include "core/base/yield_point.h"
#include "core/heap/thread_cache.h"

namespace tenure::core {

#if defined(__x86_64__) && !defined(TENURE_THREAD_SANITIZER) && !defined(TENURE_ADDRESS_SANITIZER) && \
    !defined(TENURE_SYSTEMATIC)

class hot_access {
 public:
  [[gnu::always_inline]] hot_access() noexcept {
    // The offset of `hot` from the thread pointer: constant for the process.
    asm("movq _ZN6tenure4core3hotE@gottpoff(%%rip), %0" : "=r"(offset_));
  }

  [[gnu::always_inline]] std::size_t class_of(std::size_t bytes) const noexcept {
    // Volatile, as is_no_start: else a compiler that takes the call out of a loop reads before the size was looked at.
    std::size_t size_class;
    asm volatile("movzbl %%fs:%c2(%1, %3), %k0"
                 : "=r"(size_class)
                 : "r"(offset_), "i"(offsetof(hot_cache, table)), "r"(bytes));
    return size_class;
  }

  // The list that malloc pops for a class of one kind or the other (thread_cache.h).
  enum class kind { paired, single };

  // Its first block; null (and *none set from the same instruction's flags) when the list is empty.
  template <kind of>
  [[gnu::always_inline]] free_block* first_to_allocate(std::size_t size_class, bool* none) const noexcept {
    std::uintptr_t link;
    asm volatile("movq %%fs:%c2(%1, %3, 8), %0"
                 : "=r"(link)
                 : "r"(offset_), "i"(popped_at<of>), "r"(size_class)
                 : "memory");
    bool empty;
    asm("xorq %2, %0" : "+r"(link), "=@ccz"(empty) : "m"(link_key));
    *none = empty;
    return reinterpret_cast<free_block*>(link);
  }
  template <kind of>
  [[gnu::always_inline]] void set_first(std::size_t size_class, std::uintptr_t link) const noexcept {
    asm volatile("movq %0, %%fs:%c2(%1, %3, 8)"
                 :
                 : "r"(link), "r"(offset_), "i"(popped_at<of>), "r"(size_class)
                 : "memory");
  }

  // Whether the address is not a multiple of the class's block size; always for class 0.
  [[gnu::always_inline]] bool is_no_start(std::uintptr_t address, std::size_t size_class) const noexcept {
    bool off;
    asm volatile("imulq %%fs:%c3(%2, %4, 8), %0\n\tcmpq %%fs:%c3(%2, %4, 8), %0"
                 : "+r"(address), "=@ccae"(off)
                 : "r"(offset_), "i"(offsetof(hot_cache, inverse)), "r"(size_class));
    return off;
  }

  // Counts one push; true when there was no room for it.
  [[gnu::always_inline]] bool use_room(std::size_t size_class) const noexcept {
    bool negative;
    asm volatile("subl $1, %%fs:%c2(%1, %3, 4)"
                 : "=@ccs"(negative)
                 : "r"(offset_), "i"(offsetof(hot_cache, room)), "r"(size_class)
                 : "memory");
    return negative;
  }

  [[gnu::always_inline]] void push(std::size_t size_class, void* block) const noexcept {
    std::uintptr_t link;
    asm volatile("movq %%fs:%c2(%1, %3, 8), %0"
                 : "=r"(link)
                 : "r"(offset_), "i"(offsetof(hot_cache, list)), "r"(size_class)
                 : "memory");
    static_cast<free_block*>(block)->link = link;
    auto head = reinterpret_cast<std::uintptr_t>(block);
    asm("xorq %1, %0" : "+r"(head) : "m"(link_key) : "cc");
    asm volatile("movq %0, %%fs:%c2(%1, %3, 8)"
                 :
                 : "r"(head), "r"(offset_), "i"(offsetof(hot_cache, list)), "r"(size_class)
                 : "memory");
  }

 private:
  template <kind of>
  static constexpr std::size_t popped_at = of == kind::paired ? offsetof(hot_cache, front) : offsetof(hot_cache, list);

  std::uintptr_t offset_;
};

#else

class hot_access {
 public:
  std::size_t class_of(std::size_t bytes) const noexcept { return hot.table[bytes]; }

  enum class kind { paired, single };

  template <kind of>
  free_block* first_to_allocate(std::size_t size_class, bool* none) const noexcept {
    free_block* first = decode_link(__atomic_load_n(popped<of>(size_class), __ATOMIC_RELAXED));
    *none = first == nullptr;
    TENURE_YIELD_POINT();
    return first;
  }
  // Release and relaxed: a walk reads these lists from another thread (walk.h).
  template <kind of>
  void set_first(std::size_t size_class, std::uintptr_t link) const noexcept {
    __atomic_store_n(popped<of>(size_class), link, __ATOMIC_RELAXED);
    TENURE_YIELD_POINT();
  }

  bool is_no_start(std::uintptr_t address, std::size_t size_class) const noexcept {
    return address * hot.inverse[size_class] >= hot.inverse[size_class];
  }

  bool use_room(std::size_t size_class) const noexcept {
    const std::int32_t left = __atomic_load_n(&hot.room[size_class], __ATOMIC_RELAXED) - 1;
    __atomic_store_n(&hot.room[size_class], left, __ATOMIC_RELAXED);
    return left < 0;
  }

  void push(std::size_t size_class, void* block) const noexcept {
    __atomic_store_n(&static_cast<free_block*>(block)->link, hot.list[size_class], __ATOMIC_RELAXED);
    TENURE_YIELD_POINT();
    __atomic_store_n(&hot.list[size_class], encode_link(block), __ATOMIC_RELEASE);
  }

 private:
  template <kind of>
  static std::uintptr_t* popped(std::size_t size_class) noexcept {
    return of == kind::paired ? &hot.front[size_class] : &hot.list[size_class];
  }
};

#endif

}  // namespace tenure::core
