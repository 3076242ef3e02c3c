#include "core/budget/charge.h"

#include <unistd.h>
#include <cstdlib>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/base/options.h"
#include "core/budget/shrinker.h"

namespace tenure::budget {
namespace {

std::uint64_t load(const std::uint64_t& word) noexcept { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

void raise_peak(account* of, std::uint64_t bytes) noexcept {
  std::uint64_t peak = load(of->peak_held_bytes);
  while (bytes > peak &&
         !__atomic_compare_exchange_n(&of->peak_held_bytes, &peak, bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

// The account alone.
outcome charge_one(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept {
  TENURE_CHECK(of->state == static_cast<std::uint32_t>(wire::account_state::open));
  std::uint64_t held = load(of->held_bytes);
  do {
    TENURE_YIELD_POINT();
    const std::uint64_t limit = load(of->hard_limit_bytes);
    if (core::unlikely(held > limit || bytes > limit - held)) return outcome::refused;
  } while (
      !__atomic_compare_exchange_n(&of->held_bytes, &held, held + bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  if (blocks != 0) __atomic_fetch_add(&of->held_blocks, blocks, __ATOMIC_RELAXED);
  const std::uint64_t now = held + bytes;
  if (core::unlikely(now > load(of->peak_held_bytes))) raise_peak(of, now);
  const std::uint64_t soft = load(of->soft_limit_bytes);
  return core::unlikely(now > soft && held <= soft) ? outcome::done_over_soft_limit : outcome::done;
}

[[gnu::cold, gnu::noinline]] void report_excess(account* of, std::uint64_t held, std::uint64_t bytes) noexcept {
  core::message text;
  text.add("tenure: the ").add(of->kind).add(" account \"").add(of->name).add("\" was given back ").add_decimal(bytes);
  text.add(" bytes and holds only ")
      .add_decimal(held)
      .add(": what it is told of it was released twice, or never charged");
  text.add(", in process ").add_decimal(static_cast<std::uint64_t>(::getpid())).add("\n");
  text.write_to(STDERR_FILENO);
  if (core::value(core::option::abort_on_misuse) != 0) std::abort();
}

void release_one(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept {
  std::uint64_t held = load(of->held_bytes);
  std::uint64_t taken;
  do {
    TENURE_YIELD_POINT();
    taken = bytes < held ? bytes : held;
  } while (
      !__atomic_compare_exchange_n(&of->held_bytes, &held, held - taken, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  if (blocks != 0) __atomic_fetch_sub(&of->held_blocks, blocks, __ATOMIC_RELAXED);
  // Where a fork has parted the figures from what other threads of the parent had, less is not misuse.
  if (core::unlikely(taken != bytes) && !is_forked()) report_excess(of, held, bytes);
}

// The account at or above `of` that has no room for so many bytes; null when each has.
account* find_obstacle(account* of, std::uint64_t bytes) noexcept {
  for (; of != nullptr; of = parent_of(of)) {
    const std::uint64_t limit = load(of->hard_limit_bytes);
    const std::uint64_t held = load(of->held_bytes);
    if (held > limit || bytes > limit - held) return of;
  }
  return nullptr;
}

}  // namespace

outcome try_charge(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept {
  outcome result = outcome::done;
  for (account* at = of; at != nullptr; at = parent_of(at)) {
    const outcome here = charge_one(at, bytes, blocks);
    if (core::likely(here == outcome::done)) continue;
    if (here == outcome::refused) {
      for (account* back = of; back != at; back = parent_of(back)) release_one(back, bytes, blocks);
      return outcome::refused;
    }
    result = here;
  }
  return result;
}

void release(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept {
  TENURE_CHECK(of->state == static_cast<std::uint32_t>(wire::account_state::open));
  for (; of != nullptr; of = parent_of(of)) release_one(of, bytes, blocks);
}

void relieve_soft_limits(account* of) noexcept {
  for (; of != nullptr; of = parent_of(of)) {
    const std::uint64_t held = load(of->held_bytes);
    const std::uint64_t soft = load(of->soft_limit_bytes);
    if (held > soft) run_shrinkers(of, held - soft, pressure_level::soft_limit);
  }
}

std::uint64_t relieve_hard_limit(account* of, std::uint64_t wanted_bytes) noexcept {
  account* obstacle = find_obstacle(of, wanted_bytes);
  if (obstacle == nullptr) return wanted_bytes;  // somebody has made room meanwhile
  const std::uint64_t limit = load(obstacle->hard_limit_bytes);
  if (wanted_bytes > limit) return 0;  // it would not fit if all else were gone
  const std::uint64_t held = load(obstacle->held_bytes);
  const std::uint64_t missing = held + wanted_bytes > limit ? held + wanted_bytes - limit : wanted_bytes;
  return run_shrinkers(obstacle, missing, pressure_level::hard_limit);
}

void count_refusal(account* of, std::uint64_t bytes) noexcept {
  account* obstacle = find_obstacle(of, bytes);
  __atomic_fetch_add(&(obstacle == nullptr ? of : obstacle)->refusals, 1, __ATOMIC_RELAXED);
}

bool charge(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept {
  // Each round is paid for by memory that came back; others may take it first, but not for ever.
  constexpr int rounds = 8;
  for (int round = 0; round < rounds; ++round) {
    const outcome result = try_charge(of, bytes, blocks);
    if (core::likely(result == outcome::done)) return true;
    if (result == outcome::done_over_soft_limit) {
      relieve_soft_limits(of);
      return true;
    }
    if (relieve_hard_limit(of, bytes) == 0) break;
  }
  count_refusal(of, bytes);
  return false;
}

}  // namespace tenure::budget
