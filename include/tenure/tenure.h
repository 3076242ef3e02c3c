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
  tenure_class_statistics classes[128];
} tenure_statistics;

/* Fills as much as struct_size has room for. Costs a pass over all spans and caches with the heap's locks held: other
 * threads go on until they need more than their caches have. 0 when struct_size is too small for a figure. */
TENURE_API int tenure_statistics_get(tenure_statistics* statistics);

/* The same as text or JSON, NUL-terminated, and the figures of each first-class heap, each of its own moment. Returns
 * the bytes needed without the NUL; what does not fit is cut. */
TENURE_API size_t tenure_statistics_text(char* buffer, size_t capacity);
TENURE_API size_t tenure_statistics_json(char* buffer, size_t capacity);

/* Calls visit for every block that was live at one moment, without a lock held; stops when it returns 0. heap_name is
 * null for the default heap. 0 when there was no memory for the walk. */
typedef int (*tenure_walk_visitor)(void* context, const void* block, size_t size, const char* heap_name);
typedef struct tenure_walk_result {
  uint64_t blocks, bytes, unread_lists;
} tenure_walk_result;
TENURE_API int tenure_walk(tenure_walk_visitor visit, void* context, tenure_walk_result* result);

/* Stops all other threads for a moment and calls visit for the stack of each, from its pointer on, and for its
 * registers; stops when it returns 0. visit takes no lock and allocates nothing: they may hold any lock meanwhile.
 * System calls that wait may return EINTR. 0 when it could not be done: they cannot be listed, another scan goes on. */
typedef int (*tenure_stack_visitor)(void* context, const void* begin, size_t bytes, unsigned thread_id);
TENURE_API int tenure_walk_stacks(tenure_stack_visitor visit, void* context);

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

/* The heap's account, below: its limits bound the heap's spans. Null where the ledger had no record for it. */
struct tenure_account;
TENURE_API struct tenure_account* tenure_heap_account(const tenure_heap* heap);

/* --- the budget --------------------------------------------------------------------------------------------------
 *
 * One ledger for the process. An account has a name, a kind ("arena", "cache", ...), limits, and stands below another
 * one or by itself. What an owner takes it charges, what it gives back it releases; accounts above hold the sum of
 * those below. `tenure run` shows each account with these figures, read from shared memory.
 *
 *     tenure_account* images = tenure_account_create("decoded images", "cache", NULL);
 *     tenure_account_set_limits(images, 200 << 20, 256 << 20);
 *     if (!tenure_account_charge(images, bytes, 1)) return too_much();
 *     ...
 *     tenure_account_release(images, bytes, 1);
 *
 * Cost: a compare-and-swap for each account from this one up, some 6 ns; two when blocks are counted. */
typedef struct tenure_account tenure_account;

#define TENURE_NO_LIMIT UINT64_MAX

/* Name and kind are copied, and cut at 63 and 23 bytes. `parent` may be null. Null with ENOMEM when the ledger has no
 * record left (2048 are open) or the system no memory: the tenure_account_* functions take null and do nothing then. */
TENURE_API tenure_account* tenure_account_create(const char* name, const char* kind, tenure_account* parent);

/* What it still holds leaves the accounts above as well. 0, and nothing happens, while accounts stand below it or
 * shrinkers are registered with it. Its name and peaks stay in the report. */
TENURE_API int tenure_account_destroy(tenure_account* account);

/* Adds to what the account and those above it hold. Beyond a hard limit shrinkers are asked first (the caller holds no
 * lock that one of them needs), and 0 is returned when they do not give enough: nothing has been charged then. Held
 * bytes are never beyond the limit, not for a moment. Beyond a soft limit shrinkers are asked, and it is 1. */
TENURE_API int tenure_account_charge(tenure_account* account, uint64_t bytes, uint64_t blocks);

/* More than is held ends in a message that names the account. */
TENURE_API void tenure_account_release(tenure_account* account, uint64_t bytes, uint64_t blocks);

/* A limit below what is held refuses further charges and takes nothing away. */
TENURE_API void tenure_account_set_limits(tenure_account* account, uint64_t soft_bytes, uint64_t hard_bytes);

/* What the owner's users have of what it holds, published by the owner: one writer, or writers under one lock, by
 * relaxed atomic stores. An account whose owner has asked for this line is shown with it. A cache line of its own. */
typedef struct tenure_account_use {
  uint64_t used_bytes;
  uint64_t used_blocks;
  uint64_t peak_used_bytes;
  uint64_t allocations; /* since the account was first created */
} tenure_account_use;
TENURE_API tenure_account_use* tenure_account_publish_use(tenure_account* account);

/* What lies in the account, for an owner that samples its objects: `tenure run` shows it by type and by call site. A
 * sample stands for so many bytes and so many thousandths of objects until it is removed with the same figures, at the
 * latest when the account is destroyed. The type's name is cut at 128 bytes, the stack at 12 frames. Returns a number
 * for the removal; 0, and nothing is to be removed, when there are more than 1024 pairs of type and stack. */
TENURE_API uint32_t tenure_account_add_content(tenure_account* account, const char* type, size_t type_bytes,
                                               const uint64_t* frames, uint32_t frame_count, uint64_t bytes,
                                               uint64_t object_thousandths);
TENURE_API void tenure_account_remove_content(uint32_t content, uint64_t bytes, uint64_t object_thousandths);

typedef struct tenure_account_stats {
  size_t struct_size;
  uint64_t held_bytes, held_blocks, peak_held_bytes;              /* those of accounts below included */
  uint64_t soft_limit_bytes, hard_limit_bytes;                    /* TENURE_NO_LIMIT: none */
  uint64_t refusals;                                              /* charges that this account's hard limit refused */
  uint64_t used_bytes, used_blocks, peak_used_bytes, allocations; /* 0 where the owner does not publish them */
  int publishes_use;
  const char* name; /* until the account is destroyed */
  const char* kind;
  tenure_account* parent; /* or null */
} tenure_account_stats;
TENURE_API int tenure_account_statistics(const tenure_account* account, tenure_account_stats* statistics);

