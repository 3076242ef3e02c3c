// malloc and its family. The fast path is heap.h's, inlined here; tests/golden holds its instructions.
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/base/bits.h"
#include "core/heap/heap.h"
#include "core/heap/misuse.h"
#include "core/interface/export.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

using wire::allocation_entry;

[[gnu::noinline, gnu::cold]] void* out_of_memory() noexcept {
  errno = ENOMEM;
  return nullptr;
}

[[gnu::noinline]] void* malloc_slow(std::size_t bytes) noexcept {
  if (likely(bytes <= largest_tabled_bytes)) {
    if (void* found = exchange(hot.table[bytes])) return found;
  }
  if (void* found = try_allocate_medium(bytes)) return found;
  return allocate_slow(bytes, allocation_entry::malloc);
}

// What ends with it is a jump, so that its caller is the program.
[[gnu::noinline]] void* aligned_or_error(std::size_t alignment, std::size_t bytes) noexcept {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  void* block = allocate_aligned(bytes, alignment, allocation_entry::aligned, tenure::telemetry::own_caller());
  return block != nullptr ? block : out_of_memory();
}

// realloc(block, 0), likewise.
[[gnu::noinline]] void* free_for_nothing(void* block) noexcept {
  deallocate(block, free_entry::unknown, tenure::telemetry::own_caller());
  return nullptr;
}

// The free of a block whose size the caller names.
void free_with_size(void* block, std::size_t bytes) noexcept {
  if (block == nullptr) return;
  const std::size_t usable = usable_bytes(block);
  if (usable != 0 && bytes > usable) return report_misuse(misuse::size_mismatch, block);
  deallocate(block, free_entry::free);
}

}  // namespace
}  // namespace tenure::core

using namespace tenure::core;

TENURE_EXPORT void* malloc(std::size_t bytes) {
  void* block = try_allocate(bytes);
  return likely(block != nullptr) ? block : malloc_slow(bytes);
}

TENURE_EXPORT void free(void* block) { deallocate(block, free_entry::free); }

TENURE_EXPORT void cfree(void* block) { deallocate(block, free_entry::free); }

TENURE_EXPORT void* calloc(std::size_t count, std::size_t bytes) {
  std::size_t total = 0;
  if (unlikely(__builtin_mul_overflow(count, bytes, &total))) return out_of_memory();
  return allocate_zeroed(total);
}

TENURE_EXPORT void* realloc(void* block, std::size_t bytes) {
  if (block == nullptr) return malloc(bytes);
  if (bytes == 0) return free_for_nothing(block);
  return reallocate(block, bytes);
}

TENURE_EXPORT void* reallocarray(void* block, std::size_t count, std::size_t bytes) {
  std::size_t total = 0;
  if (unlikely(__builtin_mul_overflow(count, bytes, &total))) return out_of_memory();
  return realloc(block, total);
}

TENURE_EXPORT void free_sized(void* block, std::size_t bytes) { free_with_size(block, bytes); }

TENURE_EXPORT void free_aligned_sized(void* block, std::size_t, std::size_t bytes) { free_with_size(block, bytes); }

TENURE_EXPORT int posix_memalign(void** result, std::size_t alignment, std::size_t bytes) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  void* block = allocate_aligned(bytes, alignment, allocation_entry::aligned, tenure::telemetry::own_caller());
  if (block == nullptr) return ENOMEM;
  *result = block;
  return 0;
}

TENURE_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return aligned_or_error(alignment, bytes);
}

// Old: takes any alignment and rounds it up to a power of two, as glibc does.
TENURE_EXPORT void* memalign(std::size_t alignment, std::size_t bytes) {
  std::size_t rounded = 16;
  while (rounded < alignment && rounded <= SIZE_MAX / 4) rounded *= 2;
  return aligned_or_error(rounded, bytes);
}

TENURE_EXPORT void* valloc(std::size_t bytes) { return aligned_or_error(tenure::os::page_bytes(), bytes); }

TENURE_EXPORT void* pvalloc(std::size_t bytes) {
  const std::size_t page = tenure::os::page_bytes();
  if (bytes > PTRDIFF_MAX - page) return out_of_memory();
  return aligned_or_error(page, align_up(bytes == 0 ? 1 : bytes, page));
}

TENURE_EXPORT std::size_t malloc_usable_size(void* block) { return usable_bytes(block); }

// The names under which glibc's own functions can be reached.
TENURE_EXPORT void* __libc_malloc(std::size_t bytes) { return malloc(bytes); }
TENURE_EXPORT void* __libc_calloc(std::size_t count, std::size_t bytes) { return calloc(count, bytes); }
TENURE_EXPORT void* __libc_realloc(void* block, std::size_t bytes) { return realloc(block, bytes); }
TENURE_EXPORT void __libc_free(void* block) { deallocate(block, free_entry::free); }
TENURE_EXPORT void __libc_cfree(void* block) { deallocate(block, free_entry::free); }
TENURE_EXPORT void* __libc_memalign(std::size_t alignment, std::size_t bytes) { return memalign(alignment, bytes); }
TENURE_EXPORT void* __libc_valloc(std::size_t bytes) { return valloc(bytes); }
TENURE_EXPORT void* __libc_pvalloc(std::size_t bytes) { return pvalloc(bytes); }
TENURE_EXPORT void* __libc_reallocarray(void* block, std::size_t count, std::size_t bytes) {
  return reallocarray(block, count, bytes);
}
TENURE_EXPORT int __posix_memalign(void** result, std::size_t alignment, std::size_t bytes) {
  return posix_memalign(result, alignment, bytes);
}
