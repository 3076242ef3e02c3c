#include "core/heap/heap.h"

#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/background.h"
#include "core/heap/central_list.h"
#include "core/heap/emergency.h"
#include "core/heap/misuse.h"
#include "core/heap/sampled.h"
#include "core/heap/walk.h"
#include "core/os/barrier.h"
#include "core/os/processors.h"
#include "core/os/virtual_memory.h"
#include "core/pages/huge_pages.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/tally.h"

extern char** environ;

namespace tenure::core {
namespace {

// Blocks moved by remapping rather than copying: where the page tables are cheaper than the bytes.
constexpr std::size_t least_moved_bytes = 512 * 1024;

// calloc of this much prefers pages that read as zero.
constexpr std::size_t least_clean_bytes = 1024 * 1024;

std::uint32_t initialization = 0;  // 0 not begun, 1 under way, 2 without the environment, 3 complete

[[gnu::noinline, gnu::cold]] void* out_of_memory() noexcept {
  errno = ENOMEM;
  return nullptr;
}

std::size_t span_bytes(const span* of) noexcept { return std::size_t{of->page_count} << page_shift; }
void* span_start(const span* of) noexcept { return reinterpret_cast<void*>(page_address(of->first_page)); }

void configure() noexcept {
  read_options_from_environment();
  learn_huge_page_policy();
  os::processor_count();  // before the program forbids itself the call, or its threads are bound to single ones
  telemetry::tell_size_classes(class_bytes.data(), class_bytes.size());
  telemetry::start();
  on_change(wake_background);
}

bool pages_for(std::size_t bytes, std::size_t alignment, std::uint32_t* pages, std::uint32_t* aligned_pages) noexcept {
  if (bytes > PTRDIFF_MAX || alignment >= (std::size_t{1} << 46)) return false;  // beyond any window
  const std::size_t needed = (bytes + page_size_bytes - 1) >> page_shift;
  if (needed >= (std::size_t{1} << 31)) return false;
  *pages = static_cast<std::uint32_t>(needed == 0 ? 1 : needed);
  *aligned_pages = alignment <= page_size_bytes ? 1 : static_cast<std::uint32_t>(alignment >> page_shift);
  return true;
}

void count_large(std::int64_t bytes, std::int64_t blocks) noexcept {
  wire::heap_statistics& totals = telemetry::statistics();
  __atomic_fetch_add(&totals.large_span_bytes, static_cast<std::uint64_t>(bytes), __ATOMIC_RELAXED);
  __atomic_fetch_add(&totals.large_span_count, static_cast<std::uint64_t>(blocks), __ATOMIC_RELAXED);
}

// A new block, told where everything is.
[[gnu::always_inline]] inline void* told(void* block, std::size_t bytes, wire::allocation_entry entry,
                                         const telemetry::caller_place& caller) noexcept {
  if (telemetry::is_recording() && block != nullptr) telemetry::tell_allocation(block, bytes, entry, caller);
  if (telemetry::has_tallies() && block != nullptr) telemetry::tally_allocation(block, bytes);
  return block;
}

// The same of a block that is about to go.
[[gnu::always_inline]] inline void tell_freed(const void* block, const telemetry::caller_place& caller) noexcept {
  if (telemetry::is_recording()) telemetry::tell_free(block, caller);
  if (telemetry::has_tallies()) telemetry::tally_free(block);
}

// Whether a new large block is a sample.
void note_sample(span* home, wire::allocation_entry entry) noexcept {
  std::uint64_t interval_bytes = 0;
  TENURE_DCHECK(!home->sampled);
  if (!meets_sample(span_bytes(home), &interval_bytes)) return;
  home->sampled = true;
  telemetry::record_allocation(span_start(home), home->requested_bytes, span_bytes(home), interval_bytes, entry);
}

void* allocate_large(std::size_t bytes, std::size_t alignment, bool want_clean, bool* zeroed,
                     wire::allocation_entry entry) noexcept {
  if (unlikely(hot.busy)) {
    *zeroed = true;
    return emergency_allocate(bytes, alignment);
  }
  std::uint32_t pages = 0;
  std::uint32_t aligned_pages = 0;
  if (!pages_for(bytes, alignment, &pages, &aligned_pages)) return nullptr;
  own_record();  // note_sample() wants it, and in a section it cannot be made
  busy_section entered(hot);
  span* home = allocate_span(pages, aligned_pages, span_kind::large, want_clean);
  if (home == nullptr) return nullptr;
  TENURE_DCHECK(span_bytes(home) >= bytes && reinterpret_cast<std::uintptr_t>(span_start(home)) % alignment == 0);
  home->requested_bytes = bytes;
  *zeroed = home->zeroed;
  count_large(static_cast<std::int64_t>(span_bytes(home)), 1);
  __atomic_fetch_add(&telemetry::statistics().large_allocations_total, 1, __ATOMIC_RELAXED);
  note_sample(home, entry);
  return span_start(home);
}

// A large block goes; its pages are still the caller's to release.
void forget_large(span* home) noexcept {
  TENURE_DCHECK(home->kind == span_kind::large);
  if (unlikely(home->sampled)) telemetry::record_free(span_start(home));
  count_large(-static_cast<std::int64_t>(span_bytes(home)), -1);
  __atomic_fetch_add(&telemetry::statistics().large_frees_total, 1, __ATOMIC_RELAXED);
}

free_entry entry_for(wire::allocation_entry made) noexcept {
  switch (made) {
    case wire::allocation_entry::operator_new:
      return free_entry::operator_delete;
    case wire::allocation_entry::operator_new_array:
      return free_entry::operator_delete_array;
    case wire::allocation_entry::malloc:
    case wire::allocation_entry::calloc:
    case wire::allocation_entry::realloc:
    case wire::allocation_entry::aligned:
      return free_entry::free;
    case wire::allocation_entry::unknown:
    case wire::allocation_entry::named_heap:
      break;
  }
  return free_entry::unknown;
}

// How a block was allocated is known of samples alone.
void check_entry(const void* sampled, free_entry entry) noexcept {
  TENURE_DCHECK(find_span(sampled) != nullptr && find_span(sampled)->kind != span_kind::small);
  if (entry == free_entry::unknown || unlikely(hot.busy)) return;
  const wire::allocation_entry made = telemetry::entry_of_sample(reinterpret_cast<std::uintptr_t>(sampled));
  const free_entry wanted = entry_for(made);
  if (unlikely(wanted != entry) && wanted != free_entry::unknown) report_mismatch(sampled, made, entry);
}

void free_large(span* home, const telemetry::caller_place& caller) noexcept {
  tell_freed(span_start(home), caller);
  busy_section entered(hot);
  forget_large(home);
  release_span(home, false);
}

bool has_link_tag(const void* block) noexcept { return static_cast<const unsigned char*>(block)[7] == link_tag; }

// A signal handler's free while its thread is in a section; `block` is a block's start in `home`. A block that is in a
// list must not be written to, and to look there takes the lists' locks: what bears a list's marks is left as it is.
[[gnu::cold, gnu::noinline]] void free_in_section(const span* home, void* block) noexcept {
  TENURE_DCHECK(hot.busy && home != nullptr);
  auto* first = static_cast<free_block*>(block);
  if (has_link_tag(block)) {
    for (const free_block* one = hot.deferred; one != nullptr; one = next_of(one)) {
      if (one == first) return report_misuse(misuse::double_free, block);
    }
    const free_block* following = next_of(first);
    const span* beyond = following == nullptr ? home : find_span(following);
    const bool holds_small = home->kind == span_kind::small || home->kind == span_kind::named_small;
    if (holds_small && beyond != nullptr && beyond->kind == home->kind && beyond->size_class == home->size_class)
      return;
  }
  defer_free(hot, first);
}

void free_named(span* home, void* block, free_entry entry, const telemetry::caller_place& caller) noexcept {
  if (home->kind == span_kind::named_small &&
      reinterpret_cast<std::uintptr_t>(block) % class_bytes[home->size_class] != 0) {
    return report_misuse(misuse::interior_pointer, block);
  }
  if (home->kind == span_kind::named_large && block != span_start(home)) {
    return report_misuse(misuse::interior_pointer, block);
  }
  if (unlikely(hot.busy)) return free_in_section(home, block);
  auto* owner = static_cast<named_heap*>(home->owner);
  const bool tagged = has_link_tag(block);
  if (home->kind == span_kind::named_small && (tagged || is_uncarved(home, block)) && owner->is_free(home, block)) {
    return report_misuse(misuse::double_free, block);
  }
  const bool is_sampled = owner == &sampled_heap();
  if (is_sampled) check_entry(block, entry);
  tell_freed(block, caller);
  if (is_sampled) return free_sampled(home, block);
  owner->free(home, block);
}

// A block that a signal handler got is never handed out again.
void free_emergency(const void* block, const telemetry::caller_place& caller) noexcept { tell_freed(block, caller); }

// A free in a page that is not of a size class.
void free_other(void* block, free_entry entry, const telemetry::caller_place& caller) noexcept {
  span* home = find_span(block);
  if (home == nullptr) {
    if (is_emergency_block(block)) return free_emergency(block, caller);
    return report_misuse(is_in_window(block) ? misuse::double_free : misuse::foreign_pointer, block);
  }
  if (home->kind == span_kind::large) {
    if (block != span_start(home)) return report_misuse(misuse::interior_pointer, block);
    if (home->sampled) check_entry(block, entry);
    return unlikely(hot.busy) ? free_in_section(home, block) : free_large(home, caller);
  }
  free_named(home, block, entry, caller);
}

// Whether a block's first word could be a link: null or a block of the same class.
bool looks_linked(const free_block* block, std::size_t size_class) noexcept {
  const free_block* following = next_of(block);
  if (following == nullptr) return true;
  if (!is_mapped(following) || window.class_map[page_index(following)] != size_class) return false;
  return reinterpret_cast<std::uintptr_t>(following) % class_bytes[size_class] == 0;
}

// Whether the block, a block's start, is free already. The tag tells most blocks in use apart at once.
bool was_freed(const free_block* block, std::size_t size_class) noexcept {
  return has_link_tag(block) && looks_linked(block, size_class) && is_free_block(block, size_class);
}

// The same in a span of any kind.
bool was_freed_in(span* home, void* block) noexcept {
  if (home->kind == span_kind::small) return was_freed(static_cast<free_block*>(block), home->size_class);
  return home->kind == span_kind::named_small && has_link_tag(block) &&
         static_cast<named_heap*>(home->owner)->is_free(home, block);
}

// What the program takes for a new block, in the place of the old one.
void tell_resized(const void* block, std::size_t bytes, const telemetry::caller_place& caller) noexcept {
  if (!telemetry::is_recording() && !telemetry::has_tallies()) return;
  tell_freed(block, caller);
  told(const_cast<void*>(block), bytes, wire::allocation_entry::realloc, caller);
}

// A large block's new size in place: true when it now holds `bytes`.
bool resize_in_place(span* home, std::size_t bytes, const telemetry::caller_place& caller) noexcept {
  std::uint32_t pages = 0;
  std::uint32_t aligned_pages = 0;
  if (!pages_for(bytes, 1, &pages, &aligned_pages)) return false;
  TENURE_DCHECK(home->kind == span_kind::large && aligned_pages == 1);
  const std::size_t before = span_bytes(home);
  if (pages > home->page_count) {
    if (!grow_span(home, pages)) return false;
  } else if (pages < home->page_count) {
    shrink_span(home, pages);
  }
  home->requested_bytes = bytes;
  if (unlikely(home->sampled)) {
    // To the sampler a block that went and one that came, as everywhere in realloc.
    telemetry::record_free(span_start(home));
    home->sampled = false;
    note_sample(home, wire::allocation_entry::realloc);
  }
  count_large(static_cast<std::int64_t>(span_bytes(home) - before), 0);
  tell_resized(span_start(home), bytes, caller);
  return true;
}

// A large block that grows, to a new place with as much room behind it again: the next growths stay there, and
// anybody may have the room. The kernel moves the page tables, into one mapping that spans
// block and room; where it cannot, the bytes are copied. Null when there is no place for it.
void* move_large(span* home, std::size_t bytes, const telemetry::caller_place& caller) noexcept {
  std::uint32_t pages = 0;
  std::uint32_t aligned_pages = 0;
  if (!pages_for(bytes, 1, &pages, &aligned_pages) || pages >= (1u << 30)) return nullptr;
  // Resident pages are welcome: what is moved in takes their place.
  span* moved = allocate_span(pages * 2, 1, span_kind::large, false);
  if (moved == nullptr) return nullptr;
  const std::size_t held_bytes = span_bytes(home);
  TENURE_CHECK(held_bytes < span_bytes(moved));  // the kernel writes over what is there
  const os::move_outcome outcome = os::move_pages(span_start(home), held_bytes, span_start(moved), span_bytes(moved));
  if (!outcome.to_mapped) {
    abandon_span(moved);
    return nullptr;
  }
  const bool remapped = outcome.moved;
  if (outcome.from_mapped && remapped) note_mapped_afresh(home->first_page, home->page_count);
  if (remapped) {
    forget_huge_pages(home->first_page, home->page_count);
    forget_huge_pages(moved->first_page, moved->page_count);
  } else {
    note_mapped_afresh(moved->first_page, moved->page_count);  // perhaps
  }
  if (!remapped) std::memcpy(span_start(moved), span_start(home), held_bytes);
  moved->moved_in = remapped;
  moved->requested_bytes = bytes;
  shrink_span(moved, pages, remapped || moved->zeroed);
  count_large(static_cast<std::int64_t>(span_bytes(moved)), 1);
  __atomic_fetch_add(&telemetry::statistics().large_allocations_total, 1, __ATOMIC_RELAXED);
  note_sample(moved, wire::allocation_entry::realloc);
  told(span_start(moved), bytes, wire::allocation_entry::realloc, caller);
  tell_freed(span_start(home), caller);
  forget_large(home);
  home->moved_in = home->moved_in && !remapped;
  if (outcome.from_mapped) {
    release_span(home, remapped);
  } else {
    abandon_span(home);
  }
  return span_start(moved);
}

void* reallocate_by_copy(void* block, std::size_t old_bytes, std::size_t bytes,
                         const telemetry::caller_place& caller) noexcept {
  void* moved = allocate(bytes, wire::allocation_entry::realloc, caller);
  if (moved == nullptr) return nullptr;
  TENURE_DCHECK(moved != block);
  std::memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
  deallocate(block, free_entry::unknown, caller);
  return moved;
}

[[gnu::always_inline]] inline void* allocate_from(std::size_t bytes, wire::allocation_entry entry,
                                                  const telemetry::caller_place& caller) noexcept {
  if (likely(bytes <= largest_tabled_bytes)) {
    if (void* found = exchange(hot.table[bytes])) return found;
  }
  void* block = nullptr;
  if (unlikely(bytes > largest_small_bytes)) {
    bool zeroed = false;
    block = allocate_large(bytes, 1, false, &zeroed, entry);
  } else {
    block = try_allocate_medium(bytes);
    if (block == nullptr) block = refill(class_of(bytes == 0 ? 1 : bytes), bytes, entry);
  }
  if (unlikely(block == nullptr)) return out_of_memory();
  return told(block, bytes, entry, caller);
}

[[gnu::always_inline]] inline void deallocate_from(void* block, free_entry entry,
                                                   const telemetry::caller_place& caller) noexcept {
  if (block == nullptr) return;
  if (!is_mapped(block)) {
    if (is_emergency_block(block)) return free_emergency(block, caller);
    return report_misuse(misuse::foreign_pointer, block);
  }
  const std::size_t size_class = window.class_map[page_index(block)];
  if (size_class == 0) return free_other(block, entry, caller);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (address * class_inverse(size_class) >= class_inverse(size_class)) {
    return report_misuse(misuse::interior_pointer, block);
  }
  TENURE_DCHECK(find_span(block) != nullptr && find_span(block)->size_class == size_class);
  // What a signal handler leaves comes by here once more.
  if (unlikely(hot.busy)) return free_in_section(find_span(block), block);
  auto* small = static_cast<free_block*>(block);
  if (was_freed(small, size_class)) return report_misuse(misuse::double_free, block);
  tell_freed(block, caller);
  free_small_slow(small, size_class);
}

void* reallocate_from(void* block, std::size_t bytes, const telemetry::caller_place& caller) noexcept {
  TENURE_DCHECK(block != nullptr && bytes != 0);
  const std::size_t old_bytes = usable_bytes(block);
  if (old_bytes == 0) {
    deallocate_slow(block);  // says what it is
    return nullptr;
  }
  span* home = find_span(block);
  if (home != nullptr && likely(!hot.busy) && was_freed_in(home, block)) {
    report_misuse(misuse::double_free, block);
    return nullptr;
  }
  if (home == nullptr || home->kind != span_kind::large) {
    // In place while the block is not more than twice what is needed.
    if (bytes <= old_bytes && (bytes >= old_bytes / 2 || old_bytes <= 32)) {
      tell_resized(block, bytes, caller);
      return block;
    }
    return reallocate_by_copy(block, old_bytes, bytes, caller);
  }
  if (bytes > largest_small_bytes && bytes <= PTRDIFF_MAX && likely(!hot.busy)) {
    own_record();  // as in allocate_large()
    busy_section entered(hot);
    if (resize_in_place(home, bytes, caller)) return block;
    if (bytes > old_bytes && old_bytes >= least_moved_bytes) {
      if (void* moved = move_large(home, bytes, caller)) return moved;
    }
  }
  return reallocate_by_copy(block, old_bytes, bytes, caller);
}

}  // namespace

void initialize() noexcept {
  const std::uint32_t state = __atomic_load_n(&initialization, __ATOMIC_ACQUIRE);
  if (likely(state == 3)) return;
  if (state == 2 && environ == nullptr) return;
  std::uint32_t expected = state;
  if (state == 1 ||
      !__atomic_compare_exchange_n(&initialization, &expected, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    return;  // another thread is at it; the defaults serve until then
  }
  os::prepare_process_barrier();
  if (environ != nullptr) configure();
  __atomic_store_n(&initialization, environ != nullptr ? 3u : 2u, __ATOMIC_RELEASE);
}

// Say so themselves, so that whoever has nothing else to say need not come back here: its frame is none to walk.
void* allocate_slow(std::size_t bytes, wire::allocation_entry entry) noexcept {
  return allocate_from(bytes, entry, telemetry::own_caller());
}

void* allocate_slow(std::size_t bytes, wire::allocation_entry entry, const telemetry::caller_place& caller) noexcept {
  return allocate_from(bytes, entry, caller);
}

void* allocate_zeroed(std::size_t bytes) noexcept {
  const telemetry::caller_place caller = telemetry::own_caller();
  if (bytes > largest_small_bytes) {
    bool zeroed = false;
    // Writing zeroes over pages that are there is cheaper than faulting new ones in, unless most are never touched.
    const bool want_clean = bytes >= least_clean_bytes;
    void* block = allocate_large(bytes, 1, want_clean, &zeroed, wire::allocation_entry::calloc);
    if (unlikely(block == nullptr)) return out_of_memory();
    if (!zeroed) std::memset(block, 0, bytes);
    return told(block, bytes, wire::allocation_entry::calloc, caller);
  }
  void* block = allocate(bytes, wire::allocation_entry::calloc, caller);
  if (block != nullptr) std::memset(block, 0, bytes);
  return block;
}

void* allocate_aligned(std::size_t bytes, std::size_t alignment, wire::allocation_entry entry,
                       const telemetry::caller_place& caller) noexcept {
  TENURE_DCHECK(is_power_of_two(alignment));
  if (alignment <= 16) return allocate(bytes, entry, caller);
  const std::size_t size_class = class_of_aligned(bytes, alignment);
  if (size_class != 0) {
    void* block = size_class <= last_paired_class ? pop_block<hot_access::kind::paired>(hot_access(), size_class)
                                                  : pop_block<hot_access::kind::single>(hot_access(), size_class);
    return block != nullptr ? block : told(refill(size_class, class_bytes[size_class], entry), bytes, entry, caller);
  }
  bool zeroed = false;
  return told(allocate_large(bytes == 0 ? 1 : bytes, alignment, false, &zeroed, entry), bytes, entry, caller);
}

void* allocate_aligned(std::size_t bytes, std::size_t alignment, wire::allocation_entry entry) noexcept {
  return allocate_aligned(bytes, alignment, entry, telemetry::own_caller());
}

void deallocate_slow(void* block, free_entry entry) noexcept { deallocate_from(block, entry, telemetry::own_caller()); }

void deallocate_slow(void* block, free_entry entry, const telemetry::caller_place& caller) noexcept {
  deallocate_from(block, entry, caller);
}

void* reallocate(void* block, std::size_t bytes) noexcept {
  void* const moved = reallocate_from(block, bytes, telemetry::own_caller());
  return likely(moved != nullptr) ? moved : out_of_memory();
}

std::size_t usable_bytes(const void* block) noexcept {
  if (block == nullptr) return 0;
  std::size_t bytes = 0;
  const void* start = block_start(block, &bytes);
  return start == block ? bytes : 0;
}

const void* block_start(const void* address, std::size_t* bytes) noexcept {
  const span* home = find_span(address);
  if (home == nullptr) {
    if (!is_emergency_block(address)) return nullptr;
    *bytes = emergency_block_bytes(address);
    return address;
  }
  if (home->kind == span_kind::large || home->kind == span_kind::named_large) {
    *bytes = span_bytes(home);
    return span_start(home);
  }
  const std::size_t size = class_bytes[home->size_class];
  const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(address) / size * size;
  const auto begin = reinterpret_cast<std::uintptr_t>(span_start(home));
  if (start < begin || start + size > begin + span_bytes(home)) return nullptr;  // the ends that hold no block
  *bytes = size;
  return reinterpret_cast<const void*>(start);
}

bool is_in_window(const void* address) noexcept { return is_mapped(address); }

std::size_t purge() noexcept {
  flush_own_cache();
  if (!hot.busy) give_up_parked_caches(0);
  busy_section entered(hot);
  for (std::size_t i = 1; i < class_count; ++i) {
    central_lists[i].trim(i);
    central_lists[i].trim(i);
  }
  return return_pages(0);
}

}  // namespace tenure::core
