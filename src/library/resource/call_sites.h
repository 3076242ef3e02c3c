// Things counted by call site: a table from stacks to what was seen there, most first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "library/resource/call_site.h"

namespace tenure::resources {

struct site_order {
  bool operator()(const call_site& a, const call_site& b) const noexcept {
    return std::lexicographical_compare(a.frames, a.frames + a.frame_count, b.frames, b.frames + b.frame_count);
  }
};

template <class Value>
using by_site = std::map<call_site, Value, site_order>;

// How many sites a message tells of.
inline constexpr std::size_t told_sites = 10;

}  // namespace tenure::resources
