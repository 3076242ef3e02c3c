#include "core/budget/shrinker.h"

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/os/futex.h"
#include "core/os/mutex.h"

namespace tenure::budget {
namespace {

struct slot {
  shrink_function function = nullptr;  // null: free
  void* context = nullptr;
  account* of = nullptr;
  std::uint64_t order = 0;  // of registration: among equals the older one first
  std::uint32_t generation = 0;
  std::int32_t priority = 0;
  std::uint32_t running = 0;  // atomic, threads inside
  bool leaving = false;       // no new call
};

os::mutex lock;
slot slots[shrinker_capacity];
std::uint64_t registrations = 0;

// The slot that this thread is in, plus one. A shrinker must not be started within a shrinker.
[[gnu::tls_model("initial-exec")]] thread_local std::uint32_t inside = 0;

constexpr std::uint32_t index_bits = 8;
static_assert(shrinker_capacity == 1u << index_bits);

bool is_before(const slot& a, std::int32_t priority, std::uint64_t order) noexcept {
  return a.priority != priority ? a.priority < priority : a.order < order;
}

// The first shrinker after (priority, order) that concerns the account; its `running` is raised. Null at the end.
slot* enter_next(const account* of, std::int32_t priority, std::uint64_t order) noexcept {
  os::lock_guard held(lock);
  slot* best = nullptr;
  for (slot& one : slots) {
    if (one.function == nullptr || one.leaving) continue;
    if (of != nullptr && (one.of == nullptr || !is_at_or_below(one.of, of))) continue;
    const bool is_later = one.priority != priority ? one.priority > priority : one.order > order;
    if (!is_later) continue;
    if (best == nullptr || is_before(one, best->priority, best->order)) best = &one;
  }
  if (best != nullptr) __atomic_fetch_add(&best->running, 1, __ATOMIC_RELAXED);
  return best;
}

void leave(slot* left) noexcept {
  os::lock_guard held(lock);
  if (__atomic_sub_fetch(&left->running, 1, __ATOMIC_RELEASE) == 0 && left->leaving) {
    os::futex_wake(&left->running, 1);
  }
}

}  // namespace

std::uint32_t register_shrinker(account* of, std::int32_t priority, shrink_function function, void* context) noexcept {
  TENURE_CHECK(function != nullptr);
  TENURE_CHECK(of == nullptr || is_open(of));
  os::lock_guard held(lock);
  for (std::uint32_t i = 0; i < shrinker_capacity; ++i) {
    slot& one = slots[i];
    if (one.function != nullptr) continue;
    one.function = function;
    one.context = context;
    one.of = of;
    one.priority = priority;
    one.order = ++registrations;
    one.leaving = false;
    one.generation = (one.generation + 1) & 0x7fffff;
    if (one.generation == 0) one.generation = 1;
    return one.generation << index_bits | i;
  }
  return 0;
}

void unregister_shrinker(std::uint32_t handle) noexcept {
  const std::uint32_t index = handle & (shrinker_capacity - 1);
  slot& one = slots[index];
  TENURE_CHECK(inside != index + 1);  // from within itself it would wait for itself
  lock.lock();
  TENURE_CHECK(one.function != nullptr && !one.leaving && one.generation == handle >> index_bits);
  one.leaving = true;
  for (;;) {
    const std::uint32_t running = __atomic_load_n(&one.running, __ATOMIC_ACQUIRE);
    if (running == 0) break;
    lock.unlock();
#ifdef TENURE_SYSTEMATIC
    TENURE_YIELD_POINT();
#else
    os::futex_wait(&one.running, running, 0);
#endif
    lock.lock();
  }
  one.function = nullptr;
  lock.unlock();
}

bool has_shrinker(const account* of) noexcept {
  os::lock_guard held(lock);
  for (const slot& one : slots) {
    if (one.function != nullptr && one.of == of) return true;
  }
  return false;
}

std::uint64_t run_shrinkers(account* of, std::uint64_t wanted_bytes, pressure_level level) noexcept {
  if (inside != 0) return 0;
  std::uint64_t gained = 0;
  std::int32_t priority = INT32_MIN;
  std::uint64_t order = 0;
  while (gained < wanted_bytes) {
    slot* next = enter_next(of, priority, order);
    if (next == nullptr) break;
    priority = next->priority;
    order = next->order;
    inside = static_cast<std::uint32_t>(next - slots) + 1;
    TENURE_YIELD_POINT();
    gained += next->function(next->context, pressure{level, of, wanted_bytes - gained});
    inside = 0;
    leave(next);
  }
  return gained;
}

void lock_shrinkers() noexcept { lock.lock(); }
void unlock_shrinkers() noexcept { lock.unlock(); }

void forget_running_shrinkers() noexcept {
  for (std::uint32_t i = 0; i < shrinker_capacity; ++i) slots[i].running = inside == i + 1 ? 1 : 0;
}

}  // namespace tenure::budget
