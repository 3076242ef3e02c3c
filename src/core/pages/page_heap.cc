#include "core/pages/page_heap.h"

#include <cstdint>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/os/clock.h"
#include "core/os/futex.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"
#include "core/pages/huge_pages.h"
#include "core/pages/metadata.h"
#include "core/pages/page_map.h"
#include "core/pages/run_bins.h"
#include "core/pages/span_records.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

// The window grows by an eighth of what is mapped, within these bounds: few system calls, and little that counts
// against RLIMIT_AS without being used.
constexpr std::uintptr_t least_growth_pages = 256;  // 4 MiB
constexpr std::uintptr_t most_growth_pages = 4096;  // 64 MiB

// Below this, keeping free pages costs less than looking after them.
constexpr std::uint64_t dirty_threshold_pages = 128;  // 2 MiB
constexpr std::uint64_t notable_pages = notable_heap_bytes >> page_shift;

// A heap with this much in spans of small blocks, which are touched, has use for 2 MiB more, and where it is notable
// its own thread, which returns what has not been used.
constexpr std::uint64_t least_small_bytes = notable_heap_bytes / 2;
constexpr std::uint32_t region_pages = huge_page_bytes >> page_shift;
// When no more is left of a region, and of all dirty pages, the next one is begun: it is there when it is needed.
constexpr std::uint32_t last_region_pages = region_pages / 8;

os::mutex lock;
run_bins dirty;
run_bins clean;
std::uint64_t releasing_pages = 0;
std::uint64_t used_pages = 0;
std::uint32_t returning = 0;  // one thread returns pages at a time
huge_page_pacing pacing;
span* begun_region = nullptr;  // taken out of the clean runs
bool is_ahead = false;         // the last one became a huge page, and no fresh page was needed since
void (*change_callback)() = nullptr;

void publish() noexcept {
  wire::heap_statistics& totals = telemetry::statistics();
  const std::uint64_t mapped = (used_pages + dirty.pages() + clean.pages() + releasing_pages) << page_shift;
  const std::uint64_t clean_bytes = clean.pages() << page_shift;
  __atomic_store_n(&totals.chunk_bytes, mapped, __ATOMIC_RELAXED);
  __atomic_store_n(&totals.free_dirty_bytes, (dirty.pages() + releasing_pages) << page_shift, __ATOMIC_RELAXED);
  __atomic_store_n(&totals.free_clean_bytes, clean_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&totals.metadata_bytes, metadata_bytes() + span_record_bytes(), __ATOMIC_RELAXED);
  __atomic_store_n(&totals.os_refusals_total, os::refused_calls(), __ATOMIC_RELAXED);
  if (mapped - clean_bytes > totals.peak_committed_bytes) {
    __atomic_store_n(&totals.peak_committed_bytes, mapped - clean_bytes, __ATOMIC_RELAXED);
  }
}

run_bins& bins_of(span_kind kind) noexcept { return kind == span_kind::free_dirty ? dirty : clean; }

// The free run of the same kind that covers `page`, if one does.
span* neighbour(std::uintptr_t page, span_kind kind) noexcept {
  if (page >= window.mapped_pages) return nullptr;
  span* found = window.span_map[page];
  if (found == nullptr || found->kind != kind) return nullptr;
  return page - found->first_page < found->page_count ? found : nullptr;
}

// Makes a free run known, merged with its neighbours of the same kind.
void add_run(span* run) noexcept {
  TENURE_DCHECK(run->kind == span_kind::free_dirty || run->kind == span_kind::free_clean);
  run_bins& bins = bins_of(run->kind);
  if (run->first_page != 0) {
    if (span* before = neighbour(run->first_page - 1, run->kind)) {
      bins.remove(before);
      merge_history(run, before);
      run->first_page = before->first_page;
      run->page_count += before->page_count;
      free_span_record(before);
    }
  }
  if (span* after = neighbour(run->first_page + run->page_count, run->kind)) {
    bins.remove(after);
    merge_history(run, after);
    run->page_count += after->page_count;
    free_span_record(after);
  }
  map_span_ends(run);
  bins.add(run);
}

