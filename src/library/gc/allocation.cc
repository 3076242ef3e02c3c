#include "library/gc/allocation.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/sweep.h"

namespace tenure::gc {

using detail::allocation_run;
using detail::allocation_runs;

namespace {

// What a thread holds of a list at most, unless one cell is more. It is cleared when it is taken, and then lies in the
// nearest cache when it is handed out.
constexpr std::size_t most_held_bytes = 8 * 1024;

std::uint64_t lowest(std::uint64_t bits, std::size_t count) noexcept {
  std::uint64_t kept = 0;
  for (; bits != 0 && count != 0; --count) {
    kept |= bits & (~bits + 1);
    bits &= bits - 1;
  }
  return kept;
}

std::uint64_t bits_in_a_row(std::size_t first, std::size_t count) noexcept {
  return count >= 64 ? ~std::uint64_t{0} << first : ((std::uint64_t{1} << count) - 1) << first;
}

// Cells of a block, word by word: visit(word, their bits).
template <class Visit>
void for_each_word(std::size_t first, std::size_t end, Visit visit) {
  while (first < end) {
    const std::size_t in_word = std::min(end - first, 64 - first % 64);
    visit(first / 64, bits_in_a_row(first % 64, in_word));
    first += in_word;
  }
}

// What the collector may read of a cell before it is constructed is zero: of a leaf the type alone. Each is cleared
// once after what lay there has died, and not again when a thread has let it go unused: a collector may be reading it.
void zero_cells(char* first, std::uint64_t cells, const block_header& header) noexcept {
  const std::size_t step = header.cell_bytes;
  if (!is_traced(header.kind)) {
    for (; cells != 0; cells &= cells - 1) {
      std::memset(first + static_cast<std::size_t>(std::countr_zero(cells)) * step, 0, sizeof(void*));
    }
    return;
  }
  while (cells != 0) {
    const auto at = static_cast<std::size_t>(std::countr_zero(cells));
    const auto run = static_cast<std::size_t>(std::countr_one(cells >> at));
    std::memset(first + at * step, 0, step * run);
    cells &= ~bits_in_a_row(at, run);
  }
}

std::uint32_t birth_cycle(const heap_state& heap) noexcept {
  // In this order: a cycle becomes `marking` before it has its number.
  const std::uint32_t cycle = heap.cycle.load(std::memory_order_acquire);
  return heap.at.load(std::memory_order_acquire) == stage::marking ? cycle - 1 : cycle;
}

// With the list's lock held. `npos`: the account has no room.
std::size_t make_block(heap_state& heap, std::size_t list) {
  block_list& into = heap.lists[list];
  make_room(into.blocks, into.blocks.size() + 1);
  if (!heap.account.take(block_bytes)) return window::npos;
  window& all = window::get();
  const std::size_t block = all.take_run(1);
  if (block == window::npos) {
    heap.account.release(block_bytes);
    throw std::bad_alloc();
  }
  const std::uint32_t cell_bytes = detail::cell_sizes[list % detail::class_count];
  block_header& header = all.header(block);
  header.cell_bytes = cell_bytes;
  header.reciprocal =
      static_cast<std::uint32_t>((std::uint64_t{1} << 32) / cell_bytes + ((std::uint64_t{1} << 32) % cell_bytes != 0));
  header.cell_count = static_cast<std::uint16_t>(block_bytes / cell_bytes);
  header.live_cells = 0;
  header.heap_number = static_cast<std::uint16_t>(heap.number);
  header.kind = static_cast<object_kind>(list / detail::class_count);
  header.list = static_cast<std::uint16_t>(list);
  header.swept_cycle = birth_cycle(heap);
  header.runs_held = 0;
  block_bits& bits = all.bits(block);
  // With the word that the unused end of the block would be in.
  for (std::size_t word = 0; word * 64 <= header.cell_count && word < words_per_block; ++word) {
    bits.marks[word].allocated.store(0, std::memory_order_relaxed);
    bits.to_clear[word] = header.zeroed ? 0 : valid_cells(header, word);
    bits.marks[word].set(0);
  }
  for (std::size_t card = 0; card < block_bytes >> detail::card_shift; ++card) {
    all.cards(block)[card].store(0, std::memory_order_relaxed);
  }
  header.state.store(block_state::cells, std::memory_order_release);
  into.add(block);
  heap.figures.block_bytes.fetch_add(block_bytes, std::memory_order_relaxed);
  return block;
}

// With the list's lock held: the block of the list and its word, where cells are free.
bool find_free(block_list& list, std::size_t& block, std::size_t& word) noexcept {
  window& all = window::get();
  while (list.first_open != chain_end) {
    block = list.first_open;
    const block_header& header = all.header(block);
    for (; list.cursor_word * 64 < header.cell_count; ++list.cursor_word) {
      word = list.cursor_word;
      const std::uint64_t used = all.bits(block).marks[word].allocated.load(std::memory_order_relaxed);
      if ((~used & valid_cells(header, word)) != 0) return true;
    }
    list.close(block);
  }
  return false;
}

// A thread's cells of a block that are not handed out, by whoever has the list's lock: visit(word, their bits).
template <class Visit>
void for_each_unused(const allocation_run& of, std::size_t block, Visit visit) {
  // In this order (allocation.h).
  const std::uint64_t later = of.later.load(std::memory_order_acquire);
  TENURE_YIELD_POINT();
  const char* end = of.end.load(std::memory_order_acquire);
  TENURE_YIELD_POINT();
  const char* next = of.next.load(std::memory_order_acquire);
  const window& all = window::get();
  const std::size_t cell_bytes = all.header(block).cell_bytes;
  const auto index_of = [&](const char* cell) {
    return static_cast<std::size_t>(cell - all.address_of(block)) / cell_bytes;
  };
  if (next < end) for_each_word(index_of(next), index_of(end), visit);
  if (later != 0) visit(index_of(of.first.load(std::memory_order_relaxed)) / 64, later);
}

void clear_bits(std::atomic<std::uint64_t>& of, std::uint64_t bits) noexcept {
  of.store(of.load(std::memory_order_relaxed) & ~bits, std::memory_order_relaxed);
}
void set_bits(std::atomic<std::uint64_t>& of, std::uint64_t bits) noexcept {
  of.store(of.load(std::memory_order_relaxed) | bits, std::memory_order_release);
}

// With the list's lock held: the thread holds those cells no longer.
void let_go(allocation_run& from) noexcept {
  char* first = from.first.load(std::memory_order_relaxed);
  if (first == nullptr) return;
  window& all = window::get();
  const std::size_t block = all.block_of(first);
  for_each_unused(from, block, [&](std::size_t word, std::uint64_t unused) {
    clear_bits(all.bits(block).marks[word].allocated, unused);
    clear_bits(all.bits(block).marks[word].born_marked, unused);
  });
  from.next.store(nullptr, std::memory_order_relaxed);
  from.end.store(nullptr, std::memory_order_relaxed);
  from.later.store(0, std::memory_order_relaxed);
  from.first.store(nullptr, std::memory_order_relaxed);
  block_header& header = all.header(block);
  TENURE_CHECK(header.runs_held != 0);
  --header.runs_held;
}

// How many free cells there are in a row from that one on, which is free.
std::size_t length_of_run(std::size_t block, std::size_t first, std::size_t most) noexcept {
  const window& all = window::get();
  const block_header& header = all.header(block);
  std::size_t end = first;
  for (std::size_t left = 1; left != 0 && end < header.cell_count && end - first < most; end += left) {
    const std::size_t word = end / 64;
    const std::uint64_t free =
        valid_cells(header, word) & ~all.bits(block).marks[word].allocated.load(std::memory_order_relaxed);
    left = static_cast<std::size_t>(std::countr_one(free >> (end % 64)));
  }
  return std::min(end - first, most);
}

// With the list's lock held. 0: a block is needed, and the account has no room for one.
std::size_t take_cells(heap_state& heap, std::size_t list, allocation_run& into, std::size_t most) {
  block_list& from = heap.lists[list];
  let_go(into);
  std::size_t block;
  std::size_t word;
  bool is_found = find_free(from, block, word);
  if (!is_found && is_swept_lazily(heap)) is_found = sweep_for_room(heap, from) && find_free(from, block, word);
  if (!is_found) {
    block = make_block(heap, list);
    if (block == window::npos) return 0;
    word = 0;
    from.open(block);
  }
  window& all = window::get();
  block_header& header = all.header(block);
  block_bits& bits = all.bits(block);
  touch(heap, from, block);
  most = heap.collect_every != 0 ? 1 : std::min(most, std::max<std::size_t>(1, most_held_bytes / header.cell_bytes));
  const std::uint64_t free = valid_cells(header, word) & ~bits.marks[word].allocated.load(std::memory_order_relaxed);
  const std::size_t first = word * 64 + static_cast<std::size_t>(std::countr_zero(free));
  const std::size_t length = length_of_run(block, first, most);
  std::uint64_t later = 0;
  if (first + length < (word + 1) * 64) {
    later = lowest(free & ~bits_in_a_row(first % 64, length), most - length);
  }
  const bool born_alive = header.swept_cycle != heap.cycle.load(std::memory_order_acquire);
  const auto take = [&](std::size_t in_word, std::uint64_t cells) {
    zero_cells(all.address_of(block) + in_word * 64 * header.cell_bytes, cells & bits.to_clear[in_word], header);
    bits.to_clear[in_word] &= ~cells;
    // Alive before it is allocated, for whoever looks for the dead meanwhile.
    if (born_alive) set_bits(bits.marks[in_word].born_marked, cells);
    set_bits(bits.marks[in_word].allocated, cells);
  };
  for_each_word(first, first + length, take);
  if (later != 0) take(word, later);
  ++header.runs_held;
  into.first.store(all.address_of(block) + word * 64 * header.cell_bytes, std::memory_order_relaxed);
  char* next = all.address_of(block) + first * header.cell_bytes;
  into.next.store(next, std::memory_order_release);
  into.end.store(next + length * header.cell_bytes, std::memory_order_release);
  into.later.store(later, std::memory_order_release);
  return (length + static_cast<std::size_t>(std::popcount(later))) * header.cell_bytes;
}

}  // namespace

void touch(const heap_state& heap, block_list& list, std::size_t block) noexcept {
  if (!list.make_young(block)) return;
  // Young cycles do not come to old blocks, so its number may be that of one long ago. While one sweeps, what comes
  // into the chain is as good as swept; a cycle that sweeps all has come to it, or will.
  if (heap.at.load(std::memory_order_acquire) != stage::sweeping_all) {
    window::get().header(block).swept_cycle = birth_cycle(heap);
  }
}

bool next_run(allocation_run& of, std::size_t cell_bytes) noexcept {
  const std::uint64_t later = of.later.load(std::memory_order_relaxed);
  if (later == 0) return false;
  const auto first = static_cast<std::size_t>(std::countr_zero(later));
  const auto length = static_cast<std::size_t>(std::countr_one(later >> first));
  char* next = of.first.load(std::memory_order_relaxed) + first * cell_bytes;
  // In this order (allocation.h).
  of.next.store(next, std::memory_order_release);
  TENURE_YIELD_POINT();
  of.end.store(next + length * cell_bytes, std::memory_order_release);
  TENURE_YIELD_POINT();
  of.later.store(later & ~bits_in_a_row(first, length), std::memory_order_release);
  TENURE_YIELD_POINT();
  return true;
}

refilled refill(thread_state& self, heap_state& heap, std::size_t list) {
  allocation_runs*& runs = self.heaps[heap.number];
  if (runs == detail::unregistered_thread.heaps[0]) {
    void* memory = std::malloc(sizeof(allocation_runs));
    if (memory == nullptr) throw std::bad_alloc();
    const holding guard(threads_lock());
    runs = new (memory) allocation_runs;
  }
  allocation_run& run = runs->runs[list];
  if (run.next.load(std::memory_order_relaxed) != run.end.load(std::memory_order_relaxed)) return refilled::done;
  const std::size_t most = self.samples.most_cells(heap.sample_bytes, detail::cell_sizes[list % detail::class_count]);
  std::size_t taken;
  {
    const holding guard(heap.lists[list].guard);
    taken = take_cells(heap, list, run, most);
  }
  if (taken == 0) return refilled::needs_block;
  heap.figures.allocated_bytes.fetch_add(taken, std::memory_order_relaxed);
  heap.allocated_since.fetch_add(taken, std::memory_order_relaxed);
  return self.samples.pass(heap.sample_bytes, taken) ? refilled::done_and_sampled : refilled::done;
}

void hold_bytes(heap_state& heap, std::size_t bytes) {
  if (!heap.account.charge(bytes)) throw std::bad_alloc();
}

std::size_t add_block(heap_state& heap, std::size_t list) noexcept {
  try {
    if (!heap.account.borrow(block_bytes, heap.figures.block_bytes.load(std::memory_order_relaxed)))
      return window::npos;
    return make_block(heap, list);
  } catch (const std::bad_alloc&) {
    return window::npos;
  }
}

char* make_large(heap_state& heap, object_kind kind, std::size_t bytes) {
  const std::size_t count = (bytes + block_bytes - 1) / block_bytes;
  if (!heap.account.take(count * block_bytes)) return nullptr;
  window& all = window::get();
  const holding guard(heap.large_guard);
  std::size_t block = window::npos;
  try {
    make_room(heap.large, heap.large.size() + 1);
    block = all.take_run(count);
    if (block == window::npos) throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
    heap.account.release(count * block_bytes);
    throw;
  }
  char* cell = all.address_of(block);
  block_header& header = all.header(block);
  if (!header.zeroed) std::memset(cell, 0, is_traced(kind) ? bytes : sizeof(void*));
  for (std::size_t i = block + 1; i < block + count; ++i) {
    all.header(i).reciprocal = 0;
    all.header(i).blocks_back = static_cast<std::uint32_t>(i - block);
    all.header(i).state.store(block_state::large_rest, std::memory_order_release);
  }
  header.reciprocal = 0;
  header.cell_bytes = 0;
  header.cell_count = 1;
  header.run_blocks = static_cast<std::uint32_t>(count);
  header.large_bytes = bytes;
  header.heap_number = static_cast<std::uint16_t>(heap.number);
  header.kind = kind;
  header.runs_held = 0;
  header.swept_cycle = birth_cycle(heap);
  const bool born_marked = header.swept_cycle != heap.cycle.load(std::memory_order_relaxed);
  block_bits& bits = all.bits(block);
  bits.marks[0].set(0);
  bits.marks[0].born_marked.store(born_marked ? 1 : 0, std::memory_order_relaxed);
  bits.marks[0].allocated.store(1, std::memory_order_relaxed);
  for (std::size_t card = 0; card < count * (block_bytes >> detail::card_shift); ++card) {
    all.cards(block)[card].store(0, std::memory_order_relaxed);
  }
  header.state.store(block_state::large, std::memory_order_release);
  heap.large.push_back(static_cast<std::uint32_t>(block));
  heap.figures.block_bytes.fetch_add(count * block_bytes, std::memory_order_relaxed);
  heap.figures.allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);
  heap.allocated_since.fetch_add(count * block_bytes, std::memory_order_relaxed);
  return cell;
}

