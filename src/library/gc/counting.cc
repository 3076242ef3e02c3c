#include "library/gc/counting.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <unordered_map>

#include "core/base/check.h"
#include "library/gc/cards.h"
#include "library/gc/object_slots.h"

namespace tenure::gc {

namespace {

constexpr std::size_t cells_per_block = words_per_block * 64;

struct tables {
  std::uint32_t* counts = nullptr;  // one a cell
  char* counted = nullptr;          // as the window
};
constinit tables all;

void* reserve(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return at;
}

std::uint32_t& count_of(const cell_place& at) noexcept { return all.counts[at.block * cells_per_block + at.index]; }
void*& counted_at(const char* slot) noexcept {
  return *reinterpret_cast<void**>(all.counted + (slot - window::get().address_of(0)));
}

// There is no memory to remember it by: a full cycle will count anew.
void remember(heap_state& heap, std::vector<char*>& in, char* cell) noexcept {
  try {
    in.push_back(cell);
  } catch (const std::bad_alloc&) {
    heap.counts_are_lost = true;
  }
}

void lower(heap_state& heap, void* target) noexcept {
  const cell_place at = window::get().place(target);
  std::uint32_t& count = count_of(at);
  TENURE_CHECK(count != 0);
  if (--count == 0) remember(heap, heap.uncounted, at.cell);
}

// What the object in the cell was counted to lead to, it does not any more.
void lower_all(heap_state& heap, const cell_place& at) noexcept {
  if (!is_traced(at.header->kind)) return;
  const std::size_t bytes = bytes_of(at);
  for (std::size_t word = 0; word + sizeof(void*) <= bytes; word += sizeof(void*)) {
    void*& counted = counted_at(at.cell + word);
    if (counted == nullptr) continue;
    lower(heap, counted);
    counted = nullptr;
  }
}

bool is_held(const cell_place& at) noexcept { return (at.marks->shaded.load(std::memory_order_relaxed) & at.bit) != 0; }

// Each object of the block of which a word of its bitmaps says so: visit(place).
template <class Which, class Visit>
void for_each_in_block(std::size_t block, Which which, Visit visit) {
  window& known = window::get();
  const block_header& header = known.header(block);
  for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
    const std::uint64_t allocated = known.bits(block).marks[word].allocated.load(std::memory_order_acquire);
    const std::uint64_t cells = allocated & which(known.bits(block).marks[word]);
    known.for_each_cell(block, word, cells, [&](std::uint64_t, char* cell) { visit(known.place(cell)); });
  }
}
std::uint64_t marked_cells(const mark_words& of) noexcept { return of.marked.load(std::memory_order_relaxed); }
std::uint64_t new_cells(const mark_words& of) noexcept { return ~of.alive(); }

}  // namespace

void prepare_counting() {
  const window& known = window::get();
  if (all.counts == nullptr) {
    all.counts =
        static_cast<std::uint32_t*>(reserve((known.bytes() >> block_shift) * cells_per_block * sizeof(std::uint32_t)));
  }
  if (all.counted == nullptr) all.counted = static_cast<char*>(reserve(known.bytes()));
  detail::barrier.tells_nulls.store(1, std::memory_order_release);
}

void forget_counted(heap_state& heap, const cell_place& at) noexcept {
  lower_all(heap, at);
  count_of(at) = 0;
}

void forget_counted_blocks(std::size_t block, std::size_t run_blocks) noexcept {
  const std::size_t bytes = run_blocks * block_bytes;
  char* counted = all.counted + (block << block_shift);
  if (::madvise(counted, bytes, MADV_DONTNEED) != 0) std::memset(counted, 0, bytes);
  for (std::size_t each = block; each < block + run_blocks; ++each) {
    std::memset(all.counts + each * cells_per_block, 0, cells_per_block * sizeof(std::uint32_t));
  }
}

bool counting::is_own(void* target) const noexcept {
  return target != nullptr && target != detail::hole && window_.holds(target) &&
         window_.place(target).header->heap_number == heap_.number;
}

void counting::hold(void* target) noexcept {
  if (!is_own(target)) return;
  const cell_place at = window_.place(target);
  at.marks->shaded.store(at.marks->shaded.load(std::memory_order_relaxed) | at.bit, std::memory_order_relaxed);
}

void counting::raise(void* target) noexcept { ++count_of(window_.place(target)); }

void counting::compare(char* slot, old_value how) noexcept {
  void* now = read_slot(slot);
  if (!is_own(now)) now = nullptr;
  void*& counted = counted_at(slot);
  void* before = counted;
  if (now == before) return;
  if (now != nullptr) raise(now);
  counted = now;
  if (before == nullptr) return;
  if (how == old_value::owed) {
    remember(heap_, heap_.owed, static_cast<char*>(before));
  } else {
    lower(heap_, before);
  }
}

