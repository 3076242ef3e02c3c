#include "core/pages/run_bins.h"

namespace tenure::core {

unsigned run_bins::next_bin(unsigned from) const noexcept {
  for (unsigned word = from / 64; word < bin_count / 64; ++word) {
    std::uint64_t bits = bitmap_[word];
    if (word == from / 64) bits &= ~0ull << (from % 64);
    if (bits != 0) return word * 64 + static_cast<unsigned>(__builtin_ctzll(bits));
  }
  return bin_count;
}

span* run_bins::best_fit(std::uint32_t pages, std::uint32_t alignment, std::uintptr_t phase) const noexcept {
  for (unsigned bin = next_bin(bin_of(pages)); bin < bin_count; bin = next_bin(bin + 1)) {
    span* best = nullptr;
    unsigned looked_at = 0;
    for (span* run = bins_[bin].first(); run != nullptr && looked_at < scan_limit; run = run->next, ++looked_at) {
      if (run->page_count < lead_pages(run, alignment, phase) + std::uint64_t{pages}) continue;
      if (best == nullptr || run->page_count < best->page_count ||
          (run->page_count == best->page_count && run->first_page < best->first_page)) {
        best = run;
      }
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

void merge_history(span* into, const span* other) noexcept {
  into->map_released = into->map_released && other->map_released;
  into->moved_in = into->moved_in || other->moved_in;
  const std::uint64_t pages = into->page_count + std::uint64_t{other->page_count};
  const std::uint64_t older = into->free_since_ns < other->free_since_ns ? into->free_since_ns : other->free_since_ns;
  const std::uint64_t into_age = into->free_since_ns - older;
  const std::uint64_t other_age = other->free_since_ns - older;
  into->free_since_ns = older + into_age / pages * into->page_count + other_age / pages * other->page_count;
}

}  // namespace tenure::core