void retire_runs(thread_state& of) noexcept {
  const holding threads(threads_lock());
  for_each_heap([&](heap_state& heap) {
    allocation_runs* runs = of.heaps[heap.number];
    if (runs == detail::unregistered_thread.heaps[0]) return;
    for (std::size_t list = 0; list < detail::list_count; ++list) {
      if (runs->runs[list].first.load(std::memory_order_relaxed) == nullptr) continue;
      const holding guard(heap.lists[list].guard);
      let_go(runs->runs[list]);
    }
  });
}

void free_runs(thread_state& of) noexcept {
  for (allocation_runs*& runs : of.heaps) {
    if (runs != detail::unregistered_thread.heaps[0]) std::free(runs);
    runs = detail::unregistered_thread.heaps[0];
  }
}

void blacken_runs(const thread_state& of, heap_state& heap) noexcept {
  const allocation_runs* runs = of.heaps[heap.number];
  window& all = window::get();
  for (std::size_t list = 0; list < detail::list_count; ++list) {
    const allocation_run& run = runs->runs[list];
    if (run.first.load(std::memory_order_acquire) == nullptr) continue;
    const holding guard(heap.lists[list].guard);
    // What was taken meanwhile was born marked.
    const char* first = run.first.load(std::memory_order_relaxed);
    if (first == nullptr) continue;
    const std::size_t block = all.block_of(first);
    for_each_unused(run, block, [&](std::size_t word, std::uint64_t unused) {
      set_bits(all.bits(block).marks[word].born_marked, unused);
      heap.unused_cells += static_cast<std::size_t>(std::popcount(unused));
      heap.unused_bytes += static_cast<std::size_t>(std::popcount(unused)) * all.header(block).cell_bytes;
    });
  }
}

}  // namespace tenure::gc
