#include "core/heap/thread_cache.h"

#include <pthread.h>
#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/background.h"
#include "core/heap/central_list.h"
#include "core/heap/class_lists.h"
#include "core/heap/emergency.h"
#include "core/heap/heap.h"
#include "core/heap/recorded_cache.h"
#include "core/os/clock.h"
#include "core/pages/metadata.h"
#include "core/pages/page_heap.h"

namespace tenure::core {

constinit thread_local hot_cache hot __attribute__((tls_model("initial-exec")));

namespace {

os::mutex registry_lock;
thread_record* records = nullptr;
thread_record* free_records = nullptr;
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
    take_credit_over(*record);
  } else {
    void* memory = allocate_metadata(sizeof(thread_record));
    if (memory == nullptr) return nullptr;
    record = new (memory) thread_record;
    begin_credit(*record, records == nullptr);
    record->next = records;
    __atomic_store_n(&records, record, __ATOMIC_RELEASE);
  }
  for (class_state& state : record->classes) state = class_state{};
  record->clock = telemetry::sample_clock{};
  record->interval_bytes = telemetry::sample_interval_bytes();
  record->held_limit_bytes = 0;
  record->slow_paths = 0;
  record->recorded = false;
  record->recorded_bytes = 0;
  record->thread_id = os::thread_id();
  record->cache = &cache;
  __atomic_fetch_add(&telemetry::statistics().thread_cache_count, 1, __ATOMIC_RELAXED);
  return record;
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

}  // namespace

void catch_up(hot_cache& cache) noexcept {
  while (free_block* block = cache.deferred) {
    cache.deferred = next_of(block);
    block->link = 0;
    deallocate(block);
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
  thread_record* record = own_record();
  slow_path entered(cache);
  if (unlikely(record == nullptr)) return allocate_uncached(size_class);
  void* const block = unlikely(follow_recording(cache, *record))
                          ? allocate_recorded(*record, size_class)
                          : refill_held(cache, *record, size_class, requested_bytes, entry);
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
    if (record == own || record->cache == nullptr) continue;
    for (std::size_t i = 1; i < class_count; ++i) {
      // Its thread may have stood between counting a push and pushing: the list itself tells how long it is.
      abandon_class(*record->cache, record->classes[i], i);
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