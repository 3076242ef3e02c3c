// What the templates of tenure::gc share with the collector: the words that both read, and the slow paths.
//
//   thread_record      a thread's root slots           [ hole | slot | slot | slot | ... ]   top: the next free one
//                      its allocation runs             [ next ... end ): cells of a block that are still free
//                      operations                      odd while a pointer is in hand that nothing else holds
//   barrier            phase                           0 unless a collector is at work; all that a store has to ask
//                      cards                           a byte for each 512 bytes of the heaps
//
// The collector needs no help from a thread: it reads the slots and the runs while the thread runs. What makes that
// right is the order of two things in each thread, "publish, then read the phase", and a membarrier of the collector
// between "change the phase" and "read what was published" (docs/library/gc.md, "The protocol").
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <tenure/api.h>
#include <tenure/gc/detail/size_class.hpp>

#ifdef TENURE_SYSTEMATIC
namespace tenure::core {
void yield_point() noexcept;
}
#define TENURE_GC_STEP() ::tenure::core::yield_point()
#else
#define TENURE_GC_STEP() static_cast<void>(0)
#endif

namespace tenure::gc::detail {

struct heap_state;
struct weak_cell;

// What the phase can be. Mutators only tell 0 from the rest; the slow paths look closer.
enum class phase : std::uint32_t {
  idle = 0,
  marking = 1,    // whoever publishes a pointer has its target marked
  resolving = 2,  // marking is complete: what is not marked now is dead, and weak references say so
  stopped = 3,    // whoever publishes a pointer waits
};

// Beside the phase, in the same word: a heap verifies, and all that is stored is looked at.
inline constexpr std::uint32_t stores_are_verified = 4;

inline constexpr unsigned card_shift = 9;

struct alignas(64) barrier_state {
  std::atomic<std::uint32_t> phase{0};        // 0: nobody marks, and nobody verifies
  std::atomic<std::uint32_t> tells_nulls{0};  // a heap counts references: cards are marked for nulls as well
  std::atomic<std::uintptr_t> card_first{0};  // address that the first card stands for
  std::atomic<std::uintptr_t> card_bytes{0};  // how many bytes have cards; 0: no heap needs them
  std::atomic<std::uint8_t*> cards{nullptr};
};
TENURE_API extern barrier_state barrier;

using root_slot = std::atomic<void*>;
// In a slot that was given up out of order; below the first slot of a segment that has one before it.
inline void* const hole = reinterpret_cast<void*>(std::uintptr_t{1});

// Cells that a thread holds to hand them out: those in [next, end), and after them those of the 64 from `first` on
// whose bits are set in `later`.
struct allocation_run {
  std::atomic<char*> next{nullptr};
  std::atomic<char*> end{nullptr};
  std::atomic<std::uint64_t> later{0};
  std::atomic<char*> first{nullptr};  // null: holds cells of no block
};
struct allocation_runs {
  allocation_run runs[list_count];
};

inline constexpr std::size_t most_heaps = 32;

struct thread_record {
  constexpr explicit thread_record(allocation_runs* runs) noexcept {
    for (allocation_runs*& each : heaps) each = runs;
  }

