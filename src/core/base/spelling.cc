#include "core/base/spelling.h"

#include <cstdint>

namespace tenure::core {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

// Levenshtein's table, of which one row is kept: row[j] is the distance between the first letters of a and j of b.
std::size_t spelling_distance(const char* a, std::size_t a_length, const char* b, std::size_t b_length) noexcept {
  if (a_length > longest_spelled || b_length > longest_spelled) return SIZE_MAX;
  std::size_t row[longest_spelled + 1];
  for (std::size_t j = 0; j <= b_length; ++j) row[j] = j;
  for (std::size_t i = 1; i <= a_length; ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b_length; ++j) {
      std::size_t least = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      if (row[j] + 1 < least) least = row[j] + 1;
      if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = least;
    }
  }
  return row[b_length];
}

}  // namespace tenure::core
