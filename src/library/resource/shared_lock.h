// The lock of a segment: a word in shared memory which says who has it, so that the next one finds out when he is dead.
//
//   bit   31        30 ............... 8   7 ........ 0
//         waiting   generation of slot     slot, from 1      0: nobody has it
//
// Whoever waits looks from time to time whether the owner lives, takes a dead one's lock over and mends what he was at.
// That the lock is no pthread mutex is meant: those keep pointers to each other in themselves, through which a peer
// that writes into the segment would write anywhere in this process.
#pragma once

#include <cstdint>

#include "library/resource/shared_presence.h"

namespace tenure::resources {

class shared_lock {
 public:
  shared_lock() = default;
  shared_lock(std::uint32_t& word, const shared_presence& who, unsigned slot, std::uint32_t generation) noexcept;

  // True when it was taken over from somebody who died with it.
  [[nodiscard]] bool lock() const noexcept;
  void unlock() const noexcept;

 private:
  static constexpr std::uint32_t waiting = 1u << 31;

  bool is_dead(std::uint32_t owner) const noexcept;

  std::uint32_t* word_ = nullptr;
  const shared_presence* who_ = nullptr;
  unsigned slot_ = 0;
  std::uint32_t mine_ = 0;
};

}  // namespace tenure::resources
