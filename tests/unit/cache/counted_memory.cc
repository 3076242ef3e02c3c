#include "counted_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace tenure::test::counted_memory {

void add(std::int64_t bytes) noexcept {
  const std::int64_t now = inside.fetch_add(bytes) + bytes;
  if (bytes < 0) return;
  std::int64_t most = most_inside.load(std::memory_order_relaxed);
  while (now > most && !most_inside.compare_exchange_weak(most, now)) {
  }
  if (now > bound.load(std::memory_order_relaxed)) beyond.fetch_add(1);
}
std::int64_t usable(void* block) noexcept { return static_cast<std::int64_t>(malloc_usable_size(block)); }

namespace {

void* counted(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  if (calls > 0) add(usable(block));
  return block;
}
void give(void* block) noexcept {
  if (block != nullptr && calls > 0) add(-usable(block));
  std::free(block);
}

}  // namespace
}  // namespace tenure::test::counted_memory

using namespace tenure::test;

void* operator new(std::size_t bytes) { return counted_memory::counted(std::malloc(bytes)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return counted_memory::counted(std::aligned_alloc(to, (bytes + to - 1) / to * to));
}
void operator delete(void* block) noexcept { counted_memory::give(block); }
void operator delete(void* block, std::size_t) noexcept { counted_memory::give(block); }
void operator delete(void* block, std::align_val_t) noexcept { counted_memory::give(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { counted_memory::give(block); }

extern "C" {
void* __real_mmap(void*, std::size_t, int, int, int, off_t);
int __real_munmap(void*, std::size_t);
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void* at, std::size_t bytes);
}
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  void* const range = __real_mmap(at, bytes, protection, flags, file, offset);
  if (range != MAP_FAILED && counted_memory::calls > 0) counted_memory::add(static_cast<std::int64_t>(bytes));
  return range;
}
int __wrap_munmap(void* at, std::size_t bytes) {
  if (counted_memory::calls > 0) counted_memory::add(-static_cast<std::int64_t>(bytes));
  return __real_munmap(at, bytes);
}
