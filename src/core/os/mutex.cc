#include "core/os/mutex.h"

#include "core/base/machine.h"

namespace tenure::os {
namespace {

constexpr int spins = 64;

}  // namespace

void mutex::lock_slow() noexcept {
  for (int i = 0; i < spins; ++i) {
    if (__atomic_load_n(&state_, __ATOMIC_RELAXED) == 0 && try_lock()) return;
    core::relax_processor();
  }
  while (__atomic_exchange_n(&state_, 2, __ATOMIC_ACQUIRE) != 0) futex_wait(&state_, 2, 0);
}

}  // namespace tenure::os
