#include "core/heap/size_class.h"

#include "core/base/check.h"
#include "core/pages/span.h"

namespace tenure::core {
namespace {

constexpr bool classes_are_consistent() noexcept {
  for (std::size_t i = 1; i < class_count; ++i) {
    if (class_of(class_bytes[i]) != i) return false;
    if (class_of(class_bytes[i - 1] + 1) != i) return false;
    if (class_bytes[i] % 16 != 0) return false;
    // The multiplication that tells a block's start must be exact below 2^47.
    const unsigned __int128 error =
        class_inverse(i) * static_cast<unsigned __int128>(class_bytes[i]) - (static_cast<unsigned __int128>(1) << 64);
    if ((error << 47) / class_bytes[i] >= class_inverse(i)) return false;
  }
  return class_bytes[class_count - 1] == largest_small_bytes;
}
static_assert(classes_are_consistent());

// The fewest pages that hold whole blocks and nothing else.
constexpr std::uint32_t unit_pages(std::size_t size_class) noexcept {
  const std::uint32_t size = class_bytes[size_class];
  const std::uint32_t power = size & (~size + 1);  // the largest that divides it
  return size / (power < page_size_bytes ? power : static_cast<std::uint32_t>(page_size_bytes));
}

}  // namespace

std::size_t class_of_aligned(std::size_t bytes, std::size_t alignment) noexcept {
  TENURE_DCHECK(is_power_of_two(alignment));
  const std::size_t rounded = align_up(bytes == 0 ? 1 : bytes, alignment);
  if (rounded > largest_small_bytes || rounded < bytes) return 0;
  for (std::size_t i = class_of(rounded); i < class_count; ++i) {
    if (is_aligned(class_bytes[i], alignment)) return i;
  }
  return 0;
}

std::uint32_t span_pages(std::size_t size_class, std::uint64_t spans_in_use) noexcept {
  const std::uint32_t size = class_bytes[size_class];
  constexpr std::uint32_t largest_of_one_page = 2048;
  // At least eight blocks, so that what does not fit at the ends is an eighth at the most.
  const std::size_t least =
      size <= largest_of_one_page ? 1 : (std::size_t{size} * 8 + page_size_bytes - 1) / page_size_bytes;
  const std::size_t grown = spans_in_use < 4 ? 1 : spans_in_use < 32 ? 2 : 4;
  const std::size_t wanted = least > grown ? least : grown;
  // Nothing is left over where that takes no more than twice as many.
  const std::size_t unit = unit_pages(size_class);
  const bool fits_whole = size > largest_of_one_page && unit <= 2 * least;
  return static_cast<std::uint32_t>(fits_whole ? (wanted + unit - 1) / unit * unit : wanted);
}

std::uint32_t span_alignment(std::size_t size_class, std::uint32_t pages) noexcept {
  const std::uint32_t unit = unit_pages(size_class);
  return pages % unit == 0 ? unit : 1;
}

}  // namespace tenure::core