// Cuts [first, first + pages) of the run off into a free run of its own. False for want of a record; nothing changed.
bool split_off(span* run, std::uint32_t first, std::uint32_t pages) noexcept {
  if (pages == 0) return true;
  span* part = allocate_span_record();
  if (part == nullptr) return false;
  part->kind = run->kind;
  part->first_page = first;
  part->page_count = pages;
  part->free_since_ns = run->free_since_ns;
  part->moved_in = run->moved_in;
  map_span_ends(part);
  bins_of(part->kind).add(part);
  return true;
}

// Takes `pages` at the alignment out of a free run, whose record becomes the span's. Null for want of records.
span* take(span* run, std::uint32_t pages, std::uint32_t alignment, span_kind kind) noexcept {
  const std::uint32_t lead = lead_pages(run, alignment, window.begin >> page_shift);
  const std::uint32_t total = run->page_count;
  TENURE_DCHECK(total >= lead + pages);
  bins_of(run->kind).remove(run);
  if (!split_off(run, run->first_page, lead)) {
    bins_of(run->kind).add(run);
    return nullptr;
  }
  run->first_page += lead;
  run->page_count = total - lead;
  if (!split_off(run, run->first_page + pages, run->page_count - pages)) {
    add_run(run);  // merged again with what was cut off before it
    return nullptr;
  }
  run->page_count = pages;
  run->zeroed = run->kind == span_kind::free_clean;
  run->map_released = false;
  run->kind = kind;
  run->free_since_ns = 0;
  used_pages += pages;
  map_span(run);
  return run;
}

bool extend(std::uint32_t pages) noexcept {
  span* run = allocate_span_record();
  if (run == nullptr) return false;
  std::uintptr_t wanted = align_up(window.mapped_pages / 8, least_growth_pages);
  wanted = wanted < least_growth_pages ? least_growth_pages : wanted > most_growth_pages ? most_growth_pages : wanted;
  if (wanted < pages) wanted = pages;
  const std::uintptr_t mapped_before = window.mapped_pages;
  std::uintptr_t first = extend_window(wanted);
  if (first == ~std::uintptr_t{0} && wanted != pages) {
    wanted = pages;  // near a limit: ask for no more than what is needed
    first = extend_window(wanted);
  }
  run->kind = span_kind::free_clean;
  if (first == ~std::uintptr_t{0}) {
    free_span_record(run);
    return false;
  }
  note_window_grown(mapped_before, first, wanted);
  run->first_page = static_cast<std::uint32_t>(first);
  run->page_count = static_cast<std::uint32_t>(wanted);
  add_run(run);
  return true;
}

// Takes a region of free pages that nobody has touched out of the lists, where a large heap grows: when a span of small
// blocks was cut that is the first one on fresh pages, or the last step before them.
void begin_region(const span* cut) noexcept {
  if (cut->zeroed) is_ahead = false;
  if (!cut->zeroed && (!is_ahead || dirty.pages() > last_region_pages)) return;
  if (has_begun_region() || used_pages < notable_pages) return;
  if (__atomic_load_n(&telemetry::statistics().small_span_bytes, __ATOMIC_RELAXED) < least_small_bytes) return;
  if (!pacing.wants_region(cut->zeroed ? cut->page_count : 0)) return;
  span* run = clean.best_fit(region_pages, region_pages, 0);
  if (run == nullptr && extend(2 * region_pages - 1)) run = clean.best_fit(region_pages, region_pages, 0);
  if (run == nullptr) return pacing.note_no_room();
  span* region = take(run, region_pages, region_pages, span_kind::releasing);
  if (region == nullptr) return;
  TENURE_DCHECK(region->first_page % region_pages == 0);
  region->zeroed = false;  // soon
  used_pages -= region_pages;
  releasing_pages += region_pages;
  __atomic_store_n(&begun_region, region, __ATOMIC_RELEASE);
}

