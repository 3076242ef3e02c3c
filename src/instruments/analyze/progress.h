// Progress of an analysis, told to whoever waits.
#pragma once

#include <cstddef>
#include <functional>

namespace tenure::analyze {

// What is being done, and which share of it is done.
using progress_function = std::function<void(const char* doing, double share)>;
// The same of a part of it.
using share_function = std::function<void(double share)>;

// For part `index` of `count`, which are taken for equally long. `whole` outlives it.
inline share_function part_of(const progress_function& whole, const char* doing, std::size_t index, std::size_t count) {
  if (!whole) return {};
  return [&whole, doing, index, count](double share) {
    whole(doing, (static_cast<double>(index) + share) / static_cast<double>(count));
  };
}

}  // namespace tenure::analyze
