#include "library/gc/ephemerons.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/cards.h"
#include "library/gc/cycle.h"
#include "library/gc/weak_cells.h"

namespace tenure::gc {

using detail::pair_words;

namespace {

// How many pairs are looked at while the gate is held.
constexpr std::size_t pairs_at_once = 64;

bool is_dead(void* target) noexcept { return !window::get().place(target).is_alive(); }

// The value first: who finds no key does not look at it, and who finds one has it from before.
void write(pair_words& pair, void* key, void* value) noexcept {
  __atomic_store_n(&pair.value, value, __ATOMIC_RELEASE);
  TENURE_YIELD_POINT();
  __atomic_store_n(&pair.key, key, __ATOMIC_RELEASE);
}
void make_empty(pair_words& pair) noexcept { write(pair, nullptr, detail::hole); }

// The weak gate, unless the world is stopped. Nobody is in an operation then, and a thread that is about to begin one
// may have the gate while it waits for the end of the stop.
class resolving {
 public:
  resolving() noexcept : is_gated_(current_phase() != phase::stopped) {
    if (is_gated_) weak_gate().acquire();
  }
  ~resolving() {
    if (is_gated_) weak_gate().release();
  }
  resolving(const resolving&) = delete;
  resolving& operator=(const resolving&) = delete;

 private:
  bool is_gated_;
};

// While resolving.
void resolve_pair(char* at) noexcept {
  void* key = read_slot(at);
  if (key != nullptr && is_dead(key)) make_empty(*reinterpret_cast<pair_words*>(at));
}

// Cards were cleaned before this. An address of what is young marks its card again, and so does a young object's pair.
void remember_young(const cell_place& of, const char* at) noexcept {
  const void* target = read_slot(at);
  if (target == nullptr || target == detail::hole || !window::get().holds(target)) return;
  if (!of.is_marked() || !window::get().place(target).is_marked()) detail::mark_card(at);
}

// Pairs of the object that begin in [first, end), and what is remembered of its slots there.
void resolve_range(const cell_place& at, const char* first, const char* end) noexcept {
  detail::type_descriptor* type = type_of(at.cell);
  if (type == nullptr || type->pair_count == 0) return;
  char* element = at.cell + type->payload_offset;
  const std::size_t count = element_count(*type, at.cell);
  if (count == 0) return;
  const std::uint32_t* offsets = slots_of(*type, element);
  TENURE_CHECK(offsets != nullptr);  // no class with virtual bases has pairs
  const std::size_t step = type->element_bytes;
  std::size_t i = first <= element ? 0 : static_cast<std::size_t>(first - element) / step;
  element += i * step;
  while (i < count && element < end) {
    const resolving now;
    const std::size_t stop = std::min(count, i + pairs_at_once);
    for (; i < stop && element < end; ++i, element += step) {
      for (std::uint32_t word = 0; word < type->slot_count + type->pair_count; ++word) {
        char* where = element + offsets[word];
        if (where < first || where >= end) continue;
        if (word >= type->slot_count) {
          resolve_pair(where);
          remember_young(at, where + sizeof(void*));
        }
        remember_young(at, where);
      }
    }
  }
}

void resolve_block(std::size_t block, const block_header& header) noexcept {
  window::get().for_each_alive(block, [&](const cell_place& at) {
    const std::size_t bytes = header.reciprocal != 0 ? header.cell_bytes : header.large_bytes;
    resolve_range(at, at.cell, at.cell + bytes);
  });
}

}  // namespace

void resolve_pairs(heap_state& heap, cycle_kind kind) noexcept {
  if (kind == cycle_kind::young)
    return for_each_object_on_cards(heap, detail::is_paired, card_objects::alive, true, resolve_range);
  clean_cards(heap, detail::is_paired);
  window::get().for_each_block(heap.number, [](std::size_t block, const block_header& header) {
    if (detail::is_paired(header.kind)) resolve_block(block, header);
  });
}

void resolve_waiting(heap_state& heap, const marker& marks) noexcept {
  if (marks.has_lost_pairs()) return resolve_pairs(heap, cycle_kind::full);
  marks.for_each_waiting([](char* pair) {
    const resolving now;
    resolve_pair(pair);
  });
}

void forget_dead(pair_words& pair) noexcept {
  void* key = pair.key;
  if (key == nullptr) return;
  if (is_dead(key)) return make_empty(pair);
  if (pair.value != nullptr && is_dead(pair.value)) __atomic_store_n(&pair.value, nullptr, __ATOMIC_RELEASE);
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

namespace {

// In an operation.
void store_in_operation(pair_words& pair, void* key, void* value, phase now) noexcept {
  if (key == nullptr) return make_empty(pair);
  write(pair, key, value);
  if (now != phase::idle) shade_in_operation(value);
  TENURE_GC_STEP();
  mark_card(&pair);
}

}  // namespace

void store_pair(pair_words& pair, void* key, void* value) noexcept {
  {
    const operation held;
    const phase now = current_phase();
    // When pairs are resolved, an operation that began before that is over.
    if (now != phase::resolving) return store_in_operation(pair, key, value, now);
  }
  const holding gate(weak_gate());
  const operation held;
  store_in_operation(pair, key, value, current_phase());
}

bool lock_key(const pair_words& pair, root_slot* into) noexcept {
  return lock_weakly(reinterpret_cast<const std::atomic<void*>&>(pair.key), into);
}

}  // namespace tenure::gc::detail
