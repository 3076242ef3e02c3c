#include "core/pages/huge_pages.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/options.h"
#include "core/os/clock.h"
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
// Page faults are measured at the first region that is built, and at one in so many.
constexpr std::uint32_t builds_a_measurement = 32;

// What is known of a region. Up to `looks_before_rebuilding` it is the looks in a row at which it was dense.
using region_state = std::uint8_t;
constexpr region_state sparse = 0;
constexpr region_state rebuilt = 254;
constexpr region_state refused = 255;
static_assert(looks_before_rebuilding < rebuilt);

region_state* states = nullptr;  // one a region of the window
os::huge_page_policy policy = os::huge_page_policy::unknown;
std::uint32_t built_count = 0;  // atomic
bool is_window_told = false;    // not to have any: from the second chunk on

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

// Unless it has become something else since `before` was read: a huge page meanwhile is counted, and stays one.
void change_state(std::size_t region, region_state before, region_state after) noexcept {
  __atomic_compare_exchange_n(&states[region], &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// The region after another look: true when it is to be rebuilt now.
bool look_at(std::size_t region) noexcept {
  const region_state before = __atomic_load_n(&states[region], __ATOMIC_RELAXED);
  if (before == rebuilt || before == refused) return false;
  if (!is_dense(region * region_pages, region_pages)) {
    change_state(region, before, sparse);
    return false;
  }
  if (before >= looks_before_rebuilding) return true;
  change_state(region, before, static_cast<region_state>(before + 1));
  return false;
}

void* begin_of(std::size_t region) noexcept { return reinterpret_cast<void*>(page_address(region * region_pages)); }

void let_in(std::uintptr_t first_page, std::uintptr_t count, bool may_come) noexcept {
  os::let_huge_pages_in(reinterpret_cast<void*>(page_address(first_page)), count << page_shift, may_come);
}

// The region may have a huge page meanwhile.
class opened_region {
 public:
  explicit opened_region(std::size_t region) noexcept
      : region_(region), was_closed_(__atomic_load_n(&is_window_told, __ATOMIC_RELAXED)) {
    if (was_closed_) let_in(region_ * region_pages, region_pages, true);
  }
  ~opened_region() {
    if (was_closed_) let_in(region_ * region_pages, region_pages, false);
  }
  opened_region(const opened_region&) = delete;
  opened_region& operator=(const opened_region&) = delete;

 private:
  std::size_t region_;
  bool was_closed_;
};

// A touch makes it a huge page where nothing of it was resident and no page table is left of an earlier use.
bool touch_as_one(std::size_t region) noexcept {
  auto* begin = static_cast<volatile char*>(begin_of(region));
  *begin = 0;
  return os::resident_percent(begin_of(region), huge_page_bytes) == 100;
}

bool collapse(std::size_t region) noexcept { return os::collapse(begin_of(region), huge_page_bytes); }

void note_huge(std::size_t region) noexcept {
  if (__atomic_exchange_n(&states[region], rebuilt, __ATOMIC_RELAXED) != rebuilt) count_bytes(huge_page_bytes);
}

bool rebuild(std::size_t region) noexcept {
  if (os::resident_percent(begin_of(region), huge_page_bytes) < least_resident_percent) {
    change_state(region, looks_before_rebuilding, sparse);
    return false;
  }
  const opened_region opened(region);
  if (collapse(region)) return note_huge(region), true;
  change_state(region, looks_before_rebuilding, refused);
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

std::uint64_t measure_page_faults_ns() noexcept {
  constexpr std::size_t share = 32;
  constexpr std::size_t bytes = huge_page_bytes / share;  // too little for the kernel to take one of its larger pages
  auto* const scratch = static_cast<volatile char*>(os::map_anywhere(bytes));
  if (scratch == nullptr) return 0;
  const std::uint64_t before_ns = os::thread_cpu_ns();
  for (std::size_t at = 0; at < bytes; at += os::page_bytes()) scratch[at] = 0;
  const std::uint64_t took_ns = os::thread_cpu_ns() - before_ns;
  os::unmap(const_cast<char*>(scratch), bytes);
  return took_ns * share;
}

built_region build_huge_page(std::size_t region) noexcept {
  TENURE_DCHECK(region < region_count());
  built_region built{};
  if (!ready()) return built;
  {
    const opened_region opened(region);
    const std::uint64_t cpu_before_ns = os::thread_cpu_ns();
    built.is_huge = touch_as_one(region);
    built.took_ns = os::thread_cpu_ns() - cpu_before_ns;
    if (!built.is_huge) {
      const std::uint64_t before_ns = os::monotonic_ns();
      built.is_huge = collapse(region);
      built.took_ns += os::monotonic_ns() - before_ns;
    }
  }
  if (built.is_huge) note_huge(region);
  if (__atomic_fetch_add(&built_count, 1, __ATOMIC_RELAXED) % builds_a_measurement == 0)
    built.faults_ns = measure_page_faults_ns();
  return built;
}

void learn_huge_page_policy() noexcept {
  if (is_wanted()) policy = os::kernel_huge_page_policy();
}

void note_window_grown(std::uintptr_t pages_before, std::uintptr_t first_page, std::uintptr_t count) noexcept {
  if (policy != os::huge_page_policy::on_request) return;
  if (!is_window_told) let_in(0, pages_before, false);
  __atomic_store_n(&is_window_told, true, __ATOMIC_RELAXED);
  let_in(first_page, count, false);
}

void note_mapped_afresh(std::uintptr_t first_page, std::uintptr_t count) noexcept {
  if (__atomic_load_n(&is_window_told, __ATOMIC_RELAXED)) let_in(first_page, count, false);
}

bool huge_page_pacing::wants_region(std::uint64_t fresh_pages) noexcept {
  if (!is_wanted() || policy == os::huge_page_policy::never) return false;
  credit_ns_ += static_cast<std::int64_t>(fresh_pages) * faults_ns_ / (share_for_trying * std::int64_t{region_pages});
  if (credit_ns_ > most_credit_ns) credit_ns_ = most_credit_ns;
  return credit_ns_ >= 0;
}

void huge_page_pacing::note_no_room() noexcept { credit_ns_ -= most_credit_ns; }

void huge_page_pacing::note(const built_region& built) noexcept {
  constexpr std::uint64_t most_ns = 1'000'000'000;  // a stopped process is nobody's fault
  constexpr auto most_faults = static_cast<std::uint64_t>(most_faults_ns);
  if (built.faults_ns != 0) {
    faults_ns_ = static_cast<std::int64_t>(built.faults_ns < most_faults ? built.faults_ns : most_faults);
    if (faults_ns_ < least_faults_ns) faults_ns_ = least_faults_ns;
  }
  credit_ns_ -= static_cast<std::int64_t>(built.took_ns < most_ns ? built.took_ns : most_ns);
  if (built.is_huge) credit_ns_ += faults_ns_;
  if (credit_ns_ > most_credit_ns) credit_ns_ = most_credit_ns;
}

}  // namespace tenure::core
