// Shrinkers: who can give memory back, asked in the order of what it costs them.
//
// A cache, a pool or a collector registers a function with the account that its memory is charged to and a priority.
// When an account meets a limit, the shrinkers of that account and of those below it are called, least priority first,
// until so much has come back as is wanted. When the process as a whole is short, all of them are.
//
// They run on the thread that met the limit, with no lock of ours held. Within a shrinker no other is started: what it
// charges itself is refused at the limit. Unregistering waits until the function has returned on all other threads, so
// its context may be destroyed right after.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/budget/ledger.h"

namespace tenure::budget {

enum class pressure_level : std::uint32_t {
  soft_limit = 1,  // an account is beyond its soft limit; nobody waits
  hard_limit = 2,  // an allocation will fail unless memory comes back
  process = 3,     // the whole process is short of memory
};

struct pressure {
  pressure_level level;
  account* origin;             // whose limit it is; null for the process
  std::uint64_t wanted_bytes;  // what is still missing
};

// Returns the bytes it has released from accounts, or given back to the system.
using shrink_function = std::uint64_t (*)(void* context, const pressure& why);

inline constexpr std::uint32_t shrinker_capacity = 256;

// A handle above 0; 0 when there are shrinker_capacity already. `of` may be null: then it is asked when the process is
// short, and not for an account.
std::uint32_t register_shrinker(account* of, std::int32_t priority, shrink_function function, void* context) noexcept;
void unregister_shrinker(std::uint32_t handle) noexcept;
bool has_shrinker(const account* of) noexcept;

// Bytes that came back. `of` null: all shrinkers.
std::uint64_t run_shrinkers(account* of, std::uint64_t wanted_bytes, pressure_level level) noexcept;

// Around fork.
void lock_shrinkers() noexcept;
void unlock_shrinkers() noexcept;
void forget_running_shrinkers() noexcept;

}  // namespace tenure::budget