/* Calls visit for every open account, with no lock held; stops when it returns 0. An account that is created or
 * destroyed meanwhile may be left out. */
typedef int (*tenure_account_visitor)(void* context, tenure_account* account, const tenure_account_stats* statistics);
TENURE_API void tenure_account_visit(tenure_account_visitor visit, void* context);

/* Accounts for which the ledger had no record: what they hold is in no figure. */
TENURE_API uint64_t tenure_account_refused_count(void);

typedef enum tenure_pressure_level {
  TENURE_PRESSURE_SOFT_LIMIT = 1, /* an account is beyond its soft limit; nobody waits */
  TENURE_PRESSURE_HARD_LIMIT = 2, /* an allocation fails unless memory comes back */
  TENURE_PRESSURE_PROCESS = 3     /* the process is short of memory: tenure_relieve_pressure() */
} tenure_pressure_level;

typedef struct tenure_pressure {
  size_t struct_size;
  tenure_pressure_level level;
  tenure_account* origin; /* whose limit it is; null for the process */
  uint64_t wanted_bytes;  /* what is still missing */
} tenure_pressure;

/* A function that can give memory back, registered with the account it is charged to. Those with the least priority are
 * asked first, among equals the oldest. It runs on the thread that met the limit, with no lock of Tenure's held, and
 * returns the bytes that it released. Within it no other shrinker is started. A null account: it is asked when the
 * process is short, and not at an account's limit. 0 when 256 are registered. */
typedef uint64_t (*tenure_shrink_function)(void* context, const tenure_pressure* pressure);
typedef uint32_t tenure_shrinker;
TENURE_API tenure_shrinker tenure_shrinker_register(tenure_account* account, int32_t priority,
                                                    tenure_shrink_function shrink, void* context);

/* Returns when the function has returned on every thread; not to be called within it. */
TENURE_API void tenure_shrinker_unregister(tenure_shrinker shrinker);

/* Asks all shrinkers until so many bytes have come back. Bytes that did. */
TENURE_API uint64_t tenure_relieve_pressure(uint64_t wanted_bytes);

/* --- stacks ------------------------------------------------------------------------------------------------------ */

/* Return addresses of the caller and of its callers, innermost first; without frame pointers, by the program's unwind
 * tables. The number written. Some 5 ns a frame when the tables are known; safe in a signal handler. */
TENURE_API uint32_t tenure_stack_capture(uint64_t* frames, uint32_t capacity);

/* --- tallies: what one thread allocates, for tests ---------------------------------------------------------------
 *
 * From begin to end every allocation of the calling thread is counted, with its stack, and every free of such a block,
 * by whatever thread. Other threads are not counted and not slowed down; the calling thread's malloc and free take
 * some hundred nanoseconds meanwhile. Tallies of a thread may lie in one another. <tenure/testing.hpp> makes test
 * assertions of them.
 *
 *     tenure_tally* tally = tenure_tally_begin();
 *     work();
 *     tenure_tally_end(tally);
 *     tenure_tally_stats s = {sizeof s};
 *     tenure_tally_statistics(tally, &s);
 *     assert(s.live_blocks == 0);
 *     tenure_tally_free(tally);
 */
typedef struct tenure_tally tenure_tally;

/* Null where malloc is not this heap's (tenure_is_active()), and where the system has no memory for it. */
TENURE_API tenure_tally* tenure_tally_begin(void);

/* By the thread that has begun it. What is counted stays readable. 0, and nothing happens, when it is not one of the
 * calling thread's or has ended. */
TENURE_API int tenure_tally_end(tenure_tally* tally);
/* After the end. Null is ignored. */
TENURE_API void tenure_tally_free(tenure_tally* tally);

/* Between them the calling thread's allocations are counted in none of its tallies: for whoever looks at one. */
TENURE_API void tenure_tally_suspend(void);
TENURE_API void tenure_tally_resume(void);

typedef struct tenure_tally_stats {
  size_t struct_size;
  uint64_t allocations, allocated_bytes; /* bytes as requested; a realloc is a free and an allocation */
  uint64_t frees;                        /* by the thread, of whatever block */
  uint64_t live_blocks, live_bytes;      /* of the allocations, freed by nobody */
  uint64_t peak_live_bytes;
  uint64_t missed; /* in signal handlers that interrupted the counting: 0 as a rule */
} tenure_tally_stats;
/* 0 when struct_size is too small for a figure. */
TENURE_API int tenure_tally_statistics(const tenure_tally* tally, tenure_tally_stats* statistics);

typedef struct tenure_tally_site {
  const uint64_t*
      frames;           /* return addresses, innermost first; the first are malloc's own. For as long as the process */
  uint32_t frame_count; /* lives; 0 where there was no room for the stack */
  uint64_t allocations, allocated_bytes;
  uint64_t live_blocks, live_bytes;
} tenure_tally_site;
/* Calls visit for every stack that allocated, with no lock held; stops when it returns 0. 0 when there was no memory
 * for the walk. */
typedef int (*tenure_tally_visitor)(void* context, const tenure_tally_site* site);
TENURE_API int tenure_tally_visit(const tenure_tally* tally, tenure_tally_visitor visit, void* context);

/* For tests: the nth call to the system from now on, and each one after it, fails; 0 ends that. */
TENURE_API void tenure_testing_fail_from_nth_call(uint64_t nth);

#ifdef __cplusplus
}
#endif

#endif
