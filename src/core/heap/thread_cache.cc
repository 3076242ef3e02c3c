#include "core/heap/thread_cache.h"

#include <pthread.h>
#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/background.h"
#include "core/heap/central_list.h"
#include "core/heap/class_lists.h"
#include "core/heap/emergency.h"
#include "core/heap/heap.h"
#include "core/heap/recorded_cache.h"
#include "core/os/clock.h"
#include "core/os/processors.h"
#include "core/pages/metadata.h"
#include "core/pages/page_heap.h"

namespace tenure::core {

constinit thread_local hot_cache hot __attribute__((tls_model("initial-exec")));

namespace {

os::mutex registry_lock;
thread_record* records = nullptr;
thread_record* free_records = nullptr;
thread_record* parked_records = nullptr;  // the newest first
unsigned parked_count = 0;                // atomic
pthread_key_t exit_key;
bool exit_key_made = false;

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

// The thread's own cache, in a section and with its record's lock, which walkers wait for.
class slow_path {
 public:
  explicit slow_path(hot_cache& cache) noexcept : section_(cache), record_(cache.record) {
    if (likely(record_ != nullptr)) record_->lock.enter(registry_lock);
  }
  ~slow_path() {
    if (likely(record_ != nullptr)) record_->lock.leave();
  }
  slow_path(const slow_path&) = delete;
  slow_path& operator=(const slow_path&) = delete;

