// A program that calls each function of the heap's surface from one function of its own, and says how many blocks each
// of these had and how many it let go: "by_malloc 3 0". Linked with the heap, so that its frames lie in the program.
#include <tenure/tenure.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include <malloc.h>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* __libc_valloc(std::size_t);
void* __libc_pvalloc(std::size_t);
void* __libc_reallocarray(void*, std::size_t, std::size_t);
int __posix_memalign(void**, std::size_t, std::size_t);
void __libc_free(void*);
void free_sized(void*, std::size_t);
void free_aligned_sized(void*, std::size_t, std::size_t);
}

namespace {

// A size class of the table, another one, a large block.
constexpr std::size_t sizes[] = {100, 20'000, 300'000};
constexpr std::size_t size_count = sizeof sizes / sizeof *sizes;

tenure_heap* heap = nullptr;

// No call in front of it is the last of its function, which would make it a jump.
inline void after_the_call() { asm volatile("" ::: "memory"); }

void say(const char* name, std::size_t allocated, std::size_t freed) {
  std::printf("%s %zu %zu\n", name, allocated, freed);
}

}  // namespace

// Each is a frame of its own, with the name that it says.
#define SURFACE(name, ...) extern "C" __attribute__((noinline, noclone, used)) __VA_ARGS__

#define ALLOCATES(name, call)                    \
  SURFACE(name, void* name(std::size_t bytes)) { \
    void* block = call;                          \
    after_the_call();                            \
    return block;                                \
  }
#define FREES(name, call)                                    \
  SURFACE(name, void name(void* block, std::size_t bytes)) { \
    (void)bytes;                                             \
    call;                                                    \
    after_the_call();                                        \
  }

ALLOCATES(by_malloc, std::malloc(bytes))
ALLOCATES(by_calloc, std::calloc(1, bytes))
ALLOCATES(by_realloc_of_nothing, std::realloc(nullptr, bytes))
ALLOCATES(by_reallocarray_of_nothing, ::reallocarray(nullptr, 1, bytes))
ALLOCATES(by_aligned_alloc, std::aligned_alloc(64, bytes))
ALLOCATES(by_memalign, ::memalign(64, bytes))
ALLOCATES(by_memalign_to_pages, ::memalign(65536, bytes))
ALLOCATES(by_valloc, ::valloc(bytes))
ALLOCATES(by_pvalloc, ::pvalloc(bytes))
ALLOCATES(by_libc_malloc, __libc_malloc(bytes))
ALLOCATES(by_libc_calloc, __libc_calloc(1, bytes))
ALLOCATES(by_libc_realloc, __libc_realloc(nullptr, bytes))
ALLOCATES(by_libc_memalign, __libc_memalign(64, bytes))
ALLOCATES(by_libc_valloc, __libc_valloc(bytes))
ALLOCATES(by_libc_pvalloc, __libc_pvalloc(bytes))
ALLOCATES(by_libc_reallocarray, __libc_reallocarray(nullptr, 1, bytes))
ALLOCATES(by_new, ::operator new(bytes))
ALLOCATES(by_new_array, ::operator new[](bytes))
ALLOCATES(by_new_nothrow, ::operator new(bytes, std::nothrow))
ALLOCATES(by_new_array_nothrow, ::operator new[](bytes, std::nothrow))
ALLOCATES(by_new_aligned, ::operator new(bytes, std::align_val_t(64)))
ALLOCATES(by_new_array_aligned, ::operator new[](bytes, std::align_val_t(64)))
ALLOCATES(by_new_aligned_nothrow, ::operator new(bytes, std::align_val_t(64), std::nothrow))
ALLOCATES(by_new_array_aligned_nothrow, ::operator new[](bytes, std::align_val_t(64), std::nothrow))
ALLOCATES(by_heap_allocate, tenure_heap_allocate(heap, bytes, 16))
SURFACE(by_posix_memalign, void* by_posix_memalign(std::size_t bytes)) {
  void* block = nullptr;
  const bool is_had = ::posix_memalign(&block, 64, bytes) == 0;
  after_the_call();
  return is_had ? block : nullptr;
}
SURFACE(by_posix_memalign_within, void* by_posix_memalign_within(std::size_t bytes)) {
  void* block = nullptr;
  const bool is_had = __posix_memalign(&block, 64, bytes) == 0;
  after_the_call();
  return is_had ? block : nullptr;
}

