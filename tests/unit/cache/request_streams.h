// Request streams of the kinds that tell policies apart, each from a seed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

namespace tenure::test {

using stream = std::vector<std::uint64_t>;

// Popularity as rank to the power of -skew.
inline stream zipf(std::mt19937_64& random, std::size_t count, std::size_t keys, double skew, std::uint64_t first = 0) {
  std::vector<double> sums(keys);
  double sum = 0;
  for (std::size_t rank = 0; rank < keys; ++rank) sums[rank] = sum += std::pow(static_cast<double>(rank + 1), -skew);
  std::uniform_real_distribution<double> point(0, sum);
  stream out(count);
  for (std::uint64_t& one : out) {
    one = first + static_cast<std::uint64_t>(std::lower_bound(sums.begin(), sums.end(), point(random)) - sums.begin());
  }
  return out;
}

inline stream loop(std::size_t count, std::size_t length, std::uint64_t first = 0) {
  stream out(count);
  for (std::size_t place = 0; place < count; ++place) out[place] = first + place % length;
  return out;
}

// A working set that moves: what came lately is asked for again with a chance that falls off with its age.
inline stream recency(std::mt19937_64& random, std::size_t count, double mean_age, std::uint64_t first) {
  std::exponential_distribution<double> age(1 / mean_age);
  stream out(count);
  for (std::size_t place = 0; place < count; ++place) {
    out[place] = first + place / 3 - std::min<std::uint64_t>(static_cast<std::uint64_t>(age(random)), first);
  }
  return out;
}

// Popular keys, with keys among them that are asked for once.
inline stream scan_and_hot(std::mt19937_64& random, std::size_t count, std::size_t hot, std::uint64_t first_of_scan) {
  stream out = zipf(random, count, hot, 0.8);
  for (std::size_t place = 0; place < count; place += 3) out[place] = first_of_scan + place;
  return out;
}

inline stream joined(std::initializer_list<stream> parts) {
  stream out;
  for (const stream& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace tenure::test