span* find_and_take(std::uint32_t pages, std::uint32_t alignment, span_kind kind, bool want_clean) noexcept {
  const std::uintptr_t phase = window.begin >> page_shift;
  run_bins& first = want_clean ? clean : dirty;
  run_bins& second = want_clean ? dirty : clean;
  span* run = first.best_fit(pages, alignment, phase);
  if (run == nullptr) run = second.best_fit(pages, alignment, phase);
  if (run == nullptr) return nullptr;
  return take(run, pages, alignment, kind);
}

// A place for the first chunk's run, once.
bool ready() noexcept {
  if (likely(window.page_count != 0)) return true;
  span* run = allocate_span_record();
  if (run == nullptr) return false;
  run->kind = span_kind::free_clean;
  if (!open_window(least_growth_pages << page_shift)) {
    free_span_record(run);
    return false;
  }
  run->page_count = static_cast<std::uint32_t>(least_growth_pages);
  add_run(run);
  wire::heap_statistics& totals = telemetry::statistics();
  totals.window_begin = window.begin;
  totals.window_end = page_address(window.page_count);
  return true;
}

void after_release() noexcept {
  if (dirty.pages() < dirty_threshold_pages) return;
  if (change_callback != nullptr) change_callback();
}

// Takes runs that are old enough out of the lists, chained by next; at most a batch.
span* collect_old_runs(std::uint64_t now_ns, std::uint64_t age_ns) noexcept {
  constexpr unsigned batch = 64;
  span* chain = nullptr;
  unsigned count = 0;
  for (unsigned bin = run_bins::bin_count; bin-- != 0 && count < batch;) {
    span* run = dirty.first_of(bin);
    while (run != nullptr && count < batch) {
      span* following = run->next;
      if (run->free_since_ns + age_ns <= now_ns) {
        dirty.remove(run);
        run->kind = span_kind::releasing;
        releasing_pages += run->page_count;
        run->next = chain;
        chain = run;
        ++count;
      }
      run = following;
    }
  }
  return chain;
}

// Takes long clean runs out of the list whose part of the page map is still there.
span* collect_mapped_runs() noexcept {
  constexpr std::uint32_t least_pages = 2048;  // four OS pages of the map
  span* chain = nullptr;
  for (unsigned bin = run_bins::bin_of(least_pages); bin < run_bins::bin_count; ++bin) {
    span* run = clean.first_of(bin);
    while (run != nullptr) {
      span* following = run->next;
      if (run->page_count >= least_pages && !run->map_released) {
        clean.remove(run);
        run->kind = span_kind::releasing;
        releasing_pages += run->page_count;
        run->next = chain;
        chain = run;
      }
      run = following;
    }
  }
  return chain;
}

// Puts a released chain back; what the kernel refused goes back as dirty.
void put_back(span* chain, std::uint64_t now_ns) noexcept {
  while (chain != nullptr) {
    span* run = chain;
    chain = chain->next;
    run->next = run->previous = nullptr;
    releasing_pages -= run->page_count;
    run->kind = run->zeroed ? span_kind::free_clean : span_kind::free_dirty;
    if (!run->zeroed) run->free_since_ns = now_ns;
    run->zeroed = false;
    add_run(run);
  }
}

// What the page map holds of the inside of long free runs goes back as well: a GiB of them takes 512 KiB.
void release_map() noexcept {
  lock.lock();
  span* chain = collect_mapped_runs();
  lock.unlock();
  for (span* run = chain; run != nullptr; run = run->next) {
    release_map_inside(run);
    run->map_released = true;
    run->zeroed = true;  // as it was: clean
  }
  lock.lock();
  put_back(chain, 0);
  lock.unlock();
}

// And the records of spans that are no more.
void release_records() noexcept {
  lock.lock();
  const bool some = collect_unused_record_pages();
  lock.unlock();
  if (!some) return;
  release_record_pages();
  lock.lock();
  put_back_record_pages();
  publish();
  lock.unlock();
}

// Pages or records are on their way to the system, and free again in a moment.
bool more_comes() noexcept { return releasing_pages != 0 || record_pages_are_leaving(); }