// The layout of the object is not known yet, its constructor may be writing. What looks like a pointer is one, and the
// next cycle looks again.
#if defined(__SANITIZE_THREAD__) || defined(TENURE_THREAD_SANITIZER)
__attribute__((no_sanitize("thread")))
#endif
void counting::hold_words(const cell_place& at) noexcept {
  hold(at.cell);
  for (std::size_t word = 0; word + sizeof(void*) <= bytes_of(at); word += sizeof(void*)) {
    // Not read_slot(): a compiler does not inline a function that ThreadSanitizer looks at into one that it does not.
    void* target = __atomic_load_n(reinterpret_cast<void* const*>(at.cell + word), __ATOMIC_ACQUIRE);
    if (is_own(target) && window_.is_allocated(window_.place(target))) hold(target);
    detail::mark_card(at.cell + word);
  }
}

void counting::compare_all(const cell_place& at, const char* first, const char* end, old_value how) noexcept {
  const auto each = [&](char* slot) { compare(slot, how); };
  const bool known = for_each_slot_within(at, first, end, each, [&](char* pair) { each(pair + sizeof(void*)); });
  if (!known) hold_words(at);
}

void counting::compare_object(const cell_place& at) noexcept {
  if (is_traced(at.header->kind)) compare_all(at, at.cell, at.cell + bytes_of(at), old_value::counted_down);
}

void counting::compare_cards(old_value how) noexcept {
  const auto on_card = [&](const cell_place& at, const char* first, const char* end) {
    compare_all(at, first, end, how);
  };
  for_each_object_on_cards(
      heap_, [](object_kind kind) { return is_traced(kind); }, card_objects::marked, true, on_card);
}

void counting::count_new() noexcept {
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header&) {
    for_each_in_block(block, new_cells, [&](const cell_place& at) {
      at.mark();
      compare_object(at);
      if (count_of(at) == 0) remember(heap_, heap_.uncounted, at.cell);
    });
  });
}

void counting::take_changes() noexcept {
  for (char* target : heap_.owed) lower(heap_, target);
  heap_.owed.clear();
  compare_cards(old_value::counted_down);
  count_new();
  // Values of pairs whose keys have died, too, which no card tells.
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header& header) {
    if (is_paired(header.kind))
      for_each_in_block(block, marked_cells, [&](const cell_place& at) { compare_object(at); });
  });
  compare_cards(old_value::owed);
}

void counting::find_dead() noexcept {
  std::vector<char*>& uncounted = heap_.uncounted;
  const auto is_alive = [&](const cell_place& at) {
    return at.header->heap_number == heap_.number && window_.is_allocated(at) && at.is_marked();
  };
  // Whoever dies may add more.
  for (std::size_t i = 0; i < uncounted.size(); ++i) {
    const cell_place at = window_.place(uncounted[i]);
    if (!is_alive(at) || count_of(at) != 0 || is_held(at)) continue;
    at.marks->marked.store(at.marks->marked.load(std::memory_order_relaxed) & ~at.bit, std::memory_order_relaxed);
    remember(heap_, dead_, at.cell);
    lower_all(heap_, at);
  }
  std::erase_if(uncounted, [&](char* cell) {
    const cell_place at = window_.place(cell);
    return !is_alive(at) || count_of(at) != 0;
  });
  std::sort(uncounted.begin(), uncounted.end());
  uncounted.erase(std::unique(uncounted.begin(), uncounted.end()), uncounted.end());
}

void counting::take_back() noexcept {
  for (char* cell : dead_) {
    const cell_place at = window_.place(cell);
    if (!at.is_marked()) continue;
    compare_object(at);
    if (count_of(at) == 0) remember(heap_, heap_.uncounted, cell);
  }
}

void counting::count_anew() noexcept {
  heap_.uncounted.clear();
  heap_.owed.clear();
  heap_.counts_are_lost = false;
  window_.for_each_block(heap_.number, [](std::size_t block, const block_header& header) {
    forget_counted_blocks(block, run_of(header));
  });
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header&) {
    for_each_in_block(block, marked_cells, [&](const cell_place& at) { compare_object(at); });
  });
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header&) {
    for_each_in_block(block, marked_cells, [&](const cell_place& at) {
      if (count_of(at) == 0) remember(heap_, heap_.uncounted, at.cell);
    });
  });
}

void counting::check() const noexcept try {
  std::unordered_map<char*, std::uint32_t> expected;
  for (char* target : heap_.owed) ++expected[window_.place(target).cell];
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header& header) {
    if (!is_traced(header.kind)) return;
    for_each_in_block(block, marked_cells, [&](const cell_place& at) {
      for (std::size_t word = 0; word + sizeof(void*) <= bytes_of(at); word += sizeof(void*)) {
        if (void* target = counted_at(at.cell + word)) ++expected[window_.place(target).cell];
      }
    });
  });
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header&) {
    for_each_in_block(block, marked_cells, [&](const cell_place& at) {
      const auto found = expected.find(at.cell);
      TENURE_CHECK(count_of(at) == (found == expected.end() ? 0 : found->second));
    });
  });
} catch (const std::bad_alloc&) {
  return;  // nothing is known to be wrong; the next cycle looks again
}

}  // namespace tenure::gc
