#include "library/gc/compaction.h"

#include <algorithm>
#include <vector>

namespace tenure::gc {

namespace {

using block_numbers = std::vector<std::uint32_t>;

std::size_t free_count(const relocation& by, std::size_t block) noexcept {
  return by.all().header(block).cell_count - by.live_count(block);
}

bool has_pinned(const relocation& by, std::size_t block) noexcept {
  const block_header& header = by.all().header(block);
  for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
    if (by.all().bits(block).marks[word].shaded.load(std::memory_order_relaxed) != 0) return true;
  }
  return header.runs_held != 0;
}

// Otherwise it is of no use to move any.
bool can_be_emptied(const relocation& by, std::size_t block) noexcept {
  bool can = by.all().header(block).runs_held == 0;
  for_each_object_in(block, [&](const cell_place& at) { can = can && by.is_movable(at); });
  return can;
}

// The finger at the free cells of blocks[0], blocks[1], ...
class free_finger {
 public:
  free_finger(const relocation& by, const block_numbers& blocks) noexcept : by_(by), blocks_(blocks) {}

  // The next free cell in a block before the one at `end`; false: there is none.
  bool next(std::size_t end, cell_place& found) noexcept {
    const window& all = by_.all();
    for (; at_ < end; ++at_, cell_ = 0) {
      const std::uint32_t block = blocks_[at_];
      const block_header& header = all.header(block);
      while (cell_ < header.cell_count) {
        const std::uint32_t index = cell_++;
        if ((all.bits(block).marks[index / 64].allocated.load(std::memory_order_relaxed) >> (index % 64) & 1) != 0)
          continue;
        found = all.place(all.address_of(block) + std::size_t{index} * header.cell_bytes);
        return true;
      }
    }
    return false;
  }

 private:
  const relocation& by_;
  const block_numbers& blocks_;
  std::size_t at_ = 0;
  std::uint32_t cell_ = 0;
};

// Blocks with something pinned come first, for they stay and what they have free is filled before others are looked at;
// the rest by `rank`, which says who comes early.
template <class Rank>
void put_in_order(const relocation& by, block_list& list, Rank rank) noexcept {
  block_numbers& blocks = list.blocks;
  for (const std::uint32_t block : blocks) by.all().header(block).order = has_pinned(by, block) ? 0 : 1 + rank(block);
  std::sort(blocks.begin(), blocks.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t rank_a = by.all().header(a).order;
    const std::uint32_t rank_b = by.all().header(b).order;
    return rank_a != rank_b ? rank_a < rank_b : a < b;
  });
  for (std::size_t i = 0; i < blocks.size(); ++i) list.put_at(i, blocks[i]);
}

// The blocks from the last on are emptied into the free cells of those from the first on, until they meet, or until one
// has more objects than `most_live`.
void compact(relocation& by, const block_numbers& blocks, std::size_t most_live) noexcept {
  std::size_t room = 0;
  for (const std::uint32_t block : blocks) room += free_count(by, block);
  free_finger to(by, blocks);
  for (std::size_t from = blocks.size(); from-- > 1;) {
    const std::uint32_t block = blocks[from];
    const std::size_t live = by.live_count(block);
    room -= free_count(by, block);
    if (live == 0 || !can_be_emptied(by, block)) continue;
    if (live > room || live > most_live) return;
    room -= live;
    for_each_object_in(block, [&](const cell_place& at) {
      cell_place free;
      if (to.next(from, free)) by.move(at, free);
    });
  }
}

void compact_list(relocation& by, block_list& list) noexcept {
  put_in_order(by, list, [](std::uint32_t) { return 0; });
  compact(by, list.blocks, block_bytes);
}

// Whether a quarter of the blocks could go.
bool is_worth_it(const relocation& by, const block_numbers& blocks) noexcept {
  if (blocks.empty()) return false;
  std::size_t free = 0;
  for (const std::uint32_t block : blocks) free += free_count(by, block);
  const std::size_t superfluous = free / by.all().header(blocks[0]).cell_count;
  return superfluous != 0 && superfluous * 4 >= blocks.size();
}

}  // namespace

void compact_all(relocation& by) {
  for (block_list& list : by.heap().lists) {
    const holding guard(list.guard);
    compact_list(by, list);
  }
}

void empty_sparse(relocation& by) {
  if (by.heap().always_evacuate) return compact_all(by);
  for (block_list& list : by.heap().lists) {
    const holding guard(list.guard);
    if (!is_worth_it(by, list.blocks)) continue;
    put_in_order(by, list, [&](std::uint32_t block) { return static_cast<std::uint32_t>(free_count(by, block)); });
    compact(by, list.blocks, by.all().header(list.blocks[0]).cell_count / 2);
  }
}

}  // namespace tenure::gc