FREES(by_free, std::free(block))
FREES(by_libc_free, __libc_free(block))
FREES(by_realloc_to_nothing, (void)!std::realloc(block, 0))
FREES(by_free_sized, ::free_sized(block, bytes))
FREES(by_free_aligned_sized, ::free_aligned_sized(block, 16, bytes))
FREES(by_heap_free, tenure_heap_free(heap, block))
FREES(by_delete, ::operator delete(block))
FREES(by_delete_sized, ::operator delete(block, bytes))
FREES(by_delete_nothrow, ::operator delete(block, std::nothrow))
FREES(by_delete_array, ::operator delete[](block))
FREES(by_delete_array_sized, ::operator delete[](block, bytes))
FREES(by_delete_array_nothrow, ::operator delete[](block, std::nothrow))
FREES(by_delete_aligned, ::operator delete(block, std::align_val_t(64)))
FREES(by_delete_aligned_sized, ::operator delete(block, bytes, std::align_val_t(64)))
FREES(by_delete_aligned_nothrow, ::operator delete(block, std::align_val_t(64), std::nothrow))
FREES(by_delete_array_aligned, ::operator delete[](block, std::align_val_t(64)))
FREES(by_delete_array_aligned_sized, ::operator delete[](block, bytes, std::align_val_t(64)))
FREES(by_delete_array_aligned_nothrow, ::operator delete[](block, std::align_val_t(64), std::nothrow))

// One block had, one let go.
SURFACE(by_realloc, void* by_realloc(void* block, std::size_t bytes)) {
  void* moved = std::realloc(block, bytes);
  after_the_call();
  return moved;
}
SURFACE(by_heap_destroy, void by_heap_destroy(tenure_heap* of)) {
  tenure_heap_destroy(of);
  after_the_call();
}

namespace {

struct way {
  const char* name;
  void* (*allocate)(std::size_t);
  const char* end_name;
  void (*release)(void*, std::size_t);
};
#define WAY(allocate, release) \
  { #allocate, allocate, #release, release }
const way ways[] = {
    WAY(by_malloc, by_free),
    WAY(by_calloc, by_libc_free),
    WAY(by_realloc_of_nothing, by_realloc_to_nothing),
    WAY(by_reallocarray_of_nothing, by_free_sized),
    WAY(by_aligned_alloc, by_free),
    WAY(by_memalign, by_free_aligned_sized),
    WAY(by_memalign_to_pages, by_free),
    WAY(by_valloc, by_free),
    WAY(by_pvalloc, by_free),
    WAY(by_libc_malloc, by_free),
    WAY(by_libc_calloc, by_free),
    WAY(by_libc_realloc, by_free),
    WAY(by_libc_memalign, by_free),
    WAY(by_libc_valloc, by_free),
    WAY(by_libc_pvalloc, by_free),
    WAY(by_libc_reallocarray, by_free),
    WAY(by_posix_memalign, by_free),
    WAY(by_posix_memalign_within, by_free),
    WAY(by_new, by_delete),
    WAY(by_new, by_delete_sized),
    WAY(by_new_nothrow, by_delete_nothrow),
    WAY(by_new_array, by_delete_array),
    WAY(by_new_array, by_delete_array_sized),
    WAY(by_new_array_nothrow, by_delete_array_nothrow),
    WAY(by_new_aligned, by_delete_aligned),
    WAY(by_new_aligned, by_delete_aligned_sized),
    WAY(by_new_aligned_nothrow, by_delete_aligned_nothrow),
    WAY(by_new_array_aligned, by_delete_array_aligned),
    WAY(by_new_array_aligned, by_delete_array_aligned_sized),
    WAY(by_new_array_aligned_nothrow, by_delete_array_aligned_nothrow),
    WAY(by_heap_allocate, by_heap_free),
};

// From small to small where it lies, to another class, to a large block, to a larger one, to a much larger one, back.
void reallocate() {
  constexpr std::size_t steps[] = {90, 700, 300'000, 310'000, 3'000'000, 20'000, 16};
  void* block = std::malloc(100);
  for (const std::size_t bytes : steps) block = by_realloc(block, bytes);
  std::free(block);
  say("by_realloc", sizeof steps / sizeof *steps, sizeof steps / sizeof *steps);
}

}  // namespace

int main() {
  heap = tenure_heap_create("surface");
  tenure_heap* const doomed = tenure_heap_create("doomed");
  if (heap == nullptr || doomed == nullptr) return 1;
  for (const way& one : ways) {
    for (const std::size_t bytes : sizes) {
      void* block = one.allocate(bytes);
      if (block == nullptr) return 1;
      one.release(block, bytes);
    }
    say(one.name, size_count, 0);
    say(one.end_name, 0, size_count);
  }
  reallocate();
  for (const std::size_t bytes : sizes)
    if (tenure_heap_allocate(doomed, bytes, 16) == nullptr) return 1;
  by_heap_destroy(doomed);
  say("by_heap_destroy", 0, size_count);
  return 0;
}
