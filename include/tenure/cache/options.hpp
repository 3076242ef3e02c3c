// What a tenure::cache is told, and what it tells.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string_view>

#include <tenure/account.hpp>

namespace tenure {

// The bound, in one unit or the other.
struct limit_bytes {
  std::uint64_t value;
};
struct limit_entries {
  std::uint64_t value;
};

// What pressure may do to a value. Firm ones go for want of room, last of all, and never because memory is wanted
// elsewhere.
enum class value_strength : std::uint8_t { soft, firm };

struct cache_options {
  using duration = std::chrono::nanoseconds;

  std::string_view name = "cache";
  const tenure::account* parent = nullptr;

  // Zero: never. An entry that has expired is not found, from that moment on.
  duration expire_after_write{};
  duration expire_after_access{};
  // What a loader did not find is remembered for so long; zero: as long as any entry.
  duration expire_absent{};
  // The part of an entry's life after writing by which it may end earlier, at random: what was loaded together is not
  // loaded again together.
  double jitter = 0;
  // An entry as old as this is loaded anew when it is asked for by get_or_load(), which goes on with the old value.
  duration refresh_after{};

  // Where refreshes run; without it, on the thread that asked. They must have ended when the cache does.
  std::function<void(std::function<void()>)> executor{};
  // For tests; without it, the steady clock.
  std::function<duration()> clock{};

  // Of a bound in bytes, what is set aside for the policy's memory of entries that are gone; 0: a sixteenth.
  std::size_t policy_bytes = 0;
  // Of what is put without one, and of what loaders give.
  value_strength strength = value_strength::soft;
  // Among shrinkers, the one with the least is asked first.
  std::int32_t shrink_priority = 0;
};

enum class removal_cause : std::uint8_t {
  replaced,  // by another value for its key
  erased,    // by erase() or clear()
  expired,
  collected,  // a weak value, and what it points to is gone
  evicted,    // for want of room
  pressure,   // of the budget, or trim()
  refused,    // was never in the cache; listeners are not told
};

namespace detail {

inline std::uint64_t checked_limit(std::uint64_t bytes, std::uint64_t entries) {
  if (bytes < 128 * 1024) throw std::invalid_argument("tenure::cache: a limit below 128 KiB");
  if (entries == 0) throw std::invalid_argument("tenure::cache: a limit of no entries");
  return bytes;
}

}  // namespace detail

// Each exact, though not all of one moment while others use the cache.
struct cache_statistics {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;    // expired entries included
  std::uint64_t puts = 0;      // those that were kept
  std::uint64_t refusals = 0;  // those that were not: too large, or not worth it to the policy
  std::uint64_t loads = 0;
  std::uint64_t load_failures = 0;
  std::uint64_t joined_loads = 0;  // waited for a load that another thread had begun
  std::uint64_t refreshes = 0;
  std::uint64_t load_ns = 0;
  std::uint64_t evictions = 0;
  std::uint64_t pressure_evictions = 0;  // of these, those that the budget or trim() wanted, and their bytes
  std::uint64_t pressure_bytes = 0;
  std::uint64_t expirations = 0;
  std::uint64_t collections = 0;  // of weak values
  std::uint64_t entries = 0;
  std::uint64_t firm_entries = 0;  // the others are soft
  std::uint64_t used_bytes = 0;    // entries, table, policy, and what is reserved for a moment
  std::uint64_t peak_used_bytes = 0;
  std::uint64_t limit_bytes = 0;
  std::uint64_t table_bytes = 0;
  std::uint64_t policy_bytes = 0;
  std::uint64_t waiting_entries = 0;  // taken out, and still in the hands of readers

  double hit_ratio() const noexcept {
    return hits + misses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(hits + misses);
  }
};

}  // namespace tenure