  std::atomic<root_slot*> top{nullptr};
  root_slot* limit = nullptr;
  std::atomic<std::uint32_t> operations{0};  // begun and ended: odd in an operation, another number in each
  allocation_runs* heaps[most_heaps] = {};   // by heap_state's number
};

// The calling thread's record; until it first needs one, a record whose slots and runs are all used up.
#define TENURE_GC_TLS __attribute__((tls_model("initial-exec")))
TENURE_API extern TENURE_GC_TLS __thread thread_record* current_thread;
TENURE_API extern thread_record unregistered_thread;

// Slow paths.
TENURE_API void published_slow(void* target) noexcept;
TENURE_API root_slot* push_slow(void* target) noexcept;
TENURE_API void pop_slow() noexcept;
TENURE_API void pop_out_of_order(root_slot* given) noexcept;
TENURE_API void shade_in_operation(void* target) noexcept;
TENURE_API thread_record* enter_slow() noexcept;

// A compiler's reordering of "publish" and "read the phase" would undo the protocol.
inline void compiler_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

// After `target` was written where the collector will find it.
inline void published(void* target) noexcept {
  compiler_fence();
  TENURE_GC_STEP();
  if (barrier.phase.load(std::memory_order_relaxed) != 0) [[unlikely]]
    published_slow(target);
}

// After a pointer was stored at `where`, in a managed object or not.
inline void mark_card(const void* where) noexcept {
  const std::uintptr_t offset =
      reinterpret_cast<std::uintptr_t>(where) - barrier.card_first.load(std::memory_order_relaxed);
  if (offset < barrier.card_bytes.load(std::memory_order_relaxed)) {
    auto* card = reinterpret_cast<std::atomic<std::uint8_t>*>(barrier.cards.load(std::memory_order_relaxed)) +
                 (offset >> card_shift);
    if (card->load(std::memory_order_relaxed) == 0) card->store(1, std::memory_order_relaxed);
  }
}

template <class T>
void* untyped(T* pointer) noexcept {
  return const_cast<void*>(static_cast<const volatile void*>(pointer));
}

template <class T>
void store_word(T** where, T* value) noexcept {
  __atomic_store_n(where, value, __ATOMIC_RELEASE);
}

// After a null was stored at `where`.
inline void nulled(const void* where) noexcept {
  if (barrier.tells_nulls.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  compiler_fence();
  TENURE_GC_STEP();
  mark_card(where);
}
template <class T>
void store_null(T*& where) noexcept {
  store_word(&where, static_cast<T*>(nullptr));
  nulled(&where);
}

// The write barrier: store, shade while somebody marks, then remember the card. In this order.
template <class T>
void store_member(T*& where, T* target) noexcept {
  store_word(&where, target);
  if (target == nullptr) return nulled(&where);
  published(untyped(target));
  TENURE_GC_STEP();
  mark_card(&where);
}

// Root slots of the calling thread, last in, first out by preference.
inline root_slot* push(void* target) noexcept {
  thread_record* self = current_thread;
  root_slot* taken = self->top.load(std::memory_order_relaxed);
  if (taken == self->limit) [[unlikely]]
    return push_slow(target);
  taken->store(target, std::memory_order_release);
  self->top.store(taken + 1, std::memory_order_release);
  published(target);
  return taken;
}

inline void pop(root_slot* given) noexcept {
  thread_record* self = current_thread;
  if (given + 1 == self->top.load(std::memory_order_relaxed)) [[likely]] {
    given->store(nullptr, std::memory_order_release);
    self->top.store(given, std::memory_order_release);
    if (given[-1].load(std::memory_order_relaxed) == hole) [[unlikely]]
      pop_slow();
  } else {
    pop_out_of_order(given);
  }
}

inline void set_slot(root_slot* where, void* target) noexcept {
  where->store(target, std::memory_order_release);
  published(target);
}

// While a thread holds in its hand what nothing else may hold (the value of an atomic_member, a weak target), the
// collector does not pass it by.
inline void begin_operation(thread_record& self) noexcept {
  self.operations.store(self.operations.load(std::memory_order_relaxed) | 1, std::memory_order_release);
  compiler_fence();
  TENURE_GC_STEP();
}
inline void end_operation(thread_record& self) noexcept {
  compiler_fence();
  self.operations.store(self.operations.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

class operation {
 public:
  operation() noexcept : self_(current_thread) {
    if (self_ == &unregistered_thread) [[unlikely]] {
      self_ = enter_slow();
      return;
    }
    begin_operation(*self_);
    if (barrier.phase.load(std::memory_order_relaxed) >= static_cast<std::uint32_t>(phase::stopped)) [[unlikely]] {
      self_ = enter_slow();
    }
  }
  ~operation() { end_operation(*self_); }
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  // Puts `target` into `where`, a root slot of this thread, and has it marked if somebody marks.
  void keep(root_slot* where, void* target) const noexcept {
    where->store(target, std::memory_order_release);
    compiler_fence();
    TENURE_GC_STEP();
    if (barrier.phase.load(std::memory_order_relaxed) != 0) [[unlikely]]
      shade_in_operation(target);
  }

 private:
  thread_record* self_;
};

// Slots that any thread may give up, for root<T>.
TENURE_API root_slot* take_root_slot(void* target);
TENURE_API void give_root_slot(root_slot* given) noexcept;
// The same for pin<T>: what they lead to is not moved.
TENURE_API root_slot* take_pin_slot(void* target);
TENURE_API void give_pin_slot(root_slot* given) noexcept;

// An ephemeron's: the value is traced while the key is alive, and a cycle empties the pair when it is not. Empty is no
// key, and a value that is null or, where there was one, a hole.
struct pair_words {
  void* key;
  void* value;
};
TENURE_API void store_pair(pair_words& pair, void* key, void* value) noexcept;
// Puts the key into a root slot of the calling thread; false: the pair is empty.
TENURE_API bool lock_key(const pair_words& pair, root_slot* into) noexcept;

// The heap of the managed object that `part` lies in; ends the program with a message that names `what` when it lies in
// none.
struct owner {
  heap_state* heap;
  std::size_t number;
};
TENURE_API owner heap_of_owner(const void* part, const char* what) noexcept;
[[noreturn]] TENURE_API void reject_other_heap(const char* what) noexcept;

// Allocation.
struct type_descriptor;
TENURE_API heap_state* standard_heap() noexcept;
// A cell of the list, its address in a root slot of the calling thread already. Of what type the object will be is
// for samples to say. Throws std::bad_alloc.
struct rooted_cell {
  char* cell;
  root_slot* root;
};
TENURE_API rooted_cell allocate_slow(heap_state* heap, std::size_t list, std::size_t payload_offset,
                                     const type_descriptor& type);
TENURE_API rooted_cell allocate_large(heap_state* heap, object_kind kind, std::size_t bytes, std::size_t payload_offset,
                                      const type_descriptor& type);
TENURE_API void learn_slots(type_descriptor& type, void* object) noexcept;

// Weak and soft references.
enum class strength : std::uint8_t { weak, soft };
struct weak_target {
  weak_cell* cell;
  std::ptrdiff_t distance;  // of what was asked for from the start of what lock_weak_cell() tells
};
TENURE_API weak_target take_weak_cell(void* target, strength how);
TENURE_API void share_weak_cell(weak_cell* cell, strength how) noexcept;
TENURE_API void give_weak_cell(weak_cell* cell, strength how) noexcept;
TENURE_API bool lock_weak_cell(weak_cell* cell, root_slot* into) noexcept;
TENURE_API void touch_weak_cell(weak_cell* cell) noexcept;
TENURE_API bool is_expired(const weak_cell* cell) noexcept;
// The same for an address that a cycle makes null when what is there is dead.
TENURE_API bool lock_weakly(const std::atomic<void*>& where, root_slot* into) noexcept;

}  // namespace tenure::gc::detail
