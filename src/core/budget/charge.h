// Charging: what an account holds goes up and down, and never beyond its hard limit or that of an account above it.
//
//   try_charge   ──▶ the account ──▶ its parent ──▶ … each by one compare-and-swap, or none of them
//   charge       ──▶ try_charge; refused: shrinkers give memory back, with no lock held, and it is tried again
//
// A compare-and-swap, where an addition would be quicker under contention: an addition has to be taken back when the
// limit turns out to be met, and meanwhile others are refused by a figure that is not true. What many threads charge at
// a high rate should be charged in larger portions anyway.
#pragma once

#include <cstdint>

#include "core/base/bits.h"
#include "core/base/yield_point.h"
#include "core/budget/ledger.h"

namespace tenure::budget {

enum class outcome {
  done,
  done_over_soft_limit,  // this charge took an account beyond its soft limit: relieve() when no lock is held
  refused,               // nothing has changed
};

// Calls nobody: may be used with locks held. A few ns an account.
outcome try_charge(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept;

// Asks shrinkers at both limits; no lock may be held that a shrinker needs. False: refused.
bool charge(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept;

// More than is held ends in a message.
void release(account* of, std::uint64_t bytes, std::uint64_t blocks) noexcept;

// After done_over_soft_limit: shrinkers of the accounts that are beyond theirs.
void relieve_soft_limits(account* of) noexcept;
// After refused: shrinkers of the account whose limit stands in the way. Bytes they gave back, 0: nothing to be had.
std::uint64_t relieve_hard_limit(account* of, std::uint64_t wanted_bytes) noexcept;
// The refusal stays.
void count_refusal(account* of, std::uint64_t bytes) noexcept;

}  // namespace tenure::budget