// A region that nobody builds yet is free pages again: who begun it may be who needs them now.
bool give_up_begun_region() noexcept {
  span* begun = __atomic_exchange_n(&begun_region, nullptr, __ATOMIC_ACQUIRE);
  if (begun == nullptr) return false;
  begun->zeroed = true;  // as it was: clean
  put_back(begun, 0);
  return true;
}

// Tries with the lock held, again for as long as it fails for want of what is on its way.
template <class Attempt>
void retry_while_more_comes(Attempt attempt) noexcept {
  for (unsigned turn = 0;; ++turn) {
    bool comes = false;
    {
      os::lock_guard held(lock);
      const bool done = attempt() || (give_up_begun_region() && attempt());
      comes = !done && more_comes();
      publish();
    }
    if (likely(!comes)) return;
    os::wait_a_moment(turn);  // whoever is at it may have a lower priority, on the same processor
  }
}

// False when there is no room.
bool find_or_extend(std::uint32_t pages, std::uint32_t alignment_pages, span_kind kind, bool want_clean, span** found,
                    bool* grew) noexcept {
  if (unlikely(!ready())) return false;
  *found = find_and_take(pages, alignment_pages, kind, want_clean);
  if (*found != nullptr) return true;
  const std::uint64_t worst_case = std::uint64_t{pages} + alignment_pages - 1;
  if (worst_case > window.page_count || !extend(static_cast<std::uint32_t>(worst_case))) return false;
  *found = find_and_take(pages, alignment_pages, kind, want_clean);
  *grew = used_pages > notable_pages;
  return *found != nullptr;
}

void check_bins(const run_bins& bins, span_kind kind) noexcept {
  std::uint64_t pages = 0;
  for (unsigned bin = 0; bin < run_bins::bin_count; ++bin) {
    for (span* run = bins.first_of(bin); run != nullptr; run = run->next) {
      TENURE_CHECK(run->kind == kind);
      TENURE_CHECK(run_bins::bin_of(run->page_count) == bin);
      TENURE_CHECK(window.span_map[run->first_page] == run);
      TENURE_CHECK(window.span_map[run->first_page + run->page_count - 1] == run);
      TENURE_CHECK(neighbour(run->first_page + std::uintptr_t{run->page_count}, kind) == nullptr);
      pages += run->page_count;
    }
  }
  TENURE_CHECK(pages == bins.pages());
}

}  // namespace

span* allocate_span(std::uint32_t pages, std::uint32_t alignment_pages, span_kind kind, bool want_clean) noexcept {
  TENURE_DCHECK(pages != 0 && alignment_pages != 0);
  bool grew = false;
  span* found = nullptr;
  retry_while_more_comes([&]() noexcept {
    if (!find_or_extend(pages, alignment_pages, kind, want_clean, &found, &grew)) return false;
    if (kind == span_kind::small) begin_region(found);
    return true;
  });
  TENURE_DCHECK(found == nullptr || found->page_count == pages);
  if (unlikely(grew) && change_callback != nullptr) change_callback();
  return found;
}

bool has_begun_region() noexcept { return __atomic_load_n(&begun_region, __ATOMIC_RELAXED) != nullptr; }

void build_begun_region() noexcept {
  span* begun = __atomic_exchange_n(&begun_region, nullptr, __ATOMIC_ACQUIRE);
  if (begun == nullptr) return;
  TENURE_YIELD_POINT();
  const built_region built = build_huge_page(begun->first_page / region_pages);
  os::lock_guard held(lock);
  pacing.note(built);
  put_back(begun, os::coarse_monotonic_ns());
  is_ahead = built.is_huge;
  publish();
}

void forget_huge_page_pacing() noexcept {
  os::lock_guard held(lock);
  pacing = huge_page_pacing();
}

std::uint64_t* allocate_bits(std::uint32_t blocks) noexcept {
  TENURE_DCHECK(blocks != 0 && blocks <= most_span_blocks);
  std::uint64_t* bits = nullptr;
  retry_while_more_comes([&]() noexcept { return (bits = allocate_block_bits(blocks)) != nullptr; });
  return bits;
}

