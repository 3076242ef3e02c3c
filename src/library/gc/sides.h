// What is known of an object beside it: its weak cell, and who waits for its end. Most objects have neither.
//
//   side_word, for 64 cells of a block     weak      [ bits | a cell for each bit that is set     ]
//                                          watched   [ bits | the first watch for each, likewise  ]
//                                          soft      [ bits ]
//                                          sampled   [ bits | where each was allocated           ]
//
// A cycle asks which of a word's objects are dead with one operation on the bits, as it does when it sweeps, and looks
// closer at those alone: what it costs is the dead, not the living. A block says whether it has words at all. The
// locks are dealt out to words; nobody holds one for longer than 64 objects take.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/heap_state.h"
#include "library/gc/lock.h"
#include "library/gc/samples.h"

namespace tenure::gc::detail {
struct weak_cell;
struct watch;
}  // namespace tenure::gc::detail

namespace tenure::gc {

// A pointer for each bit that is set, in the order of the bits.
template <class T>
class ranked {
 public:
  std::uint64_t bits() const noexcept { return bits_; }
  T* find(std::uint64_t bit) const noexcept { return (bits_ & bit) != 0 ? items_[rank(bit)] : nullptr; }
  // Throws std::bad_alloc. The bit is not set.
  void add(std::uint64_t bit, T* item) {
    TENURE_DCHECK((bits_ & bit) == 0);
    items_.insert(items_.begin() + rank(bit), item);
    bits_ |= bit;
  }
  void replace(std::uint64_t bit, T* item) noexcept { items_[rank(bit)] = item; }
  void remove(std::uint64_t bit) noexcept {
    TENURE_DCHECK((bits_ & bit) != 0);
    items_.erase(items_.begin() + rank(bit));
    bits_ &= ~bit;
  }

 private:
  int rank(std::uint64_t bit) const noexcept { return std::popcount(bits_ & (bit - 1)); }

  std::uint64_t bits_ = 0;
  std::vector<T*> items_;
};

struct side_word {
  ranked<detail::weak_cell> weak;
  ranked<detail::watch> watched;
  ranked<detail::sample> sampled;  // owned
  std::uint64_t soft = 0;          // weak cells that had a soft reference once

  bool is_empty() const noexcept { return weak.bits() == 0 && watched.bits() == 0 && sampled.bits() == 0; }
};

lock& side_lock(std::size_t block, std::size_t word) noexcept;
inline lock& side_lock(const cell_place& at) noexcept { return side_lock(at.block, at.index / 64); }

// With the lock held. Null: there is nothing.
inline side_word* find_side(const cell_place& at) noexcept {
  return window::get().sides(at.block)[at.index / 64].load(std::memory_order_relaxed);
}
// With the lock held. Throws std::bad_alloc.
side_word& make_side(const cell_place& at);
// With the lock held: what was known of where those were allocated is forgotten.
void forget_samples(side_word& of, std::uint64_t dead) noexcept;
// What is known of the object at `from` is known of the one at `to`. With all the locks held. False when there is no
// memory for it: then nothing has changed.
bool move_side(const cell_place& from, const cell_place& to) noexcept;
// With the lock held: false when nothing is left and the word is gone.
bool keep_side(std::size_t block, std::size_t word) noexcept;

// Holds the lock that `of` names when it has it: an object that is moved comes beside another word meanwhile.
class holding_side {
 public:
  explicit holding_side(const std::atomic<lock*>& of) noexcept {
    for (;;) {
      held_ = of.load(std::memory_order_acquire);
      held_->acquire();
      if (of.load(std::memory_order_acquire) == held_) return;
      held_->release();
    }
  }
  ~holding_side() { held_->release(); }
  holding_side(const holding_side&) = delete;
  holding_side& operator=(const holding_side&) = delete;

 private:
  lock* held_;
};

// Each word of blocks in which a cycle may find its dead, with its lock held: visit(block, word, side).
template <class Visit>
void for_each_side(heap_state& heap, Visit visit) {
  window& all = window::get();
  for_each_block_with_dead(heap, [&](std::size_t block, block_header& header) {
    if (!header.has_sides.exchange(false, std::memory_order_acq_rel)) return;
    bool any = false;
    for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
      std::atomic<side_word*>& at = all.sides(block)[word];
      if (at.load(std::memory_order_acquire) == nullptr) continue;
      TENURE_YIELD_POINT();
      const holding guard(side_lock(block, word));
      side_word* side = at.load(std::memory_order_relaxed);
      if (side == nullptr) continue;
      visit(block, word, *side);
      any = keep_side(block, word) || any;
    }
    if (any) header.has_sides.store(true, std::memory_order_release);
  });
}

inline constexpr std::size_t side_lock_count = 64;
lock& side_lock_number(std::size_t number) noexcept;

template <class Each>
void for_each_side_lock(Each each) {
  for (std::size_t i = 0; i < side_lock_count; ++i) each(side_lock_number(i));
}

}  // namespace tenure::gc
