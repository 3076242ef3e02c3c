#include "core/heap/named_heap.h"

#include <cstring>
#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/budget/charge.h"
#include "core/heap/thread_cache.h"
#include "core/pages/metadata.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/tally.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

os::mutex list_lock;
named_heap* heaps = nullptr;
struct spare_memory {
  spare_memory* next;
};
spare_memory* spares = nullptr;

void count_span_bytes(std::int64_t bytes) noexcept {
  __atomic_fetch_add(&telemetry::statistics().named_heap_span_bytes, static_cast<std::uint64_t>(bytes),
                     __ATOMIC_RELAXED);
}

std::uint64_t bytes_of(const span* of) noexcept { return std::uint64_t{of->page_count} << page_shift; }

// A live sample of a named heap's: the span remembers how many it has, so that other frees look no further.
void sample_if_due(span* home, void* block, std::size_t requested_bytes, std::size_t usable_bytes) noexcept {
  std::uint64_t interval_bytes = 0;
  if (!meets_sample(usable_bytes, &interval_bytes)) return;
  __atomic_fetch_add(&home->sample_count, 1, __ATOMIC_RELAXED);
  telemetry::record_allocation(block, requested_bytes, usable_bytes, interval_bytes,
                               wire::allocation_entry::named_heap);
}

}  // namespace

named_heap::named_heap(const char* name, budget::account* account) noexcept
    : account_(account), use_(account == nullptr ? nullptr : budget::publish_use(account)) {
  const std::size_t length = ::strnlen(name, name_capacity_bytes - 1);
  std::memcpy(name_, name, length);
  name_[length] = '\0';
}

void named_heap::count_allocation(std::uint64_t bytes) noexcept {
  counts_.live_bytes += bytes;
  ++counts_.live_blocks;
  counts_.allocated_bytes += bytes;
  ++counts_.allocations;
  if (counts_.live_bytes > counts_.peak_live_bytes) counts_.peak_live_bytes = counts_.live_bytes;
  publish_use();
}

// Under the lock, so plain stores of one writer; a reader outside loads each for itself.
void named_heap::publish_use() noexcept {
  if (use_ == nullptr) return;
  __atomic_store_n(&use_->used_bytes, counts_.live_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->used_blocks, counts_.live_blocks, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->peak_used_bytes, counts_.peak_live_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&use_->allocations, counts_.allocations, __ATOMIC_RELAXED);
}

bool named_heap::charge_span(std::uint64_t bytes, attempt* outcome) noexcept {
  if (account_ == nullptr) return true;
  const budget::outcome charged = budget::try_charge(account_, bytes, 1);
  outcome->is_over_soft_limit = charged == budget::outcome::done_over_soft_limit;
  if (charged != budget::outcome::refused) return true;
  outcome->missing_bytes = bytes;
  return false;
}

void named_heap::release_charge(std::uint64_t bytes) noexcept {
  if (account_ != nullptr) budget::release(account_, bytes, 1);
}

void named_heap::add_span(span* added) noexcept {
  counts_.span_bytes += bytes_of(added);
  count_span_bytes(static_cast<std::int64_t>(bytes_of(added)));
}

named_heap::attempt named_heap::try_small(std::size_t size_class, std::uint32_t pages) noexcept {
  attempt result;
  busy_section entered(hot);
  os::lock_guard held(lock_);
  span_buckets& buckets = free_[size_class];
  span* home = buckets.fullest();
  if (home == nullptr) {
    const std::uint64_t span_bytes = std::uint64_t{pages} << page_shift;
    if (!charge_span(span_bytes, &result)) return result;
    home = make_block_span(size_class, pages, span_kind::named_small, this);
    if (home == nullptr) {
      release_charge(span_bytes);
      return result;
    }
    add_span(home);
    buckets.add(home);
  }
  block_chain chain;
  const std::uint32_t before = home->free_count;
  take_blocks(home, 1, &chain);
  TENURE_CHECK(chain.count == 1);
  buckets.update(home, before);
  if (home->free_count == 0) full_[size_class].push_front(home);
  count_allocation(class_bytes[size_class]);
  chain.first->link = 0;
  result.block = chain.first;
  return result;
}

