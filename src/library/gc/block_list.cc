#include "library/gc/block_list.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/base/check.h"

namespace tenure::gc {

namespace {

// Of so many cells one has to be free.
constexpr std::size_t most_cells_for_a_free_one = 32;

}  // namespace

std::uint64_t valid_cells(const block_header& header, std::size_t word) noexcept {
  const std::size_t before = word * 64;
  if (before >= header.cell_count) return 0;
  const std::size_t count = header.cell_count - before;
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

std::size_t free_cells(std::size_t block) noexcept {
  const window& all = window::get();
  const block_header& header = all.header(block);
  std::size_t free = header.cell_count;
  for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
    free -=
        static_cast<std::size_t>(std::popcount(all.bits(block).marks[word].allocated.load(std::memory_order_relaxed)));
  }
  return free;
}

void block_list::add(std::size_t block) noexcept {
  TENURE_DCHECK(blocks.size() < blocks.capacity());
  block_header& header = window::get().header(block);
  header.order = static_cast<std::uint32_t>(blocks.size());
  header.next_young = not_chained;
  header.next_open = not_chained;
  header.previous_open = not_chained;
  blocks.push_back(static_cast<std::uint32_t>(block));
}

void block_list::put_at(std::size_t index, std::uint32_t block) noexcept {
  blocks[index] = block;
  window::get().header(block).order = static_cast<std::uint32_t>(index);
}

void block_list::remove(std::size_t block) noexcept {
  const block_header& header = window::get().header(block);
  TENURE_CHECK(blocks[header.order] == block && header.next_young == not_chained);
  close(block);
  put_at(header.order, blocks.back());
  blocks.pop_back();
}

void block_list::open(std::size_t block) noexcept {
  window& all = window::get();
  block_header& header = all.header(block);
  if (header.next_open != not_chained) return;
  const auto number = static_cast<std::uint32_t>(block);
  header.next_open = chain_end;
  header.previous_open = last_open;
  if (last_open == chain_end) {
    first_open = number;
    cursor_word = 0;
  } else {
    all.header(last_open).next_open = number;
  }
  last_open = number;
}

void block_list::close(std::size_t block) noexcept {
  window& all = window::get();
  block_header& header = all.header(block);
  if (header.next_open == not_chained) return;
  if (header.previous_open == chain_end) {
    first_open = header.next_open;
    cursor_word = 0;
  } else {
    all.header(header.previous_open).next_open = header.next_open;
  }
  if (header.next_open == chain_end) {
    last_open = header.previous_open;
  } else {
    all.header(header.next_open).previous_open = header.previous_open;
  }
  header.next_open = not_chained;
  header.previous_open = not_chained;
}

void block_list::open_if_worth_it(std::size_t block, std::size_t free_cells) noexcept {
  const std::size_t count = window::get().header(block).cell_count;
  if (free_cells < std::max<std::size_t>(1, count / most_cells_for_a_free_one)) return close(block);
  if (first_open == block) cursor_word = 0;
  open(block);
}

bool block_list::make_young(std::size_t block) noexcept {
  block_header& header = window::get().header(block);
  if (header.next_young != not_chained) return false;
  header.next_young = first_young.load(std::memory_order_relaxed);
  first_young.store(static_cast<std::uint32_t>(block), std::memory_order_release);
  return true;
}

std::uint32_t block_list::take_young() noexcept { return first_young.exchange(chain_end, std::memory_order_acq_rel); }

std::uint32_t block_list::pop_young(std::uint32_t& chain) noexcept {
  const std::uint32_t block = chain;
  chain = std::exchange(window::get().header(block).next_young, not_chained);
  return block;
}

void block_list::check() const noexcept {
  const window& all = window::get();
  std::uint32_t before = chain_end;
  std::size_t opened = 0;
  for (std::uint32_t at = first_open; at != chain_end; at = all.header(at).next_open) {
    TENURE_CHECK(all.header(at).previous_open == before);
    TENURE_CHECK(++opened <= blocks.size());
    before = at;
  }
  TENURE_CHECK(last_open == before);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const block_header& header = all.header(blocks[i]);
    TENURE_CHECK(header.order == i);
    if (header.next_open != not_chained) --opened;
    // What a thread holds, or has just been given, is looked at by the next cycle, if a sweep does not come to it yet.
    TENURE_CHECK(header.runs_held == 0 || header.next_young != not_chained || i >= sweep_next);
  }
  TENURE_CHECK(opened == 0);
}

}  // namespace tenure::gc
