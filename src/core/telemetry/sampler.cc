// Draws where the samples fall: the distances of a Poisson process over the bytes that a thread is handed.
#include <cstdint>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/clock.h"
#include "core/telemetry/sampling_math.h"
#include "core/telemetry/telemetry.h"
#include "core/telemetry/telemetry_state.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t least_interval_bytes = 4096;
constexpr std::uint64_t most_interval_bytes = std::uint64_t{1} << 40;
// While sampling is off, a thread looks again after so many bytes whether it has been switched on.
constexpr std::int64_t look_again_bytes = 16 * 1024 * 1024;

std::uint64_t scramble(std::uint64_t value) noexcept {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

// xorshift64*: the high bits of the product are good, and those are used.
std::uint64_t draw(std::uint64_t& state) noexcept {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1du;
}

std::uint64_t sane_interval(std::uint64_t bytes) noexcept {
  if (bytes == 0) return 0;
  if (bytes < least_interval_bytes) return least_interval_bytes;
  return bytes < most_interval_bytes ? bytes : most_interval_bytes;
}

}  // namespace

std::uint64_t sample_interval_bytes() noexcept {
  return sane_interval(__atomic_load_n(&control().sample_interval_bytes, __ATOMIC_RELAXED));
}

void set_sample_interval_bytes(std::uint64_t bytes) noexcept {
  __atomic_store_n(&own_control().sample_interval_bytes, sane_interval(bytes), __ATOMIC_RELAXED);
  __atomic_store_n(&control().sample_interval_bytes, sane_interval(bytes), __ATOMIC_RELAXED);
}

void sample_clock::reset() noexcept {
  const std::uint64_t place = reinterpret_cast<std::uintptr_t>(this);
  random_state = scramble(place ^ scramble(os::monotonic_ns() ^ scramble(os::thread_id())));
  if (random_state == 0) random_state = 1;  // the one state xorshift never leaves
  next();
}

void sample_clock::next(unsigned doublings) noexcept {
  TENURE_DCHECK(random_state != 0 && doublings < 24);
  interval_bytes = sane_interval(sample_interval_bytes() << doublings);
  if (interval_bytes == 0) {
    bytes_until_sample = look_again_bytes;
    return;
  }
  const std::uint64_t fraction = (draw(random_state) >> 11) + 1;  // in [1, 2^53]
  const double distance = negative_log_of_fraction(fraction) * static_cast<double>(interval_bytes);
  // Rounded up: a block of n bytes meets the sample when distance <= n, which has probability 1 - e^(-n/interval).
  const auto whole = static_cast<std::int64_t>(distance);
  bytes_until_sample = static_cast<double>(whole) < distance ? whole + 1 : whole;
  if (bytes_until_sample == 0) bytes_until_sample = 1;
  TENURE_DCHECK(bytes_until_sample > 0);
}

}  // namespace tenure::telemetry
