#include <tenure/ref/counts.hpp>

#include "library/resource/call_site.h"

namespace tenure::detail {
namespace {

// A count that was released at 0 is now all ones; one that was added to is just above 2^31.
const char* what_happened(std::uint32_t count) noexcept {
  if (count == ~std::uint32_t{0}) return "release of a reference that is not there";
  return count < saturated_count - (1u << 20) ? "more references than 2147483647" : nullptr;
}

void tell(const void* counts, std::uint32_t count) noexcept {
  if (const char* const what = what_happened(count); what != nullptr) report_count(counts, what);
}

}  // namespace

void report_count(const void* counts, const char* what) noexcept {
  const resources::call_site here = resources::capture_site();
  resources::report_misuse(what, counts, 0, "counts of a", "reference", {{"at", &here}});
}

void saturate(std::uint32_t& count) noexcept {
  tell(&count, count);
  count = saturated_count;
}

void saturate(std::atomic<std::uint32_t>& count) noexcept {
  tell(&count, count.load(std::memory_order_relaxed));
  count.store(saturated_count, std::memory_order_relaxed);
}

void saturate(std::atomic<std::uint64_t>& word, unsigned shift) noexcept {
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  tell(&word, static_cast<std::uint32_t>(seen >> shift));
  const std::uint64_t half = std::uint64_t{0xffff'ffff} << shift;
  while (!word.compare_exchange_weak(seen, (seen & ~half) | (std::uint64_t{saturated_count} << shift),
                                     std::memory_order_relaxed)) {
  }
}

}  // namespace tenure::detail
