#include "core/interface/live_core.h"

#include <cstdlib>

#include "core/heap/heap.h"

// Both questions are put by calling what the loader bound and not by comparing addresses: an executable at a fixed
// address that mentions &malloc lends its own jump to malloc to everybody as malloc's address.
namespace tenure::core {
namespace {

enum answer : std::uint32_t { unknown, no, yes };

}  // namespace

bool is_live_core() noexcept { return tenure_core_identity() == &core_identity; }

bool serves_malloc() noexcept {
  static std::uint32_t known = unknown;
  const std::uint32_t before = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (before != unknown) return before == yes;
  // Volatile, since a compiler may take away a block that nobody uses.
  void* (*volatile allocate)(std::size_t) = &std::malloc;
  void* block = allocate(1);
  if (block == nullptr) return false;
  const bool ours = usable_bytes(block) != 0;
  void (*volatile release)(void*) = &std::free;
  release(block);
  __atomic_store_n(&known, ours ? yes : no, __ATOMIC_RELAXED);
  return ours;
}

}  // namespace tenure::core