void release_span(span* released, bool is_clean) noexcept {
  TENURE_CHECK(released->kind >= span_kind::small);
  lock.lock();
  free_span_bits(released);
  used_pages -= released->page_count;
  span* run = released;
  const std::uint32_t first = run->first_page;
  const std::uint32_t pages = run->page_count;
  const bool moved_in = run->moved_in;
  *run = span{};
  run->moved_in = moved_in;
  run->first_page = first;
  run->page_count = pages;
  run->kind = is_clean ? span_kind::free_clean : span_kind::free_dirty;
  run->free_since_ns = os::coarse_monotonic_ns();
  add_run(run);
  publish();
  lock.unlock();
  after_release();
}

void abandon_span(span* abandoned) noexcept {
  TENURE_CHECK(abandoned->kind >= span_kind::small);
  os::lock_guard held(lock);
  used_pages -= abandoned->page_count;
  abandoned->kind = span_kind::gone;
  publish();
}

bool grow_span(span* grown, std::uint32_t pages) noexcept {
  os::lock_guard held(lock);
  TENURE_DCHECK(pages > grown->page_count);
  const std::uint32_t added = pages - grown->page_count;
  const std::uintptr_t end = grown->first_page + std::uintptr_t{grown->page_count};
  span* behind = neighbour(end, span_kind::free_clean);
  if (behind == nullptr) behind = neighbour(end, span_kind::free_dirty);
  const bool at_top = end == window.mapped_pages ||
                      (behind != nullptr && behind->first_page + behind->page_count == window.mapped_pages);
  if ((behind == nullptr || behind->page_count < added) && at_top) {
    const std::uint32_t missing = added - (behind == nullptr ? 0 : behind->page_count);
    if (!extend(missing)) return false;
    behind = neighbour(end, span_kind::free_clean);
    if (behind == nullptr) behind = neighbour(end, span_kind::free_dirty);
  }
  if (behind == nullptr || behind->page_count < added) return false;
  span* part = take(behind, added, 1, grown->kind);
  if (part == nullptr) return false;
  TENURE_CHECK(part->first_page == end);
  grown->zeroed = grown->zeroed && part->zeroed;
  grown->moved_in = grown->moved_in || part->moved_in;
  grown->page_count = pages;
  free_span_record(part);
  map_span(grown);
  publish();
  return true;
}

void shrink_span(span* shrunk, std::uint32_t pages, bool tail_is_clean) noexcept {
  lock.lock();
  TENURE_DCHECK(pages != 0 && pages < shrunk->page_count);
  span* tail = allocate_span_record();
  if (tail != nullptr) {
    tail->kind = tail_is_clean ? span_kind::free_clean : span_kind::free_dirty;
    tail->moved_in = shrunk->moved_in;
    tail->first_page = shrunk->first_page + pages;
    tail->page_count = shrunk->page_count - pages;
    tail->free_since_ns = os::coarse_monotonic_ns();
    used_pages -= tail->page_count;
    shrunk->page_count = pages;
    add_run(tail);
    publish();
  }
  lock.unlock();
  after_release();
}

std::size_t return_pages(std::uint64_t age_ns) noexcept {
  if (__atomic_exchange_n(&returning, 1, __ATOMIC_ACQUIRE) != 0) return 0;
  std::size_t returned_bytes = 0;
  const std::uint64_t now_ns = os::monotonic_ns();
  for (;;) {
    lock.lock();
    span* chain = collect_old_runs(now_ns, age_ns);
    lock.unlock();
    if (chain == nullptr) break;
    std::uint64_t calls = 0;
    bool refused = false;
    for (span* run = chain; run != nullptr; run = run->next) {
      const std::size_t bytes = std::size_t{run->page_count} << page_shift;
      void* begin = reinterpret_cast<void*>(page_address(run->first_page));
      run->zeroed = run->moved_in ? os::map_over(begin, bytes) : os::release(begin, bytes);
      if (run->zeroed && run->moved_in) note_mapped_afresh(run->first_page, run->page_count);
      if (run->zeroed) run->moved_in = false;
      if (run->zeroed) forget_huge_pages(run->first_page, run->page_count);
      returned_bytes += run->zeroed ? bytes : 0;
      refused = refused || !run->zeroed;
      ++calls;
    }
    lock.lock();
    put_back(chain, now_ns);
    wire::heap_statistics& totals = telemetry::statistics();
    __atomic_store_n(&totals.return_calls_total, totals.return_calls_total + calls, __ATOMIC_RELAXED);
    publish();
    lock.unlock();
    if (refused) break;
  }
  release_map();
  release_records();
  wire::heap_statistics& totals = telemetry::statistics();
  __atomic_fetch_add(&totals.returned_bytes_total, returned_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&returning, 0, __ATOMIC_RELEASE);
  return returned_bytes;
}

