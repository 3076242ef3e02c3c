#include "core/heap/sampled.h"

#include <new>

#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

// Constructed on first use, in place: no destructor may run at exit.
alignas(named_heap) unsigned char storage[sizeof(named_heap)];
std::uint32_t state = 0;  // 0 untouched, 1 in the making, 2 there

}  // namespace

named_heap& sampled_heap() noexcept {
  auto* heap = reinterpret_cast<named_heap*>(storage);
  while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != 2) {
    std::uint32_t untouched = 0;
    if (!__atomic_compare_exchange_n(&state, &untouched, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) continue;
    new (storage) named_heap("sampled", nullptr);
    __atomic_store_n(&state, 2, __ATOMIC_RELEASE);
  }
  return *heap;
}

void* allocate_sampled(std::size_t size_class, std::size_t requested_bytes, std::uint64_t interval_bytes,
                       wire::allocation_entry entry) noexcept {
  void* block = sampled_heap().allocate_class(size_class);
  if (block == nullptr) return nullptr;
  telemetry::record_allocation(block, requested_bytes, class_bytes[size_class], interval_bytes, entry);
  return block;
}

void free_sampled(span* home, void* block) noexcept {
  telemetry::record_free(block);
  sampled_heap().free(home, block);
}

}  // namespace tenure::core
