#include "core/pages/huge_pages.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/options.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

constexpr std::uintptr_t region_pages = huge_page_bytes >> page_shift;
// Below this much memory in use, page tables are not what a program waits for.
constexpr std::uintptr_t least_pages = (std::uintptr_t{64} << 20) >> page_shift;
constexpr std::size_t most_rebuilt = 8;  // in one look
constexpr std::size_t least_resident_percent = 95;

// What is known of a region. Up to `looks_before_rebuilding` it is the looks in a row at which it was dense.
using region_state = std::uint8_t;
constexpr region_state sparse = 0;
constexpr region_state rebuilt = 254;
constexpr region_state refused = 255;
static_assert(looks_before_rebuilding < rebuilt);

region_state* states = nullptr;  // one a region of the window

// The kernel's huge page is 2 MiB where its pages are these.
constexpr std::size_t expected_page_bytes = 4096;

bool is_wanted() noexcept { return value(option::huge_pages) != 0 && os::page_bytes() == expected_page_bytes; }

std::size_t region_count() noexcept { return window.page_count / region_pages; }

// Without a lock, which a fork could leave locked in the child.
bool ready() noexcept {
  if (__atomic_load_n(&states, __ATOMIC_ACQUIRE) != nullptr) return true;
  if (window.page_count == 0) return false;
  const std::size_t bytes = align_up(region_count(), os::page_bytes());
  void* memory = os::map_anywhere(bytes);
  if (memory == nullptr) return false;
  region_state* expected = nullptr;
  if (!__atomic_compare_exchange_n(&states, &expected, static_cast<region_state*>(memory), false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED)) {
    os::unmap(memory, bytes);  // another thread was first
  }
  return true;
}

void count_bytes(std::int64_t bytes) noexcept {
  __atomic_fetch_add(&telemetry::statistics().huge_page_bytes, static_cast<std::uint64_t>(bytes), __ATOMIC_RELAXED);
}

// The region after another look: true when it is to be rebuilt now.
bool look_at(std::size_t region) noexcept {
  region_state* state = &states[region];
  const region_state before = __atomic_load_n(state, __ATOMIC_RELAXED);
  if (before == rebuilt || before == refused) return false;
  if (!is_dense(region * region_pages, region_pages)) {
    __atomic_store_n(state, sparse, __ATOMIC_RELAXED);
    return false;
  }
  if (before >= looks_before_rebuilding) return true;
  __atomic_store_n(state, static_cast<region_state>(before + 1), __ATOMIC_RELAXED);
  return false;
}

// True when the kernel made it a huge page.
bool collapse(std::size_t region) noexcept {
  if (!os::collapse(reinterpret_cast<void*>(page_address(region * region_pages)), huge_page_bytes)) return false;
  if (__atomic_exchange_n(&states[region], rebuilt, __ATOMIC_RELAXED) != rebuilt) count_bytes(huge_page_bytes);
  return true;
}

bool rebuild(std::size_t region) noexcept {
  void* begin = reinterpret_cast<void*>(page_address(region * region_pages));
  if (os::resident_percent(begin, huge_page_bytes) < least_resident_percent) {
    __atomic_store_n(&states[region], sparse, __ATOMIC_RELAXED);
    return false;
  }
  if (collapse(region)) return true;
  __atomic_store_n(&states[region], refused, __ATOMIC_RELAXED);
  return false;
}

}  // namespace

std::size_t tend_huge_pages() noexcept {
  const std::uintptr_t mapped = __atomic_load_n(&window.mapped_pages, __ATOMIC_ACQUIRE);
  if (!is_wanted() || mapped < least_pages || !ready()) return 0;
  std::size_t count = 0;
  for (std::size_t region = 0; (region + 1) * region_pages <= mapped && count < most_rebuilt; ++region) {
    TENURE_DCHECK(region < region_count());
    if (look_at(region) && rebuild(region)) ++count;
  }
  return count;
}

void forget_huge_pages(std::uintptr_t first_page, std::uintptr_t count) noexcept {
  region_state* all = __atomic_load_n(&states, __ATOMIC_ACQUIRE);
  if (all == nullptr) return;
  for (std::size_t region = first_page / region_pages; region * region_pages < first_page + count; ++region) {
    if (__atomic_exchange_n(&all[region], sparse, __ATOMIC_RELAXED) == rebuilt) {
      count_bytes(-static_cast<std::int64_t>(huge_page_bytes));
    }
  }
}

bool build_huge_page(std::size_t region) noexcept {
  TENURE_DCHECK(region < region_count());
  return ready() && collapse(region);
}

bool huge_page_pacing::wants_region(std::uint64_t pages) noexcept {
  if (!is_wanted()) return false;
  const std::uint64_t bytes = pages << page_shift;
  if (left_to_skip_bytes_ > bytes) {
    left_to_skip_bytes_ -= bytes;
    return false;
  }
  left_to_skip_bytes_ = 0;
  return true;
}

void huge_page_pacing::note(bool is_huge, std::uint64_t took_ns) noexcept {
  if (is_huge && took_ns <= most_ns) {
    next_skip_bytes_ = next_skip_bytes_ / 4 < least_skipped_bytes ? least_skipped_bytes : next_skip_bytes_ / 4;
    return;
  }
  left_to_skip_bytes_ = next_skip_bytes_;
  next_skip_bytes_ = next_skip_bytes_ * 4 > most_skipped_bytes ? most_skipped_bytes : next_skip_bytes_ * 4;
}

}  // namespace tenure::core
