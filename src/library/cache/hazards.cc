#include <tenure/cache/hazards.hpp>

#include <pthread.h>

#include <new>

#include <tenure/cache/step.hpp>

#include "core/base/check.h"

namespace tenure::detail {
namespace {

std::atomic<hazard_record*> newest{nullptr};
std::atomic<std::uint32_t> records{0};

// A key's destructor runs after those of thread_local objects, which may use a cache to the last.
void leave(void* record) noexcept { static_cast<hazard_record*>(record)->in_use.store(0, std::memory_order_release); }

pthread_key_t leave_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    TENURE_CHECK(pthread_key_create(&made, leave) == 0);
    return made;
  }();
  return key;
}

hazard_record& take_record() {
  for (hazard_record* one = newest.load(std::memory_order_acquire); one != nullptr; one = one->next) {
    std::uint32_t free = 0;
    if (one->in_use.compare_exchange_strong(free, 1, std::memory_order_acquire)) return *one;
  }
  auto* const made = new hazard_record;
  made->in_use.store(1, std::memory_order_relaxed);
  made->number = records.fetch_add(1, std::memory_order_relaxed);
  made->next = newest.load(std::memory_order_relaxed);
  // The list only grows, and a scan must see a record before its first slot is set.
  while (!newest.compare_exchange_weak(made->next, made, std::memory_order_seq_cst)) {
  }
  return *made;
}

}  // namespace

hazard_record& join_hazards() {
  const pthread_key_t key = leave_key();
  if (void* const mine = pthread_getspecific(key); mine != nullptr) return *static_cast<hazard_record*>(mine);
  hazard_record& record = take_record();
  if (pthread_setspecific(key, &record) != 0) {
    leave(&record);
    throw std::bad_alloc();
  }
  return record;
}

std::uint32_t held_among(std::span<const void* const> entries) noexcept {
  TENURE_CHECK(entries.size() <= hazard_batch);
  std::uint32_t held = 0;
  const auto look_at = [&](const hazard_slot& slot) {
    TENURE_CACHE_STEP();
    const void* const one = slot.load(std::memory_order_seq_cst);
    if (one == nullptr) return;
    for (std::size_t i = 0; i < entries.size(); ++i) held |= (one == entries[i] ? 1u : 0u) << i;
  };
  for (const hazard_record* one = newest.load(std::memory_order_seq_cst); one != nullptr; one = one->next) {
    for (const hazard_slot& slot : one->held) look_at(slot);
    look_at(one->passing);
  }
  return held;
}

}  // namespace tenure::detail
