#include "library/resource/shared_lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "core/base/yield_point.h"

namespace tenure::resources {
namespace {

constexpr unsigned slot_bits = 8;
constexpr std::uint32_t slot_mask = (1u << slot_bits) - 1;
constexpr std::uint32_t generation_mask = (1u << (31 - slot_bits)) - 1;
constexpr long first_wait_ns = 1'000'000;
constexpr long longest_wait_ns = 64'000'000;

void wait_while(const std::uint32_t* word, std::uint32_t value, long at_most_ns) noexcept {
  const timespec limit{0, at_most_ns};
  ::syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, nullptr, 0);
}

}  // namespace

shared_lock::shared_lock(std::uint32_t& word, const shared_presence& who, unsigned slot,
                         std::uint32_t generation) noexcept
    : word_(&word), who_(&who), slot_(slot), mine_(slot | (generation & generation_mask) << slot_bits) {}

// A slot is somebody else's while he is there; one that we have ourselves was, in another generation, a dead one's.
bool shared_lock::is_dead(std::uint32_t owner) const noexcept {
  owner &= ~waiting;
  if (owner == mine_) return false;  // another thread of this process
  const unsigned slot = owner & slot_mask;
  return slot == 0 || slot == slot_ || !who_->is_there(slot);
}

bool shared_lock::lock() const noexcept {
  std::uint32_t seen = 0;
  if (__atomic_compare_exchange_n(word_, &seen, mine_, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    TENURE_YIELD_POINT();
    return false;
  }
  for (long wait_ns = first_wait_ns;;) {
    seen = __atomic_load_n(word_, __ATOMIC_RELAXED);
    if (seen == 0) {
      // Others may be waiting still: who wakes up takes the bit along.
      if (__atomic_compare_exchange_n(word_, &seen, mine_ | waiting, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return false;
      }
      continue;
    }
    if (is_dead(seen)) {
      if (__atomic_compare_exchange_n(word_, &seen, mine_ | waiting, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return true;
      }
      continue;
    }
    if ((seen & waiting) == 0 &&
        !__atomic_compare_exchange_n(word_, &seen, seen | waiting, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      continue;
    }
    wait_while(word_, seen | waiting, wait_ns);
    wait_ns = std::min(2 * wait_ns, longest_wait_ns);
  }
}

void shared_lock::unlock() const noexcept {
  TENURE_YIELD_POINT();
  if ((__atomic_exchange_n(word_, 0, __ATOMIC_RELEASE) & waiting) != 0) {
    ::syscall(SYS_futex, word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
}

}  // namespace tenure::resources
