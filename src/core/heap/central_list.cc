#include "core/heap/central_list.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/os/virtual_memory.h"
#include "core/pages/huge_pages.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {

const std::uintptr_t link_key = link_key_value;
central_list central_lists[class_count];

namespace {

constexpr unsigned batch_count_shift = 48;
constexpr std::uintptr_t batch_link_mask = (std::uintptr_t{1} << batch_count_shift) - 1;

// What may wait between threads: enough for a few batches; of the larger classes, which are many and of which a block
// is much, for one.
std::uint64_t batch_limit_blocks(std::size_t size_class) noexcept {
  constexpr std::size_t first_large_bytes = 8192;
  const bool large = class_bytes[size_class] >= first_large_bytes;
  const std::uint64_t by_bytes = (large ? 65536u : 262144u) / class_bytes[size_class];
  const std::uint64_t least = std::uint64_t{large ? 1u : 4u} * largest_batch(size_class);
  return by_bytes > least ? by_bytes : least;
}

void release_chain(span* emptied) noexcept {
  while (emptied != nullptr) {
    TENURE_YIELD_POINT();
    span* following = emptied->next;
    emptied->next = nullptr;
    release_span(emptied, false);
    emptied = following;
  }
}

}  // namespace

unsigned span_buckets::bucket_of(const span* of) noexcept {
  return static_cast<unsigned>((std::uint64_t{of->free_count - 1} * bucket_count) / of->block_count);
}

span* span_buckets::fullest() const noexcept {
  for (const span_list& bucket : buckets_) {
    if (!bucket.empty()) return bucket.first();
  }
  return nullptr;
}

void span_buckets::add(span* added) noexcept {
  TENURE_DCHECK(added->free_count != 0 && added->free_count <= added->block_count);
  added->bucket = static_cast<std::uint8_t>(bucket_of(added));
  buckets_[added->bucket].push_front(added);
}

void span_buckets::add_last(span* added) noexcept {
  TENURE_DCHECK(added->free_count != 0 && added->free_count <= added->block_count);
  added->bucket = static_cast<std::uint8_t>(bucket_of(added));
  buckets_[added->bucket].push_back(added);
}

void span_buckets::rotate(unsigned bucket) noexcept {
  span* first = buckets_[bucket].first();
  buckets_[bucket].remove(first);
  buckets_[bucket].push_back(first);
}

void span_buckets::remove(span* removed) noexcept { buckets_[removed->bucket].remove(removed); }

void span_buckets::update(span* changed, std::uint32_t old_free_count) noexcept {
  if (old_free_count == 0) {
    if (changed->free_count != 0) add(changed);
    return;
  }
  if (changed->free_count == 0) return remove(changed);
  // bucket_of(changed) == changed->bucket, without a division.
  if ((changed->free_count - 1) * bucket_count - changed->bucket * changed->block_count < changed->block_count) return;
  remove(changed);
  add(changed);
}

block_chain central_list::pop_batch() noexcept {
  free_block* first = batches_;
  if (first == nullptr) return {};
  block_chain chain{first, static_cast<std::uint32_t>(first->batch >> batch_count_shift)};
  batches_ = reinterpret_cast<free_block*>(first->batch & batch_link_mask);
  TENURE_CHECK(chain.count != 0 && chain.count <= batch_blocks_);
  batch_blocks_ -= chain.count;
  if (batch_blocks_ < low_water_blocks_) low_water_blocks_ = static_cast<std::uint32_t>(batch_blocks_);
  return chain;
}

void central_list::push_batch(block_chain chain) noexcept {
  TENURE_DCHECK(chain.count != 0 && chain.count < (1u << 16));
  chain.first->batch = reinterpret_cast<std::uintptr_t>(batches_) | std::uintptr_t{chain.count} << batch_count_shift;
  batches_ = chain.first;
  batch_blocks_ += chain.count;
}

void central_list::publish(std::size_t size_class) const noexcept {
  wire::size_class_statistics& figures = telemetry::statistics().classes[size_class];
  __atomic_store_n(&figures.block_bytes, class_bytes[size_class], __ATOMIC_RELAXED);
  __atomic_store_n(&figures.span_count, span_count_, __ATOMIC_RELAXED);
  __atomic_store_n(&figures.span_bytes, span_bytes_, __ATOMIC_RELAXED);
  __atomic_store_n(&figures.central_free_blocks, span_free_blocks_ - absent_blocks_, __ATOMIC_RELAXED);
  __atomic_store_n(&figures.absent_blocks, absent_blocks_, __ATOMIC_RELAXED);
  __atomic_store_n(&figures.transfer_blocks, batch_blocks_, __ATOMIC_RELAXED);
  __atomic_store_n(&figures.handed_out_blocks, capacity_blocks_ - span_free_blocks_ - batch_blocks_, __ATOMIC_RELAXED);
}

