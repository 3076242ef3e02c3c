#include "library/gc/heap_state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/base/check.h"
#include "library/gc/counting.h"

namespace tenure::gc {

namespace {

std::atomic<heap_state*> heaps[detail::most_heaps];

// A word of large cells is not taken whole: a thread holds no more than this of a list.
constexpr std::size_t most_held_bytes = 8 * 1024;

std::uint64_t valid_cells(const block_header& header, std::size_t word) noexcept {
  const std::size_t before = word * 64;
  if (before >= header.cell_count) return 0;
  const std::size_t count = header.cell_count - before;
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

std::uint64_t lowest(std::uint64_t bits, std::size_t count) noexcept {
  std::uint64_t kept = 0;
  for (; bits != 0 && count != 0; --count) {
    kept |= bits & (~bits + 1);
    bits &= bits - 1;
  }
  return kept;
}

// What the collector may read of a cell before it is constructed is zero: of a leaf the type alone. Each is cleared
// once after what lay there has died, and not again when a thread has let it go unused: a collector may be reading it.
void zero_cells(char* first, std::uint64_t cells, const block_header& header) noexcept {
  const std::size_t step = header.cell_bytes;
  const std::size_t bytes = is_traced(header.kind) ? step : sizeof(void*);
  while (cells != 0) {
    const auto at = static_cast<std::size_t>(std::countr_zero(cells));
    const auto run = bytes == step ? static_cast<std::size_t>(std::countr_one(cells >> at)) : 1;
    std::memset(first + at * step, 0, bytes * run);
    cells &= run == 64 ? 0 : ~(((std::uint64_t{1} << run) - 1) << at);
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
  header.cell_count = static_cast<std::uint32_t>(block_bytes / cell_bytes);
  header.heap_number = static_cast<std::uint16_t>(heap.number);
  header.kind = static_cast<object_kind>(list / detail::class_count);
  header.list = static_cast<std::uint16_t>(list);
  header.swept_cycle = birth_cycle(heap);
  header.words_held = 0;
  block_bits& bits = all.bits(block);
  for (std::size_t word = 0; word < words_per_block; ++word) {
    bits.allocated[word].store(0, std::memory_order_relaxed);
    bits.to_clear[word] = header.zeroed ? 0 : ~std::uint64_t{0};
    bits.marks[word].set(0);
  }
  for (std::size_t card = 0; card < block_bytes >> detail::card_shift; ++card) {
    all.cards(block)[card].store(0, std::memory_order_relaxed);
  }
  header.state.store(block_state::cells, std::memory_order_release);
  into.blocks.push_back(static_cast<std::uint32_t>(block));
  heap.figures.block_bytes.fetch_add(block_bytes, std::memory_order_relaxed);
  return block;
}

// With the list's lock held: the block of the list and its word, where cells are free.
bool find_free(block_list& list, std::size_t& block, std::size_t& word) noexcept {
  window& all = window::get();
  for (; list.cursor_block < list.blocks.size(); ++list.cursor_block, list.cursor_word = 0) {
    block = list.blocks[list.cursor_block];
    const block_header& header = all.header(block);
    for (; list.cursor_word * 64 < header.cell_count; ++list.cursor_word) {
      word = list.cursor_word;
      const std::uint64_t used = all.bits(block).allocated[word].load(std::memory_order_relaxed);
      if ((~used & valid_cells(header, word)) != 0) return true;
    }
  }
  return false;
}

// The word that `from` stands for, with its list's lock held: the thread holds it no longer.
void let_go(detail::allocation_word& from) noexcept {
  char* first = from.first.load(std::memory_order_relaxed);
  if (first == nullptr) return;
  window& all = window::get();
  const cell_place at = all.place(first);
  const std::uint64_t unused = from.free.load(std::memory_order_relaxed);
  std::atomic<std::uint64_t>& allocated = all.bits(at.block).allocated[at.index / 64];
  allocated.store(allocated.load(std::memory_order_relaxed) & ~unused, std::memory_order_relaxed);
  std::atomic<std::uint64_t>& born = at.marks->born_marked;
  born.store(born.load(std::memory_order_relaxed) & ~unused, std::memory_order_relaxed);
  from.free.store(0, std::memory_order_relaxed);
  from.first.store(nullptr, std::memory_order_relaxed);
  TENURE_CHECK(at.header->words_held != 0);
  --at.header->words_held;
}

// With the list's lock held. 0: a block is needed, and the account has no room for one.
std::size_t take_word(heap_state& heap, std::size_t list, detail::allocation_word& into, std::size_t most) {
  block_list& from = heap.lists[list];
  let_go(into);
  std::size_t block;
  std::size_t word;
  if (!find_free(from, block, word)) {
    block = make_block(heap, list);
    if (block == window::npos) return 0;
    word = 0;
    from.cursor_block = from.blocks.size() - 1;
    from.cursor_word = 0;
  }
  window& all = window::get();
  block_header& header = all.header(block);
  block_bits& bits = all.bits(block);
  const std::uint64_t used = bits.allocated[word].load(std::memory_order_relaxed);
  const std::size_t count =
      heap.collect_every != 0 ? 1 : std::min(most, std::max<std::size_t>(1, most_held_bytes / header.cell_bytes));
  const std::uint64_t free = lowest(~used & valid_cells(header, word), count);
  char* first = all.address_of(block) + word * 64 * header.cell_bytes;
  zero_cells(first, free & bits.to_clear[word], header);
  bits.to_clear[word] &= ~free;
  // Alive before it is allocated, for whoever looks for the dead meanwhile.
  if (header.swept_cycle != heap.cycle.load(std::memory_order_acquire)) {
    std::atomic<std::uint64_t>& born = bits.marks[word].born_marked;
    born.store(born.load(std::memory_order_relaxed) | free, std::memory_order_release);
  }
  bits.allocated[word].store(used | free, std::memory_order_release);
  ++header.words_held;
  into.first.store(first, std::memory_order_release);
  into.free.store(free, std::memory_order_release);
  return static_cast<std::size_t>(std::popcount(free)) * header.cell_bytes;
}

}  // namespace

void add_heap(heap_state& added) noexcept {
  for (std::uint32_t i = added.number; i < detail::most_heaps; ++i) {
    heap_state* none = nullptr;
    added.number = i;
    if (heaps[i].compare_exchange_strong(none, &added)) return;
  }
  std::fprintf(stderr, "tenure: gc::heap \"%s\" would be one more than %zu at a time\n", added.name.c_str(),
               detail::most_heaps);
  std::abort();
}

void remove_heap(heap_state& removed) noexcept {
  detail::allocation_words* none = detail::unregistered_thread.heaps[0];
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      if (at->heaps[removed.number] == none) continue;
      std::free(at->heaps[removed.number]);
      at->heaps[removed.number] = none;
    }
  }
  window& all = window::get();
  if (is_counted(removed)) {
    all.for_each_block(removed.number, [](std::size_t block, const block_header& header) {
      forget_counted_blocks(block, run_of(header));
    });
  }
  for (block_list& list : removed.lists) {
    for (const std::uint32_t block : list.blocks) all.give_run(block, 1, false);
  }
  for (const std::uint32_t block : removed.large) all.give_run(block, all.header(block).run_blocks, false);
  // Who goes through the heaps with the lock held has none that goes away meanwhile.
  const holding guard(threads_lock());
  heaps[removed.number].store(nullptr);
}

heap_state* heap_by_number(std::uint32_t number) noexcept { return heaps[number].load(std::memory_order_acquire); }

refilled refill(thread_state& self, heap_state& heap, std::size_t list) {
  detail::allocation_words*& words = self.heaps[heap.number];
  if (words == detail::unregistered_thread.heaps[0]) {
    void* memory = std::malloc(sizeof(detail::allocation_words));
    if (memory == nullptr) throw std::bad_alloc();
    const holding guard(threads_lock());
    words = new (memory) detail::allocation_words;
  }
  detail::allocation_word& word = words->words[list];
  if (word.free.load(std::memory_order_relaxed) != 0) return refilled::done;
  const std::size_t most = self.samples.most_cells(heap.sample_bytes, detail::cell_sizes[list % detail::class_count]);
  std::size_t taken;
  {
    const holding guard(heap.lists[list].guard);
    taken = take_word(heap, list, word, most);
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
  header.words_held = 0;
  header.swept_cycle = birth_cycle(heap);
  const bool born_marked = header.swept_cycle != heap.cycle.load(std::memory_order_relaxed);
  block_bits& bits = all.bits(block);
  bits.marks[0].set(0);
  bits.marks[0].born_marked.store(born_marked ? 1 : 0, std::memory_order_relaxed);
  bits.allocated[0].store(1, std::memory_order_relaxed);
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

void retire_words(thread_state& of) noexcept {
  const holding threads(threads_lock());
  for_each_heap([&](heap_state& heap) {
    detail::allocation_words* words = of.heaps[heap.number];
    if (words == detail::unregistered_thread.heaps[0]) return;
    for (std::size_t list = 0; list < detail::list_count; ++list) {
      const holding guard(heap.lists[list].guard);
      let_go(words->words[list]);
    }
  });
}

void free_words(thread_state& of) noexcept {
  for (detail::allocation_words*& words : of.heaps) {
    if (words != detail::unregistered_thread.heaps[0]) std::free(words);
    words = detail::unregistered_thread.heaps[0];
  }
}

void blacken_words(const thread_state& of, heap_state& heap) noexcept {
  const detail::allocation_words* words = of.heaps[heap.number];
  window& all = window::get();
  for (std::size_t list = 0; list < detail::list_count; ++list) {
    const detail::allocation_word& word = words->words[list];
    if (word.free.load(std::memory_order_relaxed) == 0) continue;
    const holding guard(heap.lists[list].guard);
    char* first = word.first.load(std::memory_order_acquire);
    const std::uint64_t free = word.free.load(std::memory_order_acquire);
    // Refilled meanwhile: then with cells that were born marked.
    if (first == nullptr || free == 0) continue;
    const cell_place at = all.place(first);
    std::atomic<std::uint64_t>& born = at.marks->born_marked;
    born.store(born.load(std::memory_order_relaxed) | free, std::memory_order_relaxed);
    heap.unused_cells += static_cast<std::size_t>(std::popcount(free));
    heap.unused_bytes += static_cast<std::size_t>(std::popcount(free)) * at.header->cell_bytes;
  }
}

heap_statistics statistics_of(const heap_state& heap) noexcept {
  const heap_figures& now = heap.figures;
  heap_statistics told{};
  told.live_bytes = now.live_bytes.load();
  told.live_objects = now.live_objects.load();
  told.block_bytes = now.block_bytes.load();
  told.allocated_bytes = now.allocated_bytes.load();
  told.cycles = now.cycles.load();
  told.full_cycles = now.full_cycles.load();
  told.marked_objects = now.marked_objects.load();
  told.freed_objects = now.freed_objects.load();
  told.destroyed = now.destroyed.load();
  told.moved_objects = now.moved_objects.load();
  told.moved_bytes = now.moved_bytes.load();
  told.pinned_objects = now.pinned_objects.load();
  told.collector_ns = now.collector_ns.load();
  told.stopped_ns = now.stopped_ns.load();
  told.longest_stop_ns = now.longest_stop_ns.load();
  told.cycle_ns = now.cycle_ns.load();
  told.handshakes = now.handshakes.load();
  told.handshake_ns = now.handshake_ns.load();
  told.promoted_objects = now.promoted_objects.load();
  told.shaded_objects = now.shaded_objects.load();
  told.waits = now.waits.load();
  told.waited_ns = now.waited_ns.load();
  told.put_off = now.put_off.load();
  told.off_heap_bytes = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, heap.off_heap_bytes.load()));
  const std::size_t swept_bytes = now.swept_block_bytes.load();
  told.fragmented_bytes = swept_bytes - std::min(swept_bytes, told.live_bytes);
  return told;
}

void free_cell(const cell_place& at) noexcept {
  heap_state* heap = heap_by_number(at.header->heap_number);
  if (is_counted(*heap)) forget_counted(*heap, at);
  const bool small = at.header->state.load(std::memory_order_relaxed) == block_state::cells;
  const std::size_t list = small ? detail::list_of(at.header->kind, detail::class_of(at.header->cell_bytes, 1)) : 0;
  const holding guard(small ? heap->lists[list].guard : heap->large_guard);
  block_bits& bits = window::get().bits(at.block);
  std::atomic<std::uint64_t>& allocated = bits.allocated[at.index / 64];
  TENURE_CHECK((allocated.load(std::memory_order_relaxed) & at.bit) != 0);
  bits.to_clear[at.index / 64] |= at.bit;
  at.marks->marked.store(at.marks->marked.load(std::memory_order_relaxed) & ~at.bit, std::memory_order_relaxed);
  allocated.store(allocated.load(std::memory_order_relaxed) & ~at.bit, std::memory_order_relaxed);
}

void check_heap(heap_state& heap) noexcept {
  window& all = window::get();
  for_each_block(heap, [&](std::size_t block) {
    const block_header& header = all.header(block);
    TENURE_CHECK(header.heap_number == heap.number);
    const block_state state = header.state.load(std::memory_order_relaxed);
    TENURE_CHECK(state == block_state::cells || state == block_state::large);
    if (state == block_state::large) return;
    for (std::size_t word = 0; word < words_per_block; ++word) {
      const block_bits& bits = all.bits(block);
      const std::uint64_t allocated = bits.allocated[word].load(std::memory_order_relaxed);
      TENURE_CHECK((allocated & ~valid_cells(header, word)) == 0);
      TENURE_CHECK((allocated & bits.to_clear[word]) == 0);
    }
  });
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

heap_state::heap_state(const heap_options& given)
    : name(given.name),
      plan(given.plan),
      verify(given.verify),
      poison(given.poison),
      sample_bytes(given.sample_bytes),
      always_evacuate(given.always_evacuate),
      collect_every(given.collect_every_allocations),
      account(name, given.parent),
      at_share(given.at_share),
      collector_share_percent(given.collector_share_percent),
      growth_percent(given.growth_percent),
      limit_bytes(given.limit_bytes),
      least_growth_bytes(given.least_growth_bytes),
      growth_bytes(given.least_growth_bytes),
      countdown(given.collect_every_allocations),
      soft_ms_per_free_mib(given.soft_ms_per_free_mib) {
  account.set_limit(given.limit_bytes);
}

}  // namespace tenure::gc::detail
