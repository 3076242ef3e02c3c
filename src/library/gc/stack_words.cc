#include "library/gc/stack_words.h"

#include <pthread.h>

#include <cstddef>

#include "core/base/sanitizers.h"

#ifdef TENURE_ADDRESS_SANITIZER
extern "C" void* __asan_get_current_fake_stack();
extern "C" void* __asan_addr_is_in_fake_stack(void* fake_stack, void* address, void** begin, void** end);
#endif

#if defined(TENURE_ADDRESS_SANITIZER)
#define TENURE_GC_READS_ANY_STACK __attribute__((no_sanitize("address"), noinline))
#elif defined(TENURE_THREAD_SANITIZER)
#define TENURE_GC_READS_ANY_STACK __attribute__((no_sanitize("thread"), noinline))
#else
#define TENURE_GC_READS_ANY_STACK __attribute__((noinline))
#endif

namespace tenure::gc {

namespace {

struct stack_range {
  std::uintptr_t lowest = 0;
  std::uintptr_t end = 0;  // 0: not asked yet
};

// Asked once in a thread: of the first one the system reads its own memory map for it.
stack_range own_stack() noexcept {
  static thread_local stack_range known;
  if (known.end != 0) return known;
  pthread_attr_t attributes;
  void* lowest = nullptr;
  std::size_t bytes = 0;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return known;
  ::pthread_attr_getstack(&attributes, &lowest, &bytes);
  ::pthread_attr_destroy(&attributes);
  known.lowest = reinterpret_cast<std::uintptr_t>(lowest);
  known.end = known.lowest + bytes;
  return known;
}

struct wanted {
  void (*visit)(void* context, std::uintptr_t word);
  void* context;
};

TENURE_GC_READS_ANY_STACK void visit_words(const wanted& by, std::uintptr_t from, std::uintptr_t end) noexcept {
  from = (from + sizeof(void*) - 1) & ~(sizeof(void*) - 1);
  for (; from + sizeof(void*) <= end; from += sizeof(void*)) {
    by.visit(by.context, *reinterpret_cast<const volatile std::uintptr_t*>(from));  // NOLINT(performance-no-int-to-ptr)
  }
}

#ifdef TENURE_ADDRESS_SANITIZER
// Frames of functions that AddressSanitizer has moved off the stack, to notice who uses them when they are gone.
TENURE_GC_READS_ANY_STACK void visit_fake_frames(const wanted& by, std::uintptr_t from, std::uintptr_t end) noexcept {
  void* fake_stack = __asan_get_current_fake_stack();
  if (fake_stack == nullptr) return;
  for (; from + sizeof(void*) <= end; from += sizeof(void*)) {
    void* begin = nullptr;
    void* beyond = nullptr;
    void* word = *reinterpret_cast<void* const volatile*>(from);  // NOLINT(performance-no-int-to-ptr)
    if (__asan_addr_is_in_fake_stack(fake_stack, word, &begin, &beyond) == nullptr) continue;
    visit_words(by, reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(beyond));
  }
}
#endif

// Its own frame lies below the caller's, and with it below the registers that the caller has saved there.
TENURE_GC_READS_ANY_STACK void visit_stack(const wanted& by, std::uintptr_t end) noexcept {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  visit_words(by, here, end);
#ifdef TENURE_ADDRESS_SANITIZER
  visit_fake_frames(by, here, end);
#endif
}

}  // namespace

TENURE_GC_READS_ANY_STACK bool for_each_stack_word(void (*visit)(void* context, std::uintptr_t word),
                                                   void* context) noexcept {
  // What functions further out keep in registers comes to lie in this frame.
  __builtin_unwind_init();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const stack_range stack = own_stack();
  if (here < stack.lowest || here >= stack.end) return false;
  visit_stack({visit, context}, stack.end);
  asm volatile("" ::: "memory");  // no tail call: the frame is needed
  return true;
}

}  // namespace tenure::gc