block_chain central_list::fetch(std::size_t size_class, std::uint32_t wanted) noexcept {
  TENURE_DCHECK(wanted != 0);
  lock_.lock();
  block_chain chain = pop_batch();
  while (chain.count == 0) {
    span* from = spans_.fullest();
    if (from == nullptr) {
      // With the lock held: a walk, which has all locks, meets no span that is half made.
      from = make_block_span(size_class, span_pages(size_class, span_count_), span_kind::small, nullptr);
      if (from == nullptr) break;
      spans_.add(from);
      ++span_count_;
      span_bytes_ += std::uint64_t{from->page_count} << page_shift;
      capacity_blocks_ += from->block_count;
      span_free_blocks_ += from->block_count;
      wire::heap_statistics& totals = telemetry::statistics();
      __atomic_fetch_add(&totals.small_span_bytes, std::uint64_t{from->page_count} << page_shift, __ATOMIC_RELAXED);
    }
    const std::uint32_t before = from->free_count;
    const std::uint32_t absent_before = from->absent_count;
    take_blocks(from, wanted, &chain);
    span_free_blocks_ -= chain.count;
    absent_blocks_ -= absent_before - from->absent_count;
    spans_.update(from, before);
  }
  publish(size_class);
  lock_.unlock();
  return chain;
}

void central_list::forget_span(std::size_t size_class, span* emptied) noexcept {
  absent_blocks_ -= emptied->absent_count;
  set_class(emptied, 0);
  --span_count_;
  const std::uint64_t bytes = std::uint64_t{emptied->page_count} << page_shift;
  span_bytes_ -= bytes;
  capacity_blocks_ -= emptied->block_count;
  span_free_blocks_ -= emptied->block_count;
  TENURE_DCHECK(emptied->size_class == size_class);
  __atomic_fetch_sub(&telemetry::statistics().small_span_bytes, bytes, __ATOMIC_RELAXED);
}

// The first block of the chain, and those behind it while they lie in the same span: neighbours are often freed
// together.
void central_list::put_first_of(span* home, block_chain* chain) noexcept {
  do {
    free_block* block = chain->first;
    chain->first = next_of(block);
    put_block(home, block);
  } while (--chain->count != 0 && is_within(home, chain->first));
}

span* central_list::return_to_spans(std::size_t size_class, block_chain chain, span* emptied) noexcept {
  span_free_blocks_ += chain.count;
  while (chain.count != 0) {
    span* home = find_span(chain.first);
    TENURE_CHECK(home != nullptr && home->size_class == size_class && home->kind == span_kind::small);
    const std::uint32_t before = home->free_count;
    put_first_of(home, &chain);
    if (unlikely(home->thinning)) continue;  // end_thinning() sees to it
    spans_.update(home, before);
    if (home->free_count == home->block_count) {
      spans_.remove(home);
      forget_span(size_class, home);
      home->next = emptied;
      emptied = home;
    }
  }
  return emptied;
}

void central_list::give(std::size_t size_class, block_chain chain) noexcept {
  if (chain.count == 0) return;
  lock_.lock();
  span* emptied = nullptr;
  if (batch_blocks_ + chain.count <= batch_limit_blocks(size_class)) {
    push_batch(chain);
  } else {
    emptied = return_to_spans(size_class, chain, nullptr);
  }
  publish(size_class);
  lock_.unlock();
  release_chain(emptied);
}

void central_list::give_back(std::size_t size_class, block_chain chain) noexcept {
  if (chain.count == 0) return;
  lock_.lock();
  span* emptied = return_to_spans(size_class, chain, nullptr);
  publish(size_class);
  lock_.unlock();
  release_chain(emptied);
}

std::uint32_t central_list::trim(std::size_t size_class) noexcept {
  lock_.lock();
  std::uint32_t returned = 0;
  span* emptied = nullptr;
  while (returned < low_water_blocks_ && batches_ != nullptr) {
    const std::uint32_t keep_low_water = low_water_blocks_;
    block_chain chain = pop_batch();
    low_water_blocks_ = keep_low_water;
    returned += chain.count;
    emptied = return_to_spans(size_class, chain, emptied);
  }
  low_water_blocks_ = static_cast<std::uint32_t>(batch_blocks_);
  publish(size_class);
  lock_.unlock();
  release_chain(emptied);
  return returned;
}

