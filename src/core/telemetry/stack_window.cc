#include "core/telemetry/stack_window.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/memory_probe.h"

namespace tenure::telemetry {
namespace {

constexpr unsigned page_shift = 12;
static_assert(probe_page_bytes == 1u << page_shift);
// A gap of more pages than this (a very large frame, another stack) is jumped and not filled.
constexpr std::uint64_t fill_limit_pages = 64;
constexpr unsigned count_bits = 28;

// Page number of the low end in the high 36 bits, count of pages in the low 28. The model of access is the one that
// needs no call, for code that runs inside malloc.
__attribute__((tls_model("initial-exec"))) thread_local std::uint64_t remembered = 0;

}  // namespace

stack_window stack_window::around(std::uint64_t stack_pointer, bool trusted) noexcept {
  stack_window window;
  const std::uint64_t word = remembered;
  window.low_ = word >> count_bits << page_shift;
  window.high_ = window.low_ + ((word & ((1ull << count_bits) - 1)) << page_shift);
  if (window.holds(stack_pointer, 1)) return window;
  window.low_ = core::align_down(stack_pointer, probe_page_bytes);
  window.high_ = window.low_;
  if (window.low_ >> 48 == 0 && (trusted || is_readable(window.low_))) window.high_ += probe_page_bytes;
  window.widened_ = true;
  return window;
}

bool stack_window::reach(std::uint64_t address, std::uint64_t bytes) noexcept {
  TENURE_DCHECK(bytes <= probe_page_bytes);
  if (address >> 48 != 0) return false;
  if (holds(address, bytes)) return true;
  const std::uint64_t first = core::align_down(address, probe_page_bytes);
  const std::uint64_t end = core::align_up(address + bytes, probe_page_bytes);
  std::uint64_t from = high_;
  const bool near = first >= low_ && first - low_ < high_ - low_ + fill_limit_pages * probe_page_bytes;
  if (!near) from = first;
  for (std::uint64_t page = from; page < end; page += probe_page_bytes) {
    if (!is_readable(page)) return false;
  }
  if (!near) {
    low_ = first;
    moved_ = true;
  }
  high_ = end;
  widened_ = true;
  return true;
}

void stack_window::remember() const noexcept {
  TENURE_DCHECK(low_ <= high_);
  if (!widened_ || moved_) return;
  const std::uint64_t pages = (high_ - low_) >> page_shift;
  if (pages >= 1ull << count_bits) return;
  remembered = low_ >> page_shift << count_bits | pages;
}

}  // namespace tenure::telemetry
