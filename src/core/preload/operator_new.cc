// operator new and delete, in every form. The C++ runtime is the program's: it is asked for by name when a new fails,
// and a program that has none never comes here.
#include <dlfcn.h>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "core/base/bits.h"
#include "core/base/format.h"
#include "core/heap/heap.h"
#include "core/heap/misuse.h"
#include "core/heap/sampled.h"
#include "core/interface/export.h"

using namespace tenure::core;
using tenure::wire::allocation_entry;

// The C++ runtime's part in catching, where the program has one: this library does not bring it.
extern "C" void __gxx_personality_v0();
asm(".weak __gxx_personality_v0\n.weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak _Unwind_Resume");
#pragma weak __gxx_personality_v0

namespace {

void* runtime_function(const char* name) noexcept {
  if (void* found = ::dlsym(RTLD_DEFAULT, name)) return found;
  // Loaded by a plug-in, in a scope of its own.
  void* runtime = ::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (runtime == nullptr) runtime = ::dlopen("libc++abi.so.1", RTLD_LAZY | RTLD_NOLOAD);
  return runtime == nullptr ? nullptr : ::dlsym(runtime, name);
}

std::new_handler current_new_handler() noexcept {
  auto* get = reinterpret_cast<std::new_handler (*)()>(runtime_function("_ZSt15get_new_handlerv"));
  return get == nullptr ? nullptr : get();
}

[[noreturn]] void throw_bad_alloc() {
  auto* raise = reinterpret_cast<void (*)()>(runtime_function("_ZSt17__throw_bad_allocv"));
  if (raise != nullptr) raise();
  message text;
  text.add("tenure: operator new: out of memory, and no C++ runtime to throw std::bad_alloc with\n");
  text.write_to(2);
  std::abort();
}

using tenure::telemetry::caller_place;
using tenure::telemetry::own_caller;

void* allocate_for(std::size_t bytes, std::size_t alignment, allocation_entry entry,
                   const caller_place& caller) noexcept {
  return alignment <= 16 ? allocate(bytes, entry, caller) : allocate_aligned(bytes, alignment, entry, caller);
}

// Until the handler gives up by throwing or is gone.
void* new_until_given_up(std::size_t bytes, std::size_t alignment, allocation_entry entry, const caller_place& caller) {
  for (;;) {
    if (void* block = allocate_for(bytes, alignment, entry, caller)) return block;
    const std::new_handler handler = current_new_handler();
    if (handler == nullptr) throw_bad_alloc();
    handler();
  }
}

// What the operators end with, by a jump: the caller is the program.
[[gnu::noinline]] void* new_slow(std::size_t bytes, std::size_t alignment, allocation_entry entry) {
  return new_until_given_up(bytes, alignment, entry, own_caller());
}

[[gnu::noinline]] void* new_slow_nothrow(std::size_t bytes, std::size_t alignment, allocation_entry entry) noexcept {
  const caller_place caller = own_caller();
  if (void* block = allocate_for(bytes, alignment, entry, caller)) return block;
  if (&__gxx_personality_v0 == nullptr || current_new_handler() == nullptr) return nullptr;
  try {
    return new_until_given_up(bytes, alignment, entry, caller);
  } catch (...) {
    return nullptr;
  }
}

// For sizes beyond the table, and blocks in pages of no class: a small block with a large size, or the reverse.
[[gnu::noinline]] void delete_sized_slow(void* block, std::size_t bytes, free_entry entry) noexcept {
  if (block == nullptr) return;
  const span* home = find_span(block);
  const std::size_t wanted = bytes > largest_small_bytes ? 0 : class_of(bytes == 0 ? 1 : bytes);
  const bool of_a_class = home != nullptr && (home->kind == span_kind::small || home->owner == &sampled_heap());
  const bool is_large = home != nullptr && home->kind == span_kind::large;
  if ((of_a_class && home->size_class != wanted) || (is_large && wanted != 0)) {
    return report_misuse(misuse::size_mismatch, block);
  }
  deallocate(block, entry);
}

[[gnu::always_inline]] inline void delete_sized(void* block, std::size_t bytes, free_entry entry) noexcept {
  if (unlikely(bytes > largest_tabled_bytes) || unlikely(!deallocate_sized(block, bytes))) {
    delete_sized_slow(block, bytes, entry);
  }
}

}  // namespace

#define TENURE_NEW TENURE_EXPORT_CXX void*
#define TENURE_DELETE TENURE_EXPORT_CXX void

TENURE_NEW operator new(std::size_t bytes) {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : new_slow(bytes, 1, allocation_entry::operator_new);
}
TENURE_NEW operator new[](std::size_t bytes) {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : new_slow(bytes, 1, allocation_entry::operator_new_array);
}
TENURE_NEW operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : new_slow_nothrow(bytes, 1, allocation_entry::operator_new);
}
TENURE_NEW operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : new_slow_nothrow(bytes, 1, allocation_entry::operator_new_array);
}
TENURE_NEW operator new(std::size_t bytes, std::align_val_t alignment) {
  return new_slow(bytes, static_cast<std::size_t>(alignment), allocation_entry::operator_new);
}
TENURE_NEW operator new[](std::size_t bytes, std::align_val_t alignment) {
  return new_slow(bytes, static_cast<std::size_t>(alignment), allocation_entry::operator_new_array);
}
TENURE_NEW operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return new_slow_nothrow(bytes, static_cast<std::size_t>(alignment), allocation_entry::operator_new);
}
TENURE_NEW operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return new_slow_nothrow(bytes, static_cast<std::size_t>(alignment), allocation_entry::operator_new_array);
}

TENURE_DELETE operator delete(void* block) noexcept { deallocate(block, free_entry::operator_delete); }
TENURE_DELETE operator delete[](void* block) noexcept { deallocate(block, free_entry::operator_delete_array); }
TENURE_DELETE operator delete(void* block, const std::nothrow_t&) noexcept {
  deallocate(block, free_entry::operator_delete);
}
TENURE_DELETE operator delete[](void* block, const std::nothrow_t&) noexcept {
  deallocate(block, free_entry::operator_delete_array);
}
TENURE_DELETE operator delete(void* block, std::size_t bytes) noexcept {
  delete_sized(block, bytes, free_entry::operator_delete);
}
TENURE_DELETE operator delete[](void* block, std::size_t bytes) noexcept {
  delete_sized(block, bytes, free_entry::operator_delete_array);
}
// An aligned block's class is not told by its size alone.
TENURE_DELETE operator delete(void* block, std::align_val_t) noexcept {
  deallocate(block, free_entry::operator_delete);
}
TENURE_DELETE operator delete[](void* block, std::align_val_t) noexcept {
  deallocate(block, free_entry::operator_delete_array);
}
TENURE_DELETE operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  deallocate(block, free_entry::operator_delete);
}
TENURE_DELETE operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  deallocate(block, free_entry::operator_delete_array);
}
TENURE_DELETE operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  deallocate(block, free_entry::operator_delete);
}
TENURE_DELETE operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  deallocate(block, free_entry::operator_delete_array);
}
