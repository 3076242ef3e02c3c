#include "library/gc/sides.h"

#include <tenure/gc/detail/watch.hpp>

#include "library/gc/weak_cells.h"

namespace tenure::gc {

namespace {

constinit lock locks[side_lock_count];

}  // namespace

lock& side_lock_number(std::size_t number) noexcept { return locks[number]; }
// Neighbours, which a thread that makes many weak references in a row uses, have different ones.
lock& side_lock(std::size_t block, std::size_t word) noexcept {
  return locks[(block * words_per_block / 8 + word) % side_lock_count];
}

side_word& make_side(const cell_place& at) {
  std::atomic<side_word*>& where = window::get().sides(at.block)[at.index / 64];
  side_word* made = where.load(std::memory_order_relaxed);
  if (made == nullptr) {
    made = new side_word;
    where.store(made, std::memory_order_release);
  }
  // After the word: who clears the flag and then finds no word leaves it to this.
  at.header->has_sides.store(true, std::memory_order_release);
  return *made;
}

void forget_samples(side_word& of, std::uint64_t dead) noexcept {
  for (std::uint64_t left = of.sampled.bits() & dead; left != 0; left &= left - 1) {
    const std::uint64_t bit = left & (~left + 1);
    end_sample(of.sampled.find(bit));
    of.sampled.remove(bit);
  }
}

bool move_side(const cell_place& from, const cell_place& to) noexcept {
  if (!from.header->has_sides.load(std::memory_order_relaxed)) return true;
  side_word* before = find_side(from);
  if (before == nullptr) return true;
  detail::weak_cell* weak = before->weak.find(from.bit);
  detail::watch* watched = before->watched.find(from.bit);
  detail::sample* sampled = before->sampled.find(from.bit);
  if (weak == nullptr && watched == nullptr && sampled == nullptr) return true;
  try {
    side_word& after = make_side(to);
    if (weak != nullptr) after.weak.add(to.bit, weak);
    if (watched != nullptr) after.watched.add(to.bit, watched);
    if (sampled != nullptr) after.sampled.add(to.bit, sampled);
    if ((before->soft & from.bit) != 0) after.soft |= to.bit;
  } catch (const std::bad_alloc&) {
    if (side_word* after = find_side(to)) {
      if (after->weak.find(to.bit) != nullptr) after->weak.remove(to.bit);
      if (after->watched.find(to.bit) != nullptr) after->watched.remove(to.bit);
      after->soft &= ~to.bit;
    }
    keep_side(to.block, to.index / 64);
    return false;
  }
  if (weak != nullptr) {
    before->weak.remove(from.bit);
    weak->target.store(to.cell, std::memory_order_release);
    weak->guard.store(&side_lock(to), std::memory_order_release);
  }
  if (sampled != nullptr) before->sampled.remove(from.bit);
  if (watched != nullptr) before->watched.remove(from.bit);
  for (; watched != nullptr; watched = watched->next) {
    watched->target = to.cell + (static_cast<char*>(watched->target) - from.cell);
    watched->guard.store(&side_lock(to), std::memory_order_release);
  }
  before->soft &= ~from.bit;
  keep_side(from.block, from.index / 64);
  return true;
}

bool keep_side(std::size_t block, std::size_t word) noexcept {
  std::atomic<side_word*>& where = window::get().sides(block)[word];
  side_word* side = where.load(std::memory_order_relaxed);
  if (side == nullptr) return false;
  if (!side->is_empty()) return true;
  where.store(nullptr, std::memory_order_release);
  delete side;
  return false;
}

}  // namespace tenure::gc