std::size_t used_bytes() noexcept { return __atomic_load_n(&used_pages, __ATOMIC_RELAXED) << page_shift; }

bool is_dense(std::uintptr_t first_page, std::uintptr_t count) noexcept {
  os::lock_guard held(lock);
  for (std::uintptr_t page = first_page; page < first_page + count;) {
    const span* covers = page < window.mapped_pages ? window.span_map[page] : nullptr;
    if (covers == nullptr || covers->kind < span_kind::small || page - covers->first_page >= covers->page_count) {
      return false;
    }
    page = covers->first_page + std::uintptr_t{covers->page_count};
  }
  return true;
}

std::size_t dirty_bytes() noexcept {
  return __atomic_load_n(&telemetry::statistics().free_dirty_bytes, __ATOMIC_RELAXED);
}

void visit_spans(void (*visit)(void* context, span* visited), void* context, bool free_runs_too) noexcept {
  TENURE_DCHECK(lock.is_locked());
  for (std::uintptr_t page = 0; page < window.mapped_pages;) {
    span* found = window.span_map[page];
    if (found == nullptr || found->first_page != page || found->page_count == 0) {
      ++page;  // a gap where somebody else has mapped something
      continue;
    }
    page += found->page_count;
    if (free_runs_too || found->kind >= span_kind::small) visit(context, found);
  }
}

void visit_window_gaps(void (*visit)(void* context, std::uintptr_t begin, std::uintptr_t end), void* context) noexcept {
  TENURE_DCHECK(lock.is_locked());
  std::uintptr_t gap = 0;  // where the one begins that `page` lies in, if it lies in one
  for (std::uintptr_t page = 0; page < window.mapped_pages;) {
    const span* found = window.span_map[page];
    if (found == nullptr || found->first_page != page || found->page_count == 0) {
      ++page;
      continue;
    }
    if (gap != page) visit(context, page_address(gap), page_address(page));
    page += found->page_count;
    gap = page;
  }
  if (gap != window.mapped_pages) visit(context, page_address(gap), page_address(window.mapped_pages));
}

void lock_page_heap() noexcept {
  lock.lock();
  lock_metadata();
}

void unlock_page_heap() noexcept {
  unlock_metadata();
  lock.unlock();
}

void recover_page_heap_after_fork() noexcept {
  __atomic_store_n(&returning, 0, __ATOMIC_RELEASE);
  os::lock_guard held(lock);
  put_back_record_pages();
  begun_region = nullptr;
  span* chain = nullptr;
  for (std::uintptr_t page = 0; page < window.mapped_pages;) {
    span* found = window.span_map[page];
    if (found == nullptr || found->first_page != page || found->page_count == 0) {
      ++page;
      continue;
    }
    page += found->page_count;
    if (found->kind != span_kind::releasing) continue;
    found->zeroed = false;  // whether the kernel had finished is not known
    found->next = chain;
    chain = found;
  }
  if (chain != nullptr) put_back(chain, os::coarse_monotonic_ns());
}

void on_change(void (*callback)()) noexcept { change_callback = callback; }

void check_page_heap() noexcept {
  TENURE_CHECK(lock.is_locked());
  check_bins(dirty, span_kind::free_dirty);
  check_bins(clean, span_kind::free_clean);
  check_span_records();
}

}  // namespace tenure::core
