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

}  // namespace tenure::core
