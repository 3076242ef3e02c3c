// The resources that the conformance suite is put through.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <tenure/memory_resource.hpp>

#include "unit/resource/resource_support.h"

namespace tenure::testing {

// A resource as the suite sees it, whatever its type is: how it is made (null where the system refuses what it needs),
// and what kind of requests it takes.
struct conformance_case {
  const char* name;
  std::shared_ptr<memory_resource> (*make)(counting_upstream& upstream);
  void (*check)(memory_resource& tested);
  std::size_t largest_bytes, largest_alignment;
  bool takes_back, knows_blocks, takes_upstream, grows, counts_whole, keeps, ends_all, has_checks, finds_late_writes;
};

std::span<const conformance_case> conformance_cases();

}  // namespace tenure::testing