named_heap::attempt named_heap::try_large(std::size_t bytes, std::size_t alignment) noexcept {
  attempt result;
  busy_section entered(hot);
  const std::size_t pages = (bytes + page_size_bytes - 1) >> page_shift;
  const std::size_t alignment_pages = alignment <= page_size_bytes ? 1 : alignment >> page_shift;
  if (pages == 0 || pages >= (std::size_t{1} << 31) || alignment_pages >= (std::size_t{1} << 31)) return result;
  if (!charge_span(std::uint64_t{pages} << page_shift, &result)) return result;
  span* home = allocate_span(static_cast<std::uint32_t>(pages), static_cast<std::uint32_t>(alignment_pages),
                             span_kind::named_large, false);
  if (home == nullptr) {
    release_charge(std::uint64_t{pages} << page_shift);
    return result;
  }
  os::lock_guard held(lock_);
  home->owner = this;
  home->requested_bytes = bytes;
  add_span(home);
  large_.push_front(home);
  count_allocation(bytes_of(home));
  result.block = reinterpret_cast<void*>(page_address(home->first_page));
  return result;
}

void* named_heap::allocate_block(std::size_t size_class, std::size_t bytes, std::size_t alignment) noexcept {
  constexpr int rounds = 8;
  attempt last;
  for (int round = 0; round < rounds; ++round) {
    last = size_class != 0 ? try_small(size_class, span_pages(size_class, 0)) : try_large(bytes, alignment);
    if (last.is_over_soft_limit) budget::relieve_soft_limits(account_);
    if (likely(last.missing_bytes == 0)) return last.block;
    if (budget::relieve_hard_limit(account_, last.missing_bytes) == 0) break;
  }
  budget::count_refusal(account_, last.missing_bytes);
  return nullptr;
}

void* named_heap::allocate(std::size_t bytes, std::size_t alignment) noexcept {
  return allocate(bytes, alignment, telemetry::own_caller());
}

void* named_heap::allocate(std::size_t bytes, std::size_t alignment, const telemetry::caller_place& caller) noexcept {
  TENURE_DCHECK(is_power_of_two(alignment));
  if (bytes > PTRDIFF_MAX) return nullptr;
  const std::size_t size_class = class_of_aligned(bytes, alignment < 16 ? 16 : alignment);
  void* block = allocate_block(size_class, bytes, alignment);
  if (block == nullptr) return nullptr;
  span* home = find_span(block);
  sample_if_due(home, block, bytes, size_class != 0 ? class_bytes[size_class] : bytes_of(home));
  if (telemetry::is_recording()) {
    telemetry::tell_allocation(block, bytes, wire::allocation_entry::named_heap, caller);
  }
  if (telemetry::has_tallies()) telemetry::tally_allocation(block, bytes);
  return block;
}

void* named_heap::allocate_class(std::size_t size_class) noexcept {
  // One block fits wherever the pages lie: samples are few, and of each class fewer.
  const std::size_t bytes = std::size_t{2} * class_bytes[size_class];
  return try_small(size_class, static_cast<std::uint32_t>((bytes + page_size_bytes - 1) >> page_shift)).block;
}

void named_heap::free(span* home, void* block) noexcept {
  TENURE_DCHECK(home->owner == this);
  busy_section entered(hot);
  if (unlikely(__atomic_load_n(&home->sample_count, __ATOMIC_RELAXED) != 0)) {
    if (telemetry::record_free(block)) __atomic_fetch_sub(&home->sample_count, 1, __ATOMIC_RELAXED);
  }
  bool emptied = false;
  {
    os::lock_guard held(lock_);
    --counts_.live_blocks;
    if (home->kind == span_kind::named_large) {
      counts_.live_bytes -= bytes_of(home);
      large_.remove(home);
      emptied = true;
    } else {
      counts_.live_bytes -= class_bytes[home->size_class];
      const std::uint32_t before = home->free_count;
      if (before == 0) full_[home->size_class].remove(home);
      put_block(home, static_cast<free_block*>(block));
      free_[home->size_class].update(home, before);
      emptied = home->free_count == home->block_count;
      if (emptied) free_[home->size_class].remove(home);
    }
    if (emptied) {
      counts_.span_bytes -= bytes_of(home);
      count_span_bytes(-static_cast<std::int64_t>(bytes_of(home)));
      release_charge(bytes_of(home));
    }
    publish_use();
  }
  if (emptied) release_span(home, false);
}