 private:
  busy_section section_;
  thread_record* record_;
};

void move_lists(hot_cache& from, hot_cache& to) noexcept {
  for (std::size_t i = 1; i < class_count; ++i) {
    if (i <= last_paired_class) {
      to.front[i] = from.front[i];
      from.front[i] = empty_link;
    }
    to.list[i] = from.list[i];
    from.list[i] = empty_link;
    to.room[i] = from.room[i];
    from.room[i] = 0;
  }
}

// What the fast path does; null where there is nothing.
void* pop(hot_cache& cache, std::size_t size_class) noexcept {
  std::uintptr_t& head = size_class <= last_paired_class ? cache.front[size_class] : cache.list[size_class];
  free_block* const block = decode_link(head);
  if (block == nullptr) return nullptr;
  head = block->link;
  block->link = 0;
  return block;
}

// With the registry's lock.
void detach(hot_cache& cache, thread_record& record, hot_cache* parked) noexcept {
  cache.record = nullptr;
  cache.state = cache_state::exited;
  record.cache = parked;
  record.is_parked = parked != nullptr;
  thread_record*& others = parked != nullptr ? parked_records : free_records;
  record.next_free = others;
  others = &record;
  wire::heap_statistics& totals = telemetry::statistics();
  __atomic_fetch_add(&totals.thread_exit_count, 1, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&totals.thread_cache_count, 1, __ATOMIC_RELAXED);
}

bool may_park(const thread_record& record) noexcept {
  constexpr unsigned most_parked = 16;
  const unsigned most = 2 * static_cast<unsigned>(os::processor_count());
  if (record.recorded || telemetry::is_recording() || telemetry::is_tallied()) return false;
  return __atomic_load_n(&parked_count, __ATOMIC_RELAXED) < (most < most_parked ? most : most_parked);
}

// The thread is about to end. Nobody looks into the cache meanwhile: for that, too, one needs the registry's lock.
bool park(hot_cache& cache, thread_record& record) noexcept {
  constexpr std::uint64_t most_bytes = 256 * 1024;  // that one may hold
  if (!may_park(record)) return false;
  {
    slow_path entered(cache);
    shrink_cache(cache, record, most_bytes);
  }
  const busy_section entered(cache);
  const os::lock_guard held(registry_lock);
  if (!may_park(record)) return false;
  if (record.parked == nullptr) {
    void* memory = allocate_metadata(sizeof(hot_cache));
    if (memory == nullptr) return false;
    record.parked = new (memory) hot_cache;
  }
  move_lists(cache, *record.parked);
  record.parked_ns = os::coarse_monotonic_ns();
  __atomic_store_n(&parked_count, parked_count + 1, __ATOMIC_RELAXED);
  detach(cache, record, record.parked);
  return true;
}

void on_thread_exit(void*) noexcept {
  hot_cache& cache = hot;
  thread_record* record = cache.record;
  telemetry::end_thread_recording();
  if (record == nullptr || park(cache, *record)) return;
  flush_own_cache();
  for (std::size_t i = 1; i < class_count; ++i) cache.room[i] = 0;
  const os::lock_guard held(registry_lock);
  detach(cache, *record, nullptr);
}

// One that has waited for so long, the oldest; it is the caller's then. With the registry's lock.
thread_record* take_oldest_parked(std::uint64_t now_ns, std::uint64_t age_ns) noexcept {
  if (parked_records == nullptr) return nullptr;
  thread_record** link = &parked_records;
  while ((*link)->next_free != nullptr) link = &(*link)->next_free;
  thread_record* const oldest = *link;
  if (oldest->parked_ns + age_ns > now_ns) return nullptr;
  *link = nullptr;
  __atomic_store_n(&parked_count, parked_count - 1, __ATOMIC_RELAXED);
  oldest->is_parked = false;
  return oldest;
}

// The newest one's lists become those of `cache`. With the registry's lock; null where there is none.
thread_record* unpark(hot_cache& cache) noexcept {
  thread_record* const record = parked_records;
  if (record == nullptr) return nullptr;
  parked_records = record->next_free;
  __atomic_store_n(&parked_count, parked_count - 1, __ATOMIC_RELAXED);
  record->is_parked = false;
  const bool is_too_large = record->held_limit_bytes > static_cast<std::uint64_t>(value(option::thread_cache));
  if (unlikely(is_too_large)) empty_cache(*record->parked, *record);  // the option was changed
  move_lists(*record->parked, cache);
  return record;
}

// Of a thread that has nothing to do with the one before.
void begin_anew(thread_record& record) noexcept {
  for (class_state& state : record.classes) state = class_state{};
  record.clock = telemetry::sample_clock{};
  record.interval_bytes = telemetry::sample_interval_bytes();
  record.held_limit_bytes = 0;
  record.slow_paths = 0;
  record.recorded = false;
  record.recorded_bytes = 0;
}

thread_record* make_record(hot_cache& cache) noexcept {
  os::lock_guard held(registry_lock);
  if (!exit_key_made) {
    if (::pthread_key_create(&exit_key, on_thread_exit) != 0) return nullptr;
    exit_key_made = true;
  }
  thread_record* record = unpark(cache);
  if (record == nullptr && free_records != nullptr) {
    record = free_records;
    free_records = record->next_free;
    begin_anew(*record);
  } else if (record == nullptr) {
    void* memory = allocate_metadata(sizeof(thread_record));
    if (memory == nullptr) return nullptr;
    record = new (memory) thread_record;
    begin_anew(*record);
    begin_credit(*record, records == nullptr);
    record->next = records;
    __atomic_store_n(&records, record, __ATOMIC_RELEASE);
  }
  take_over(*record);
  record->thread_id = os::thread_id();
  record->cache = &cache;
  __atomic_fetch_add(&telemetry::statistics().thread_cache_count, 1, __ATOMIC_RELAXED);
  return record;
}

}  // namespace

void catch_up(hot_cache& cache) noexcept {
  // All at once: a handler that comes now is not in a section, and what it does comes by here before it returns.
  free_block* block = __atomic_exchange_n(&cache.deferred, nullptr, __ATOMIC_RELAXED);
  while (block != nullptr) {
    free_block* const following = next_of(block);
    block->link = 0;
    deallocate(block);
    block = following;
  }
  if (cache.pages_due) {
    cache.pages_due = false;
    wake_background();
    const busy_section entered(cache);
    build_begun_region();
  }
}

thread_record* own_record() noexcept {
  hot_cache& cache = hot;
  if (likely(cache.record != nullptr)) return cache.record;
  if (cache.state == cache_state::exited || cache.busy) return nullptr;
  initialize();
  cache.busy = true;
  asm volatile("" ::: "memory");
  thread_record* record = make_record(cache);
  if (record != nullptr) {
    if (record->clock.random_state == 0) record->clock.reset();
    cache.record = record;
    cache.state = cache_state::attached;
  }
  asm volatile("" ::: "memory");
  cache.busy = false;
  // May allocate: the cache is ready for it.
  if (record != nullptr) ::pthread_setspecific(exit_key, record);
  return record;
}

void* exchange(std::size_t size_class) noexcept {
  TENURE_DCHECK(size_class <= last_paired_class);
  hot_cache& cache = hot;
  thread_record* record = cache.record;
  if (unlikely(record == nullptr || cache.busy || record->recorded)) return nullptr;
  if (unlikely(telemetry::is_recording() || telemetry::has_tallies())) return nullptr;
  slow_path entered(cache);
  return exchange_lists(cache, *record, size_class);
}

void* refill(std::size_t size_class, std::size_t requested_bytes, wire::allocation_entry entry) noexcept {
  TENURE_DCHECK(size_class != 0 && size_class < class_count);
  hot_cache& cache = hot;
  if (unlikely(cache.busy)) return emergency_allocate(class_bytes[size_class], 16);
  const bool is_new = cache.record == nullptr;
  thread_record* record = own_record();
  slow_path entered(cache);
  if (unlikely(record == nullptr)) return allocate_uncached(size_class);
  const bool is_recorded = follow_recording(cache, *record);
  void* block = nullptr;
  if (unlikely(is_new && !is_recorded)) block = pop(cache, size_class);  // it may have been given a parked cache
  if (block == nullptr) {
    block = unlikely(is_recorded) ? allocate_recorded(*record, size_class)
                                  : refill_held(cache, *record, size_class, requested_bytes, entry);
  }
  if (unlikely(has_begun_region())) cache.pages_due = true;
  return block;
}

void free_small_slow(free_block* block, std::size_t size_class) noexcept {
  hot_cache& cache = hot;
  TENURE_DCHECK(!cache.busy);
  thread_record* record = own_record();
  slow_path entered(cache);
  if (unlikely(record == nullptr)) {
    cache.room[size_class] = 0;
    block->link = empty_link;
    central_lists[size_class].give_back(size_class, {block, 1});
    return;
  }
  if (unlikely(follow_recording(cache, *record))) return free_recorded(cache, *record, size_class, block);
  free_held(cache, *record, size_class, block);
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
  spend_credit(*record);
  clock.next(record->sample_doublings);
  return true;
}

void follow_recording_now() noexcept {
  hot_cache& cache = hot;
  thread_record* record = own_record();
  if (record == nullptr || cache.busy) return;
  slow_path entered(cache);
  follow_recording(cache, *record);
}

void give_up_parked_caches(std::uint64_t age_ns) noexcept {
  const std::uint64_t now_ns = os::coarse_monotonic_ns();
  const busy_section entered(hot);
  for (;;) {
    registry_lock.lock();
    thread_record* const record = take_oldest_parked(now_ns, age_ns);
    registry_lock.unlock();
    if (record == nullptr) return;
    record->lock.enter(registry_lock);
    empty_cache(*record->cache, *record);
    record->lock.leave();
    const os::lock_guard held(registry_lock);
    record->cache = nullptr;
    record->next_free = free_records;
    free_records = record;
  }
}

void flush_own_cache() noexcept {
  hot_cache& cache = hot;
  if (cache.record == nullptr || cache.busy) return;
  slow_path entered(cache);
  thread_record& record = *cache.record;
  for (std::size_t i = 1; i < class_count; ++i) {
    class_state& state = record.classes[i];
    if (record.recorded) {
      give_spare(state, i);
    } else if (state.until_sample != 0) {  // else never used
      flush_class(cache, state, i);
      reopen(cache, state, i);
    }
  }
  record.recorded_bytes = 0;
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
    // What is parked is in order: the registry's lock was held.
    if (record == own || record->cache == nullptr || record->is_parked) continue;
    for (std::size_t i = 1; i < class_count; ++i) {
      // Its thread may have stood between counting a push and pushing: the list itself tells how long it is.
      abandon_class(*record->cache, record->classes[i], i);
    }
    // One on its way from being parked to its end had no thread any more.
    const bool is_given_up = record->cache == record->parked;
    os::lock_guard held(registry_lock);
    record->cache = nullptr;
    record->next_free = free_records;
    free_records = record;
    if (!is_given_up) __atomic_fetch_sub(&telemetry::statistics().thread_cache_count, 1, __ATOMIC_RELAXED);
  }
  if (own != nullptr) own->thread_id = os::thread_id();
}

}  // namespace tenure::core