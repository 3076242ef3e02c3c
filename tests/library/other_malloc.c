/* Another malloc, which hands out a region from one end and takes nothing back: preloaded before Tenure's, or linked
 * into the program, it is the one that serves. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static unsigned char memory[256 << 20];
static size_t used;

/* The size stands before the block, for realloc. */
static void* take(size_t alignment, size_t bytes) {
  if (bytes > sizeof memory / 2 || alignment > sizeof memory / 4) return NULL;
  const size_t reserved = bytes + 2 * alignment + 32;
  const size_t at = __atomic_fetch_add(&used, reserved, __ATOMIC_RELAXED);
  if (at + reserved > sizeof memory) return NULL;
  const uintptr_t block = ((uintptr_t)(memory + at) + 16 + alignment - 1) / alignment * alignment;
  ((size_t*)block)[-1] = bytes;
  return (void*)block;
}

void* malloc(size_t bytes) { return take(16, bytes); }
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t bytes) {
  return bytes != 0 && count > SIZE_MAX / bytes ? NULL : take(16, count * bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) { return take(alignment < 16 ? 16 : alignment, bytes); }

int posix_memalign(void** result, size_t alignment, size_t bytes) {
  *result = take(alignment < 16 ? 16 : alignment, bytes);
  return *result == NULL ? ENOMEM : 0;
}

void* realloc(void* block, size_t bytes) {
  void* moved = take(16, bytes);
  if (block != NULL && moved != NULL) {
    const size_t before = ((size_t*)block)[-1];
    memcpy(moved, block, before < bytes ? before : bytes);
  }
  return moved;
}