void named_heap::free_all(const telemetry::caller_place& caller) noexcept {
  busy_section entered(hot);
  span_list all;
  {
    os::lock_guard held(lock_);
    const auto move = [this, &all](span_list& from) {
      while (span* taken = from.first()) {
        from.remove(taken);
        release_charge(bytes_of(taken));
        taken->free_count = taken->block_count;  // a walk meanwhile takes all its blocks for free
        all.push_front(taken);
      }
    };
    move(large_);
    for (std::size_t i = 1; i < class_count; ++i) {
      move(full_[i]);
      while (span* taken = free_[i].fullest()) {
        free_[i].remove(taken);
        release_charge(bytes_of(taken));
        taken->free_count = taken->block_count;
        all.push_front(taken);
      }
    }
    count_span_bytes(-static_cast<std::int64_t>(counts_.span_bytes));
    counts_.span_bytes = counts_.live_bytes = counts_.live_blocks = 0;
    publish_use();
  }
  while (span* taken = all.first()) {
    all.remove(taken);
    if (taken->sample_count != 0) {
      telemetry::record_free_range(page_address(taken->first_page), bytes_of(taken));
    }
    if (telemetry::is_recording()) {
      telemetry::tell_free_range(page_address(taken->first_page), bytes_of(taken), caller);
    }
    if (telemetry::has_tallies()) telemetry::tally_free_range(page_address(taken->first_page), bytes_of(taken));
    release_span(taken, false);
  }
}

bool named_heap::is_free(const span* home, const void* block) noexcept {
  if (home->kind == span_kind::named_large) return false;
  busy_section entered(hot);
  os::lock_guard held(lock_);
  return core::is_free(home, index_of(home, block));
}

named_heap_statistics named_heap::statistics() noexcept {
  os::lock_guard held(lock_);
  return counts_;
}

void named_heap::check() noexcept {
  os::lock_guard held(lock_);
  std::uint64_t live_blocks = 0;
  std::uint64_t span_bytes = 0;
  for (span* of = large_.first(); of != nullptr; of = of->next, ++live_blocks) span_bytes += bytes_of(of);
  for (std::size_t i = 1; i < class_count; ++i) {
    for (span* of = full_[i].first(); of != nullptr; of = of->next) {
      TENURE_CHECK(of->free_count == 0 && of->owner == this);
      live_blocks += of->block_count;
      span_bytes += bytes_of(of);
    }
    for (unsigned bucket = 0; bucket < span_buckets::bucket_count; ++bucket) {
      for (span* of = free_[i].first_of(bucket); of != nullptr; of = of->next) {
        TENURE_CHECK(of->free_count != 0 && of->owner == this);
        check_blocks(of);
        live_blocks += of->block_count - of->free_count;
        span_bytes += bytes_of(of);
      }
    }
  }
  TENURE_CHECK(live_blocks == counts_.live_blocks);
  TENURE_CHECK(span_bytes == counts_.span_bytes);
}

named_heap* named_heap::first() noexcept { return heaps; }

void named_heap::add_to_list(named_heap* added) noexcept {
  os::lock_guard held(list_lock);
  added->next_ = heaps;
  heaps = added;
}

void named_heap::remove_from_list(named_heap* removed) noexcept {
  os::lock_guard held(list_lock);
  for (named_heap** link = &heaps; *link != nullptr; link = &(*link)->next_) {
    if (*link != removed) continue;
    *link = removed->next_;
    return;
  }
  TENURE_CHECK(false);  // destroyed twice, or never created
}

named_heap* create_named_heap(const char* name) noexcept {
  list_lock.lock();
  void* memory = spares;
  if (memory != nullptr) spares = spares->next;
  list_lock.unlock();
  if (memory == nullptr) memory = allocate_metadata(sizeof(named_heap));
  if (memory == nullptr) return nullptr;
  // Without a record for an account the heap works as well; it is counted as missing in the ledger.
  auto* heap = new (memory) named_heap(name, budget::open(name, "heap", nullptr));
  named_heap::add_to_list(heap);
  return heap;
}

void destroy_named_heap(named_heap* heap) noexcept {
  named_heap::remove_from_list(heap);
  heap->free_all(telemetry::own_caller());
  if (heap->account() != nullptr) TENURE_CHECK(budget::close(heap->account()));  // accounts or shrinkers stand below
  auto* spare = reinterpret_cast<spare_memory*>(heap);
  os::lock_guard held(list_lock);
  spare->next = spares;
  spares = spare;
}

void lock_named_heaps() noexcept { list_lock.lock(); }
void unlock_named_heaps() noexcept { list_lock.unlock(); }

}  // namespace tenure::core
