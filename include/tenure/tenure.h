/* Tenure's C interface.
 *
 * Conventions, for every function here:
 *  1. Safe from any thread at any time, also inside signal handlers where it says so.
 *  2. No exceptions, no allocation on the caller's behalf; sizes are in bytes, times in nanoseconds.
 *  3. A struct that may grow begins with its own size, set by the caller: `tenure_statistics s = {sizeof s};`.
 *  4. int results: 1 yes or done, 0 no or refused; errno is left alone unless a function says otherwise.
 *  5. Nothing is removed inside a major version.
 *
 * Example:
 *     if (!tenure_is_active()) puts("malloc is not Tenure's");
 *     tenure_statistics s = {sizeof s};
 *     tenure_statistics_get(&s);
 *     printf("%zu bytes live\n", (size_t)s.live_bytes);
 */
#ifndef TENURE_TENURE_H
#define TENURE_TENURE_H

#include <stddef.h>
#include <stdint.h>

#include <tenure/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when malloc and free of this process are those of the heap that this interface speaks of; 0 where another malloc
 * came first, and in a program that has libtenure.so alone, whose heaps (below) work all the same.
 *
 * libtenure-malloc.so, or the object tenure-malloc.o, replaces malloc: by LD_PRELOAD, or linked. A program may have it
 * beside libtenure.so, and then one of the two serves every tenure_*: the one that the loader finds first, which has to
 * be the one that serves malloc. It is, except where a program links both and names libtenure.so first. */
TENURE_API int tenure_is_active(void);

/* "0.1.0". */
TENURE_API const char* tenure_version(void);

/* Options, by the lower-case names of `tenure options`; 0 for an unknown name or a value outside the option's range. */
TENURE_API int tenure_option_get(const char* name, int64_t* value);
TENURE_API int tenure_option_set(const char* name, int64_t value);

/* --- looking ----------------------------------------------------------------------------------------------------- */

/* Bytes usable in the block that begins at `block`; 0 for null and for what is no block's start. */
TENURE_API size_t tenure_block_size(const void* block);

/* The start of the block that covers `interior`, and its size; null for addresses of no block. Exact for blocks the
 * caller keeps alive; a free block's place answers as well. */
TENURE_API void* tenure_block_start(const void* interior, size_t* size);

typedef struct tenure_class_statistics {
  uint64_t block_bytes; /* 0: unused entry */
  uint64_t span_count;
  uint64_t span_bytes;
  uint64_t live_blocks;      /* with the program */
  uint64_t cached_blocks;    /* in thread caches */
  uint64_t batch_blocks;     /* between threads */
  uint64_t span_free_blocks; /* in spans */
} tenure_class_statistics;

/* Exact at one moment during the call.
 *   committed = live + cached + batch + fragmented + free_dirty + named_spans   (metadata is apart)
 * where live counts what blocks offer (usable bytes), fragmented the free blocks and unusable ends of spans. */
typedef struct tenure_statistics {
  size_t struct_size;
  uint64_t live_bytes, live_blocks; /* default heap, small and large */
  uint64_t cached_bytes;
  uint64_t batch_bytes;
  uint64_t fragmented_bytes;
  uint64_t committed_bytes;
  uint64_t free_dirty_bytes; /* waiting to be reused or returned to the system */
  uint64_t free_clean_bytes; /* address space only */
  uint64_t mapped_bytes;     /* committed + free_clean */
  uint64_t metadata_bytes;
  uint64_t large_bytes, large_blocks;                             /* part of live */
  uint64_t named_span_bytes, named_live_bytes, named_live_blocks; /* first-class heaps */
  uint64_t thread_caches;
  uint64_t unread_lists; /* thread-cache lists that could not be read: counted as live. 0 as a rule */
  tenure_class_statistics classes[64];
} tenure_statistics;

/* Fills as much as struct_size has room for. Costs a pass over all spans and caches with the heap's locks held: other
 * threads go on until they need more than their caches have. 0 when struct_size is too small for a figure. */
TENURE_API int tenure_statistics_get(tenure_statistics* statistics);

/* The same as text or JSON, NUL-terminated. Returns the bytes needed without the NUL; what does not fit is cut. */
TENURE_API size_t tenure_statistics_text(char* buffer, size_t capacity);
TENURE_API size_t tenure_statistics_json(char* buffer, size_t capacity);

/* Calls visit for every block that was live at one moment, without a lock held; stops when it returns 0. heap_name is
 * null for the default heap. 0 when there was no memory for the walk. */
typedef int (*tenure_walk_visitor)(void* context, const void* block, size_t size, const char* heap_name);
typedef struct tenure_walk_result {
  uint64_t blocks, bytes, unread_lists;
} tenure_walk_result;
TENURE_API int tenure_walk(tenure_walk_visitor visit, void* context, tenure_walk_result* result);

/* --- changing ---------------------------------------------------------------------------------------------------- */

/* Gives what is cached and free back to the system now: the calling thread's cache, batches, free pages. Bytes
 * returned. */
TENURE_API size_t tenure_purge(void);

/* Aborts with a message if a structure of the heap is inconsistent. */
TENURE_API void tenure_check(void);

/* First-class heaps: blocks in spans of their own, exact counts, all freed at once. Where tenure_is_active(), free()
 * and realloc() accept their blocks too. Destroying a heap while another thread uses it is the caller's error. */
typedef struct tenure_heap tenure_heap;
typedef struct tenure_heap_stats {
  size_t struct_size;
  uint64_t live_bytes, live_blocks, span_bytes, allocated_bytes, allocations, peak_live_bytes;
} tenure_heap_stats;

/* null with ENOMEM; the name is cut at 63 bytes */
TENURE_API tenure_heap* tenure_heap_create(const char* name);
/* null with ENOMEM or EINVAL */
TENURE_API void* tenure_heap_allocate(tenure_heap* heap, size_t bytes, size_t alignment);
TENURE_API void tenure_heap_free(tenure_heap* heap, void* block); /* a block of another heap ends in a message */
TENURE_API int tenure_heap_statistics(tenure_heap* heap, tenure_heap_stats* statistics);
TENURE_API const char* tenure_heap_name(const tenure_heap* heap);
TENURE_API void tenure_heap_destroy(tenure_heap* heap); /* every block of it is gone */

/* For tests: the nth call to the system from now on, and each one after it, fails; 0 ends that. */
TENURE_API void tenure_testing_fail_from_nth_call(uint64_t nth);

#ifdef __cplusplus
}
#endif

#endif
