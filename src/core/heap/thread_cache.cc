#include "core/heap/thread_cache.h"

#include <pthread.h>
#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/background.h"
#include "core/heap/central_list.h"
#include "core/heap/emergency.h"
#include "core/heap/heap.h"
#include "core/heap/recorded_cache.h"
#include "core/heap/sampled.h"
#include "core/os/clock.h"
#include "core/pages/metadata.h"
#include "core/pages/page_map.h"

namespace tenure::core {

constinit thread_local hot_cache hot __attribute__((tls_model("initial-exec")));

namespace {

constexpr std::uint32_t first_target = 2;
constexpr std::uint32_t slow_paths_between_looks = 256;
constexpr std::uint32_t visits_between = 8;  // of a class, before a list that fills an OS page grows

os::mutex registry_lock;
thread_record* records = nullptr;
thread_record* free_records = nullptr;
pthread_key_t exit_key;
bool exit_key_made = false;

std::uint32_t freed_count(const hot_cache& cache, const class_state& state, std::size_t size_class) noexcept {
  const std::int32_t room = cache.room[size_class] < 0 ? 0 : cache.room[size_class];
  return state.capacity - static_cast<std::uint32_t>(room);
}

block_chain take_freed(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  block_chain chain{decode_link(cache.freed[size_class]), freed_count(cache, state, size_class)};
  TENURE_DCHECK((chain.first == nullptr) == (chain.count == 0));
  cache.freed[size_class] = empty_link;
  cache.room[size_class] = static_cast<std::int32_t>(state.capacity);
  return chain;
}

// A list whose length is not known.
block_chain take_counted(std::uintptr_t* head) noexcept {
  block_chain chain{decode_link(*head), 0};
  for (free_block* block = chain.first; block != nullptr; block = next_of(block)) ++chain.count;
  *head = empty_link;
  return chain;
}

// Appends `tail` behind `front`; front is short.
block_chain join(block_chain front, block_chain tail) noexcept {
  if (front.count == 0) return tail;
  free_block* last = front.first;
  while (next_of(last) != nullptr) last = next_of(last);
  last->link = encode_link(tail.first);
  return {front.first, front.count + tail.count};
}

// Up to this many bytes a list grows at each visit: an OS page, which its first block has touched anyway, or less where
// many threads share the pages.
std::uint64_t quick_bytes() noexcept {
  constexpr std::uint64_t page_bytes = 4096;
  constexpr std::uint64_t all_threads_bytes = 128 * 1024;
  const std::uint64_t threads = __atomic_load_n(&telemetry::statistics().thread_cache_count, __ATOMIC_RELAXED);
  return threads * page_bytes <= all_threads_bytes ? page_bytes : all_threads_bytes / threads;
}

// Doubles a length, within the class's batch and the thread's limit.
void grow(thread_record& record, class_state& state, std::uint32_t* length, std::size_t size_class) noexcept {
  const std::uint32_t most = largest_batch(size_class);
  const std::uint32_t size = class_bytes[size_class];
  if (*length >= most) return;
  if (std::uint64_t{*length} * size >= quick_bytes() && ++state.visits < visits_between) return;
  const std::uint32_t doubled = *length == 0 ? first_target : *length * 2 > most ? most : *length * 2;
  const std::uint64_t added = std::uint64_t{doubled - *length} * size;
  if (record.held_limit_bytes + added > static_cast<std::uint64_t>(value(option::thread_cache))) return;
  state.visits = 0;
  record.held_limit_bytes += added;
  *length = doubled;
}

void shrink(thread_record& record, std::uint32_t* length, std::size_t size_class) noexcept {
  const std::uint32_t less = *length / 2;
  record.held_limit_bytes -= std::uint64_t{*length - less} * class_bytes[size_class];
  *length = less;
}

void drop_extra(thread_record& record, class_state& state, std::size_t size_class) noexcept {
  record.held_limit_bytes -= std::uint64_t{state.extra} * class_bytes[size_class];
  state.extra = 0;
}

// What is about to become the alloc list may be longer than the target: somebody else's batch, or this thread's freed
// list. Where the limit has no room for that, the rest goes to the central list; one block stays, for the caller.
block_chain keep_within_limit(thread_record& record, class_state& state, std::size_t size_class,
                              block_chain chain) noexcept {
  drop_extra(record, state, size_class);
  if (chain.count <= state.target) return chain;
  const std::uint32_t extra = chain.count - state.target;
  const std::uint64_t added = std::uint64_t{extra} * class_bytes[size_class];
  if (record.held_limit_bytes + added <= static_cast<std::uint64_t>(value(option::thread_cache))) {
    record.held_limit_bytes += added;
    state.extra = extra;
    return chain;
  }
  const std::uint32_t kept = state.target == 0 ? 1 : state.target;
  free_block* last = chain.first;
  for (std::uint32_t i = 1; i < kept; ++i) last = next_of(last);
  const block_chain rest{next_of(last), chain.count - kept};
  last->link = empty_link;
  central_lists[size_class].give(size_class, rest);
  return {chain.first, kept};
}

void draw_next(thread_record& record) noexcept;

// Makes `chain` the alloc list, up to the next sampling point; what lies behind it is set aside.
void install(hot_cache& cache, thread_record& record, class_state& state, std::size_t size_class,
             block_chain chain) noexcept {
  TENURE_DCHECK(cache.alloc[size_class] == empty_link);
  TENURE_DCHECK(state.aside == nullptr && !state.sample_due);
  if (chain.count == 0) return;
  const std::uint64_t size = class_bytes[size_class];
  telemetry::sample_clock& clock = record.clock;
  const auto total = static_cast<std::int64_t>(chain.count * size);
  if (clock.interval_bytes == 0 || clock.bytes_until_sample > total) {
    if (clock.interval_bytes != 0) clock.bytes_until_sample -= total;
    cache.alloc[size_class] = encode_link(chain.first);
    return;
  }
  // The block in which the point falls: `before` whole blocks end ahead of it.
  const std::uint64_t point = clock.bytes_until_sample > 0 ? static_cast<std::uint64_t>(clock.bytes_until_sample) : 1;
  const auto before = static_cast<std::uint32_t>((point - 1) / size);
  TENURE_CHECK(before < chain.count);
  state.sample_due = true;
  state.sample_interval_bytes = clock.interval_bytes;
  draw_next(record);  // this point is taken: no other class may meet it
  state.aside = chain.first;
  state.aside_count = chain.count - before;
  if (before == 0) return;
  cache.alloc[size_class] = encode_link(chain.first);
  free_block* last = chain.first;
  for (std::uint32_t i = 1; i < before; ++i) last = next_of(last);
  state.aside = next_of(last);
  last->link = empty_link;
}

void* pop(hot_cache& cache, std::size_t size_class) noexcept {
  free_block* block = decode_link(cache.alloc[size_class]);
  if (block == nullptr) return nullptr;
  cache.alloc[size_class] = block->link;
  block->link = 0;
  return block;
}

// After a sample: the distance to the next one. A thread has credit for some samples in a row and earns one in each
// `sample_spacing`; when it is used up the mean is doubled, and halved again when there is plenty. What decides is the
// past only, so it stays a Poisson process, with an interval that each sample carries.
void draw_next(thread_record& record) noexcept {
  constexpr unsigned most_doublings = 16;
  constexpr std::int64_t most_samples = 512;
  const std::int64_t spacing_ns = value(option::sample_spacing) * 1000;
  const std::uint64_t now_ns = os::monotonic_ns();
  const auto elapsed_ns = static_cast<std::int64_t>(now_ns - record.last_sample_ns);
  record.last_sample_ns = now_ns;
  const std::int64_t earned_ns = elapsed_ns < most_samples * spacing_ns ? elapsed_ns : most_samples * spacing_ns;
  record.sample_credit_ns += earned_ns - spacing_ns;
  if (record.sample_credit_ns > most_samples * spacing_ns) record.sample_credit_ns = most_samples * spacing_ns;
  if (record.sample_credit_ns < 0) {
    record.sample_credit_ns = 0;
    if (record.sample_doublings < most_doublings) ++record.sample_doublings;
  } else if (record.sample_doublings != 0 && record.sample_credit_ns > most_samples / 8 * spacing_ns) {
    --record.sample_doublings;
  }
  record.clock.next(record.sample_doublings);
}

block_chain take_aside(class_state& state) noexcept {
  block_chain chain{state.aside, state.aside_count};
  state.aside = nullptr;
  state.aside_count = 0;
  return chain;
}

// Gives one class's blocks up.
void flush_class(hot_cache& cache, class_state& state, std::size_t size_class) noexcept {
  central_list& central = central_lists[size_class];
  central.give(size_class, take_freed(cache, state, size_class));
  central.give(size_class, take_aside(state));
  state.sample_due = false;
  central.give(size_class, take_counted(&cache.alloc[size_class]));
}

// Classes that met no slow path since the last look are given up and start small again.
void drop_neglected(hot_cache& cache, thread_record& record) noexcept {
  for (std::size_t i = 1; i < class_count; ++i) {
    class_state& state = record.classes[i];
    if (state.used) {
      state.used = false;
      continue;
    }
    if (state.capacity == 0 && state.target == 0 && state.extra == 0) continue;
    flush_class(cache, state, i);
    drop_extra(record, state, i);
    shrink(record, &state.target, i);
    shrink(record, &state.capacity, i);
    cache.room[i] = static_cast<std::int32_t>(state.capacity);
  }
}

void note_slow_path(hot_cache& cache, thread_record& record, class_state& state) noexcept {
  state.used = true;
  if (++record.slow_paths % slow_paths_between_looks != 0) return;
  drop_neglected(cache, record);
  if (record.clock.interval_bytes == 0) record.clock.next();  // it may have been switched on meanwhile
}

// The common case: what was freed takes the place of what is used up, if that is enough, no sample falls into it and no
// length is to be looked at.
bool swap_lists(hot_cache& cache, thread_record& record, std::size_t size_class) noexcept {
  class_state& state = record.classes[size_class];
  const std::uint32_t count = freed_count(cache, state, size_class);
  const auto bytes = static_cast<std::int64_t>(count) * class_bytes[size_class];
  if (count < state.target || count > state.target + state.extra || count == 0) return false;
  if (record.clock.bytes_until_sample <= bytes || record.clock.interval_bytes == 0) return false;
  if (cache.alloc[size_class] != empty_link || state.sample_due) return false;
  if (record.slow_paths % slow_paths_between_looks == slow_paths_between_looks - 1) return false;
  if (state.target < largest_batch(size_class) && ++state.visits >= visits_between) return false;
  state.used = true;
  ++record.slow_paths;
  record.clock.bytes_until_sample -= bytes;
  cache.alloc[size_class] = cache.freed[size_class];
  cache.freed[size_class] = empty_link;
  cache.room[size_class] = static_cast<std::int32_t>(state.capacity);
  return true;
}

// The slow path's work of malloc; the record's lock is held.
void* refill_held(hot_cache& cache, thread_record& record, std::size_t size_class, std::size_t requested_bytes,
                  wire::allocation_entry entry) noexcept {
  class_state& state = record.classes[size_class];
  for (;;) {
    if (void* block = pop(cache, size_class)) return block;
    if (state.sample_due) {
      state.sample_due = false;
      const std::uint64_t interval_bytes = state.sample_interval_bytes;
      install(cache, record, state, size_class, take_aside(state));
      if (unlikely(state.target + state.extra == 0)) flush_class(cache, state, size_class);
      void* sampled = allocate_sampled(size_class, requested_bytes, interval_bytes, entry);
      if (sampled != nullptr) return sampled;
      continue;
    }
    note_slow_path(cache, record, state);
    block_chain chain = take_freed(cache, state, size_class);
    if (chain.count <= state.target) grow(record, state, &state.target, size_class);
    if (chain.count < (state.target + 1) / 2 || chain.count == 0) {
      const std::uint32_t wanted = state.target > chain.count ? state.target - chain.count : 1;
      const block_chain fetched = central_lists[size_class].fetch(size_class, wanted);
      chain = join(chain, fetched);
      if (chain.count == 0) return nullptr;
    }
    chain = keep_within_limit(record, state, size_class, chain);
    install(cache, record, state, size_class, chain);
  }
}

// One block without a cache: for threads that have ended or have no record.
void* allocate_uncached(std::size_t size_class) noexcept {
  block_chain chain = central_lists[size_class].fetch(size_class, 1);
  if (chain.count == 0) return nullptr;
  free_block* block = chain.first;
  chain.first = next_of(block);
  --chain.count;
  central_lists[size_class].give(size_class, chain);
  block->link = 0;
  return block;
}

void on_thread_exit(void*) noexcept {
  hot_cache& cache = hot;
  thread_record* record = cache.record;
  telemetry::end_thread_recording();
  if (record == nullptr) return;
  flush_own_cache();
  lock_threads();
  cache.record = nullptr;
  cache.state = cache_state::exited;
  for (std::size_t i = 1; i < class_count; ++i) cache.room[i] = 0;
  record->cache = nullptr;
  record->next_free = free_records;
  free_records = record;
  wire::heap_statistics& totals = telemetry::statistics();
  __atomic_fetch_add(&totals.thread_exit_count, 1, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&totals.thread_cache_count, 1, __ATOMIC_RELAXED);
  unlock_threads();
}

thread_record* make_record(hot_cache& cache) noexcept {
  os::lock_guard held(registry_lock);
  if (!exit_key_made) {
    if (::pthread_key_create(&exit_key, on_thread_exit) != 0) return nullptr;
    exit_key_made = true;
  }
  thread_record* record = free_records;
  if (record != nullptr) {
    free_records = record->next_free;
  } else {
    void* memory = allocate_metadata(sizeof(thread_record));
    if (memory == nullptr) return nullptr;
    record = new (memory) thread_record;
    record->next = records;
    __atomic_store_n(&records, record, __ATOMIC_RELEASE);
  }
  for (class_state& state : record->classes) state = class_state{};
  record->clock = telemetry::sample_clock{};
  record->last_sample_ns = 0;
  record->sample_credit_ns = 0;
  record->sample_doublings = 0;
  record->held_limit_bytes = 0;
  record->slow_paths = 0;
  record->recorded = false;
  record->recorded_bytes = 0;
  record->thread_id = os::thread_id();
  record->cache = &cache;
  __atomic_fetch_add(&telemetry::statistics().thread_cache_count, 1, __ATOMIC_RELAXED);
  return record;
}

// Frees what a signal handler left while this thread was in a slow path.
void free_deferred(hot_cache& cache) noexcept {
  while (free_block* block = cache.deferred) {
    cache.deferred = reinterpret_cast<free_block*>(block->link);
    block->link = 0;
    deallocate(block);
  }
}

// From entering a slow path to leaving it.
class slow_path {
 public:
  explicit slow_path(hot_cache& cache) noexcept : cache_(cache) {
    cache_.busy = true;
    asm volatile("" ::: "memory");
    if (likely(cache_.record != nullptr)) cache_.record->lock.enter(registry_lock);
  }
  ~slow_path() {
    if (likely(cache_.record != nullptr)) cache_.record->lock.leave();
    asm volatile("" ::: "memory");
    cache_.busy = false;
    if (unlikely(cache_.deferred != nullptr)) free_deferred(cache_);
    if (unlikely(cache_.pages_due)) {
      cache_.pages_due = false;
      wake_background();
    }
  }
  slow_path(const slow_path&) = delete;
  slow_path& operator=(const slow_path&) = delete;