bool central_list::take_out_to_thin(span* looked_at, std::size_t size_class, bool also_changed, thinning_plan* plan,
                                    std::size_t* waiting) noexcept {
  const std::size_t present_bytes = present_count(looked_at) * std::size_t{class_bytes[size_class]};
  const bool changed = looked_at->seen_free != looked_at->free_count;
  looked_at->seen_free = looked_at->free_count;
  if (changed) looked_at->quiet_looks = 0;
  if (present_bytes < os::page_bytes()) return false;
  if (!also_changed) {
    if (looked_at->quiet_looks > looks_before_thinning) return false;  // nothing was found then
    if (++looked_at->quiet_looks <= looks_before_thinning) {
      *waiting += present_bytes;
      return false;
    }
  }
  plan_thinning(looked_at, plan);
  const std::uint32_t absent_before = looked_at->absent_count;
  if (plan->bytes == 0 || !mark_absent(looked_at, *plan)) return false;
  absent_blocks_ += looked_at->absent_count - absent_before;
  looked_at->quiet_looks = 0;
  spans_.remove(looked_at);
  looked_at->thinning = true;
  thinning_ = looked_at;
  return true;
}

bool central_list::look_for_thinning(std::size_t size_class, bool also_changed, thinning_plan* plan,
                                     std::size_t* waiting, bool* done) noexcept {
  constexpr unsigned most_looked_at = 16;  // with the lock held
  unsigned count = 0;
  for (unsigned bucket = span_buckets::bucket_count; bucket-- != 0;) {
    for (;;) {
      span* first = spans_.first_of(bucket);
      if (first == nullptr || first->last_look == look_) break;
      if (count++ == most_looked_at) return false;
      first->last_look = look_;
      if (take_out_to_thin(first, size_class, also_changed, plan, waiting)) return true;
      spans_.rotate(bucket);  // what has been looked at stands at the end
    }
  }
  *done = true;
  return false;
}

span* central_list::end_thinning(std::size_t size_class) noexcept {
  span* thinned = thinning_;
  thinning_ = nullptr;
  thinned->thinning = false;
  if (thinned->free_count != thinned->block_count) {
    spans_.add_last(thinned);  // behind those that have not been looked at yet
    return nullptr;
  }
  forget_span(size_class, thinned);
  thinned->next = nullptr;
  return thinned;
}

std::size_t central_list::thin(std::size_t size_class, bool also_changed, std::size_t* waiting) noexcept {
  std::size_t returned = 0;
  thinning_plan plan;
  bool done = false;
  lock_.lock();
  ++look_;
  while (!done) {
    const bool found = look_for_thinning(size_class, also_changed, &plan, waiting, &done);
    publish(size_class);
    const std::uintptr_t first_page = found ? thinning_->first_page : 0;
    const std::uintptr_t pages = found ? thinning_->page_count : 0;
    lock_.unlock();
    TENURE_YIELD_POINT();
    for (std::uint32_t i = 0; found && i < plan.run_count; ++i) {
      void* run = reinterpret_cast<void*>(page_address(first_page) + plan.runs[i].offset_bytes);
      // Where the kernel refuses the pages stay, which is no loss: nobody counts on zeroes here.
      if (os::release(run, plan.runs[i].bytes)) returned += plan.runs[i].bytes;
    }
    if (found) forget_huge_pages(first_page, pages);
    TENURE_YIELD_POINT();
    lock_.lock();
    span* emptied = found ? end_thinning(size_class) : nullptr;
    if (emptied == nullptr) continue;
    lock_.unlock();
    release_chain(emptied);
    lock_.lock();
  }
  lock_.unlock();
  return returned;
}

void central_list::recover_after_fork() noexcept {
  if (thinning_ == nullptr) return;
  const std::size_t size_class = thinning_->size_class;
  release_chain(end_thinning(size_class));
}

void central_list::visit_batches(void (*visit)(void* context, free_block* block), void* context) const noexcept {
  for (free_block* batch = batches_; batch != nullptr;
       batch = reinterpret_cast<free_block*>(batch->batch & batch_link_mask)) {
    for (free_block* block = batch; block != nullptr; block = next_of(block)) visit(context, block);
  }
}

void central_list::check(std::size_t size_class) const noexcept {
  TENURE_CHECK(lock_.is_locked());
  std::uint64_t in_batches = 0;
  for (free_block* batch = batches_; batch != nullptr;
       batch = reinterpret_cast<free_block*>(batch->batch & batch_link_mask)) {
    in_batches += batch->batch >> batch_count_shift;
  }
  TENURE_CHECK(in_batches == batch_blocks_);
  std::uint64_t in_spans = thinning_ == nullptr ? 0 : thinning_->free_count;
  std::uint64_t absent = thinning_ == nullptr ? 0 : thinning_->absent_count;
  for (unsigned bucket = 0; bucket < span_buckets::bucket_count; ++bucket) {
    for (span* from = spans_.first_of(bucket); from != nullptr; from = from->next) {
      TENURE_CHECK(from->size_class == size_class && from->bucket == bucket);
      TENURE_CHECK(from->free_count != 0 && !from->thinning);
      check_blocks(from);
      in_spans += from->free_count;
      absent += from->absent_count;
    }
  }
  TENURE_CHECK(in_spans == span_free_blocks_);
  TENURE_CHECK(absent == absent_blocks_);
}

}  // namespace tenure::core
