// What the blocks of a heap hold, and the pages inside of them that hold nothing.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "library/gc/heap_state.h"

namespace tenure::gc {

namespace {

std::size_t used_cells(const window& all, std::size_t block) noexcept {
  std::size_t used = 0;
  for (std::size_t word = 0; word * 64 < all.header(block).cell_count; ++word) {
    used +=
        static_cast<std::size_t>(std::popcount(all.bits(block).marks[word].allocated.load(std::memory_order_relaxed)));
  }
  return used;
}

// Each run of free cells in a block: visit(address of its first byte, of its end).
template <class Visit>
void for_each_free_run(const window& all, std::size_t block, Visit visit) {
  const block_header& header = all.header(block);
  std::uint32_t first = 0;
  for (std::uint32_t cell = 0; cell <= header.cell_count; ++cell) {
    const bool is_used =
        cell == header.cell_count ||
        (all.bits(block).marks[cell / 64].allocated.load(std::memory_order_relaxed) >> (cell % 64) & 1) != 0;
    if (!is_used) continue;
    if (cell != first) {
      char* begin = all.address_of(block);
      visit(begin + std::size_t{first} * header.cell_bytes, begin + std::size_t{cell} * header.cell_bytes);
    }
    first = cell + 1;
  }
}

std::size_t return_pages(char* first, char* end, std::size_t page_bytes) noexcept {
  const auto from = (reinterpret_cast<std::uintptr_t>(first) + page_bytes - 1) & ~(page_bytes - 1);
  const auto to = reinterpret_cast<std::uintptr_t>(end) & ~(page_bytes - 1);
  if (from >= to) return 0;
  char* begin = first + (from - reinterpret_cast<std::uintptr_t>(first));
  return ::madvise(begin, to - from, MADV_DONTNEED) == 0 ? to - from : 0;
}

}  // namespace

std::vector<cell_usage> heap::usage() const {
  std::map<std::size_t, cell_usage> by_size;
  window& all = window::get();
  for (block_list& list : state_->lists) {
    const holding guard(list.guard);
    for (const std::uint32_t block : list.blocks) {
      const block_header& header = all.header(block);
      const std::size_t used = used_cells(all, block);
      cell_usage& into = by_size[header.cell_bytes];
      into.cell_bytes = header.cell_bytes;
      ++into.blocks;
      if (used * 2 < header.cell_count) ++into.sparse_blocks;
      into.used_bytes += used * header.cell_bytes;
      into.free_bytes += block_bytes - used * header.cell_bytes;
    }
  }
  std::vector<cell_usage> found;
  for (const auto& [bytes, each] : by_size) found.push_back(each);
  return found;
}

std::size_t heap::return_free_pages() {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  window& all = window::get();
  std::size_t returned = 0;
  for (block_list& list : state_->lists) {
    // With the lock held nobody takes a cell.
    const holding guard(list.guard);
    for (const std::uint32_t block : list.blocks) {
      for_each_free_run(all, block, [&](char* first, char* end) { returned += return_pages(first, end, page_bytes); });
    }
  }
  return returned;
}

}  // namespace tenure::gc
