#include "library/gc/sides.h"

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
    delete of.sampled.find(bit);
    of.sampled.remove(bit);
  }
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
