// Logarithm and exponential for the sampler, without libm, which the core does not link.
//
// Both are power series on a reduced argument; what is left out lies below 1e-12 of the result, far below what any
// sample could show.
#pragma once

#include <cstdint>

namespace tenure::telemetry {

inline constexpr double natural_log_of_2 = 0.693147180559945309417;

// -ln(numerator / 2^53); numerator is in [1, 2^53].
inline double negative_log_of_fraction(std::uint64_t numerator) noexcept {
  const int highest = 63 - __builtin_clzll(numerator);
  // numerator = mantissa * 2^exponent with mantissa in [0.75, 1.5), so that the series below converges quickly.
  int exponent = highest;
  double mantissa = static_cast<double>(numerator) / static_cast<double>(std::uint64_t{1} << highest);
  if (mantissa >= 1.5) {
    mantissa /= 2;
    ++exponent;
  }
  // ln m = 2 artanh t,  t = (m - 1) / (m + 1),  |t| <= 1/5
  const double t = (mantissa - 1) / (mantissa + 1);
  const double square = t * t;
  double sum = 0;
  for (int power = 17; power >= 1; power -= 2) sum = sum * square + 1.0 / power;
  return static_cast<double>(53 - exponent) * natural_log_of_2 - 2 * t * sum;
}

// 1 - e^-x for x >= 0, exact to the last digits also where x is tiny.
inline double one_minus_exp(double x) noexcept {
  if (!(x > 0)) return 0;
  if (x > 40) return 1;
  // e^-x = 2^-whole * e^-rest with rest in [0, ln 2); for small x nothing is taken off and nothing cancels.
  const auto whole = static_cast<std::uint64_t>(x / natural_log_of_2);
  const double rest = x - static_cast<double>(whole) * natural_log_of_2;
  double complement = 0;  // 1 - e^-rest, as rest (1 - rest/2 (1 - rest/3 ( ... )))
  for (int factor = 18; factor >= 1; --factor) complement = rest / factor * (1 - complement);
  const double scale = 1.0 / static_cast<double>(std::uint64_t{1} << whole);
  return 1 - scale + scale * complement;
}

// How many bytes a sampled block stands for: requested / p (wire/event.h).
inline std::uint64_t sample_weight_bytes(std::uint64_t requested_bytes, std::uint64_t usable_bytes,
                                         std::uint64_t interval_bytes) noexcept {
  if (interval_bytes == 0 || usable_bytes == 0) return requested_bytes;
  const double p = one_minus_exp(static_cast<double>(usable_bytes) / static_cast<double>(interval_bytes));
  return static_cast<std::uint64_t>(static_cast<double>(requested_bytes) / p + 0.5);
}

}  // namespace tenure::telemetry