 private:
  hot_cache& cache_;
};

// Puts a block into the freed list, making room first where there is none.
void push_freed(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  if (cache.room[size_class] <= 0) {
    note_slow_path(cache, record, state);
    const block_chain full = take_freed(cache, state, size_class);
    grow(record, state, &state.capacity, size_class);
    cache.room[size_class] = static_cast<std::int32_t>(state.capacity);
    if (unlikely(state.capacity == 0)) {
      block->link = empty_link;
      return central_lists[size_class].give_back(size_class, {block, 1});
    }
    if (full.count != 0 && full.count * 2 <= state.capacity) {
      // The list may be longer now: keep what is in it.
      cache.freed[size_class] = encode_link(full.first);
      cache.room[size_class] -= static_cast<std::int32_t>(full.count);
    } else {
      central_lists[size_class].give(size_class, full);
    }
  }
  block->link = cache.freed[size_class];
  cache.freed[size_class] = encode_link(block);
  --cache.room[size_class];
}

}  // namespace

thread_record* own_record() noexcept {
  hot_cache& cache = hot;
  if (likely(cache.record != nullptr)) return cache.record;
  if (cache.state == cache_state::exited || cache.busy) return nullptr;
  initialize();
  cache.busy = true;
  asm volatile("" ::: "memory");
  thread_record* record = make_record(cache);
  if (record != nullptr) {
    record->clock.reset();
    cache.record = record;
    cache.state = cache_state::attached;
  }
  asm volatile("" ::: "memory");
  cache.busy = false;
  // May allocate: the cache is ready for it.
  if (record != nullptr) ::pthread_setspecific(exit_key, record);
  return record;
}

void* refill(std::size_t size_class, std::size_t requested_bytes, wire::allocation_entry entry) noexcept {
  TENURE_DCHECK(size_class != 0 && size_class < class_count);
  hot_cache& cache = hot;
  if (unlikely(cache.busy)) return emergency_allocate(class_bytes[size_class], 16);
  thread_record* record = own_record();
  slow_path entered(cache);
  if (unlikely(record == nullptr)) return allocate_uncached(size_class);
  if (unlikely(follow_recording(cache, *record))) return allocate_recorded(*record, size_class);
  if (likely(swap_lists(cache, *record, size_class))) return pop(cache, size_class);
  return refill_held(cache, *record, size_class, requested_bytes, entry);
}

void free_small_slow(free_block* block, std::size_t size_class) noexcept {
  hot_cache& cache = hot;
  if (unlikely(cache.busy)) {
    block->link = reinterpret_cast<std::uintptr_t>(cache.deferred);
    cache.deferred = block;
    return;
  }
  thread_record* record = own_record();
  slow_path entered(cache);
  if (unlikely(record == nullptr)) {
    cache.room[size_class] = 0;
    block->link = empty_link;
    central_lists[size_class].give_back(size_class, {block, 1});
    return;
  }
  if (unlikely(follow_recording(cache, *record))) return free_recorded(cache, *record, size_class, block);
  push_freed(cache, *record, size_class, block);
}

bool meets_sample(std::size_t bytes, std::uint64_t* interval_bytes) noexcept {
  thread_record* record = own_record();
  if (record == nullptr) return false;
  telemetry::sample_clock& clock = record->clock;
  if (clock.interval_bytes == 0) {
    // Off: looked at again after as many bytes as there would be between two samples.
    clock.next();
    return false;
  }
  clock.bytes_until_sample -= static_cast<std::int64_t>(bytes);
  if (likely(clock.bytes_until_sample > 0)) return false;
  *interval_bytes = clock.interval_bytes;
  draw_next(*record);
  return true;
}

void flush_own_cache() noexcept {
  hot_cache& cache = hot;
  if (cache.record == nullptr || cache.busy) return;
  slow_path entered(cache);
  for (std::size_t i = 1; i < class_count; ++i) flush_class(cache, cache.record->classes[i], i);
  cache.record->recorded_bytes = 0;
}

void empty_cache(hot_cache& cache, thread_record& record) noexcept {
  for (std::size_t i = 1; i < class_count; ++i) {
    flush_class(cache, record.classes[i], i);
    record.classes[i] = class_state{};
    cache.room[i] = 0;
  }
  record.held_limit_bytes = 0;
  record.recorded_bytes = 0;
}

thread_record* first_record() noexcept { return __atomic_load_n(&records, __ATOMIC_ACQUIRE); }
void lock_threads() noexcept { registry_lock.lock(); }
void unlock_threads() noexcept { registry_lock.unlock(); }

void adopt_caches_after_fork() noexcept {
  thread_record* own = hot.record;
  for (thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record == own || record->cache == nullptr) continue;
    for (std::size_t i = 1; i < class_count; ++i) {
      // Its thread may have stood between counting a push and pushing: the list itself tells how long it is.
      central_lists[i].give(i, take_counted(&record->cache->freed[i]));
      record->cache->room[i] = static_cast<std::int32_t>(record->classes[i].capacity);
      flush_class(*record->cache, record->classes[i], i);
    }
    os::lock_guard held(registry_lock);
    record->cache = nullptr;
    record->next_free = free_records;
    free_records = record;
    __atomic_fetch_sub(&telemetry::statistics().thread_cache_count, 1, __ATOMIC_RELAXED);
  }
  if (own != nullptr) own->thread_id = os::thread_id();
}

}  // namespace tenure::core
