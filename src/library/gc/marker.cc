#include "library/gc/marker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/object_slots.h"

namespace tenure::gc {

using detail::type_descriptor;

namespace {

[[noreturn]] void reject(const type_descriptor* from, const void* target, const char* what) noexcept {
  if (from != nullptr) {
    std::fprintf(stderr, "tenure: a gc::member of %.*s leads to %p, which is %s\n", static_cast<int>(from->name.size()),
                 from->name.data(), target, what);
  } else {
    std::fprintf(stderr, "tenure: a gc::local or gc::root leads to %p, which is %s\n", target, what);
  }
  std::abort();
}

}  // namespace

const std::uint32_t* slots_of(type_descriptor& type, void* object) noexcept {
  if (!type.listed.load(std::memory_order_acquire)) {
    if (type.needs_object) return nullptr;
    detail::learn_slots(type, object);
  }
  return type.offsets;
}

cell_place marker::placed(void* target, const type_descriptor* from) const noexcept {
  if (!window_.holds(target)) reject(from, target, "not managed");
  const cell_place at = window_.place(target);
  if (at.header->heap_number != heap_.number && from != nullptr) {
    reject(from, target, "in another heap: across heaps use gc::root");
  }
  return at;
}

// Compiled into who marks: with the place of each target on the stack in between, marking takes a third longer.
[[gnu::always_inline]] inline void marker::push_here(void* target, const type_descriptor* from) noexcept {
  if (!window_.holds(target)) reject(from, target, "not managed");
  const cell_place at = window_.place(target);
  if (at.header->heap_number != heap_.number) [[unlikely]] {
    if (from != nullptr) reject(from, target, "in another heap: across heaps use gc::root");
    return;
  }
  __builtin_prefetch(at.marks);
  const waiting_cell added{at.cell, at.header, at.marks, at.bit};
  if (found_count_ < found_size) {
    found_[(found_first_ + found_count_++) % found_size] = added;
    return;
  }
  waiting_cell& place = found_[found_first_];
  const waiting_cell oldest = place;
  place = added;
  found_first_ = (found_first_ + 1) % found_size;
  mark(oldest);
}

void marker::push(void* target, const type_descriptor* from) noexcept { push_here(target, from); }

bool marker::stack_push(const untraced& added) noexcept {
  const auto cell = reinterpret_cast<std::uintptr_t>(added.cell);
  const bool is_piece = added.next_element != 0;
  if (stack_.size() + (is_piece ? 2 : 1) > most_words_) return false;
  try {
    if (is_piece) {
      make_room(stack_, stack_.size() + 2);
      stack_.push_back(added.next_element);
    }
    stack_.push_back(cell | (is_piece ? 1 : 0));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

marker::untraced marker::stack_pop() noexcept {
  const std::uintptr_t word = stack_.back();
  stack_.pop_back();
  untraced popped{reinterpret_cast<char*>(word & ~std::uintptr_t{1}), 0};  // NOLINT(performance-no-int-to-ptr)
  if ((word & 1) != 0) {
    popped.next_element = stack_.back();
    stack_.pop_back();
  }
  return popped;
}

[[gnu::always_inline]] inline bool marker::mark_checked(const waiting_cell& at) noexcept {
  const std::uint64_t marked = at.marks->marked.load(std::memory_order_relaxed);
  if ((marked & at.bit) != 0) return false;
  // Of a cell that there is not no bit is set.
  if (at.header->state.load(std::memory_order_acquire) == block_state::free ||
      (at.marks->allocated.load(std::memory_order_acquire) & at.bit) == 0) [[unlikely]] {
    reject(nullptr, at.cell, "free: a raw pointer outlived what it pointed to");
  }
  at.marks->marked.store(marked | at.bit, std::memory_order_relaxed);
  ++marked_;
  return true;
}

[[gnu::always_inline]] inline void marker::add_near(const untraced& added) noexcept {
  __builtin_prefetch(added.cell);
  __builtin_prefetch(added.cell + 63);  // where the cell does not begin with a line of the cache
  near_[(near_first_ + near_count_++) % near_size] = added;
}

// Whoever waits for it as a key is woken when it is traced.
[[gnu::always_inline]] inline void marker::mark(const waiting_cell& at) noexcept {
  if (!mark_checked(at) || (!is_traced(at.header->kind) && !is_by_key_)) return;
  if (near_count_ < near_size) {
    add_near({at.cell, 0});
  } else if (!stack_push({at.cell, 0})) {
    lost_ = true;
  }
}

void marker::trace_nearest() noexcept {
  const untraced at = near_[near_first_];
  near_first_ = (near_first_ + 1) % near_size;
  --near_count_;
  if (is_by_key_ && at.next_element == 0) [[unlikely]]
    wake(at.cell);
  trace(at.cell, at.next_element, false);
}

void marker::trace_now(const cell_place& at) noexcept {
  if (!at.is_marked()) {
    at.mark();
    ++marked_;
    if (is_by_key_) wake(at.cell);
  }
  if (is_traced(at.header->kind)) trace(at.cell, 0, true);
}

void marker::trace(char* cell, std::size_t from_element, bool whole) noexcept {
  type_descriptor* type = type_of(cell);
  if (type == nullptr || type->list == nullptr) return;
  std::size_t count = element_count(*type, cell) - from_element;
  if (!whole && count > array_piece) {
    if (!stack_push({cell, from_element + array_piece})) lost_ = true;
    count = array_piece;
  }
  trace_elements(*type, cell + type->payload_offset + from_element * type->element_bytes, count);
}

void marker::trace_elements(const type_descriptor& type, char* first, std::size_t count) noexcept {
  if (count == 0) return;
  const std::uint32_t* offsets = slots_of(const_cast<type_descriptor&>(type), first);
  if (offsets == nullptr) return trace_words(first, count * type.element_bytes);
  for (; count != 0; --count, first += type.element_bytes) {
    for (std::uint32_t i = 0; i < type.slot_count; ++i) {
      TENURE_YIELD_POINT();
      if (void* target = read_slot(first + offsets[i])) push_here(target, &type);
    }
    for (std::uint32_t i = 0; i < type.pair_count; ++i) trace_pair(type, first + offsets[type.slot_count + i]);
  }
}

// Of an object whose layout is not known before it is constructed: whatever looks like a pointer to an object.
// Not by read_slot(): a compiler does not inline a function that ThreadSanitizer looks at into one that it does not.
#if defined(__SANITIZE_THREAD__) || defined(TENURE_THREAD_SANITIZER)
__attribute__((no_sanitize("thread")))
#endif
void marker::trace_words(char* first, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    void* target = __atomic_load_n(reinterpret_cast<void* const*>(first + at), __ATOMIC_ACQUIRE);
    if (target == nullptr || !window_.holds(target)) continue;
    const cell_place place = window_.place(target);
    if (place.header->heap_number == heap_.number && window_.is_allocated(place)) push(target, nullptr);
  }
}

void marker::trace_range(const cell_place& at, const char* first, const char* end) noexcept {
  type_descriptor* type = type_of(at.cell);
  if (type == nullptr || type->list == nullptr) return;
  const auto follow = [&](char* slot) {
    if (void* target = read_slot(slot)) push(target, type);
  };
  const bool known = for_each_slot_within(at, first, end, follow, [&](char* pair) { trace_pair(*type, pair); });
  if (!known) trace_words(at.cell + type->payload_offset, element_count(*type, at.cell) * type->element_bytes);
}

void marker::trace_pair(const type_descriptor& type, char* words) noexcept {
  TENURE_YIELD_POINT();
  void* key = read_slot(words);
  if (key == nullptr) return;
  const cell_place at = placed(key, &type);
  if (at.is_alive()) {
    if (!at.is_marked()) detail::mark_card(words);
    push_value({&type, words});
  } else {
    wait_for_key({&type, words}, at.cell);
  }
}

bool marker::push_value(const waiting_pair& of) noexcept {
  TENURE_YIELD_POINT();
  void* value = read_slot(of.words + sizeof(void*));
  if (value == nullptr || value == detail::hole) return false;
  if (placed(value, of.type).is_marked()) return false;
  push(value, of.type);
  return true;
}

void marker::wait_for_key(const waiting_pair& added, char* key) noexcept {
  if (waiting_.size() + by_key_.size() >= most_waiting_) lost_pairs_ = true;
  if (lost_pairs_) return;
  try {
    if (is_by_key_) {
      by_key_.emplace(key, added);
    } else {
      waiting_.push_back(added);
    }
  } catch (const std::bad_alloc&) {
    lost_pairs_ = true;
  }
}

void marker::keep_by_key() noexcept {
  is_by_key_ = true;
  for (const waiting_pair& each : std::exchange(waiting_, {})) {
    void* key = read_slot(each.words);
    if (key == nullptr) continue;
    const cell_place at = window_.place(key);
    if (at.is_alive()) {
      push_value(each);
    } else {
      wait_for_key(each, at.cell);
    }
  }
}

void marker::wake(char* key) noexcept {
  const auto [first, last] = by_key_.equal_range(key);
  for (auto at = first; at != last; ++at) push_value(at->second);
  by_key_.erase(first, last);
}

bool marker::pass_pairs() noexcept {
  if (lost_pairs_) return look_through_pairs();
  bool any = false;
  std::size_t kept = 0;
  for (const waiting_pair each : waiting_) {
    void* key = read_slot(each.words);
    if (key == nullptr) continue;
    if (window_.place(key).is_alive()) {
      any = push_value(each) || any;
    } else {
      waiting_[kept++] = each;
    }
  }
  waiting_.resize(kept);
  if (any && !is_by_key_ && ++passes_ == passes_without_table) keep_by_key();
  return any;
}

// Of all marked objects with pairs.
bool marker::look_through_pairs() noexcept {
  const std::uint64_t before = marked_;
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header& header) {
    if (!is_paired(header.kind)) return;
    window_.for_each_alive(block, [&](const cell_place& at) {
      trace(at.cell, 0, true);
      drain();
    });
  });
  return marked_ != before;
}

void marker::drain_what_is_known() noexcept {
  for (;;) {
    // As much as can be is on its way before one is waited for.
    while (near_count_ < near_size && !stack_.empty()) add_near(stack_pop());
    if (near_count_ < near_size && found_count_ != 0) {
      const waiting_cell oldest = found_[found_first_];
      found_first_ = (found_first_ + 1) % found_size;
      --found_count_;
      mark(oldest);
    } else if (near_count_ != 0) {
      trace_nearest();
    } else {
      return;
    }
  }
}

void marker::drain() noexcept {
  for (;;) {
    drain_what_is_known();
    if (!lost_) return;
    lost_ = false;
    look_through_marked();
  }
}

void marker::look_through_marked() noexcept {
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header& header) {
    if (!is_traced(header.kind)) return;
    window_.for_each_alive(block, [&](const cell_place& at) {
      trace(at.cell, 0, true);
      drain_what_is_known();
    });
  });
}

}  // namespace tenure::gc
