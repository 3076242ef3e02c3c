#include "core/telemetry/known_stack.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/walker.h"

namespace tenure::telemetry {

// Whether the walk, which stands in frame `known`, would go on from there as it did the last time.
TENURE_READS_STACK bool known_stack::is_as_it_was(const walker& at, std::uint32_t known) const noexcept {
  const frame& met = frames_[known];
  if (return_addresses_[known].word != at.key || (met.needs_frame && met.frame_pointer != at.frame)) return false;
  // Everything that is read lies between the walk and the outermost frame, on this stack.
  if (frames_[0].stack > at.window.high() || at.stack < at.window.low()) return false;
  std::uint64_t difference = 0;
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < known; ++i)
    difference |= machine::plain_address(walker::load(return_addresses_[i].slot)) ^ return_addresses_[i].word;
  const std::uint32_t pointers = known != 0 ? frames_[known - 1].pointer_count : 0;
  for (std::uint32_t i = 0; i < pointers; ++i)
    difference |= walker::load(saved_pointers_[i].slot) ^ saved_pointers_[i].word;
  return difference == 0;
}

// Roots are no numbers to keep: where there was no room for a node, that is counted each time.
[[gnu::always_inline]] inline std::uint32_t known_stack::number_of(stack_trie& trie, std::uint32_t parent,
                                                                   std::uint64_t address) noexcept {
  const std::uint32_t mixed = (static_cast<std::uint32_t>(address) ^ parent * 0x9e3779b1u) * 0x85ebca6bu;
  numbered& place = numbered_[mixed >> (32 - numbered_bits)];
  if (core::likely(place.parent == parent && place.address == address && place.node != 0)) return place.node;
  const std::uint32_t node = trie.child(parent, address);
  if (core::likely(node >= wire::stack_root_count)) place = {address, parent, node};
  return node;
}

void known_stack::forget() noexcept {
  count_ = 0;
  for (numbered& place : numbered_) place = {};
}

// The fresh frames become known ones, from the outermost to the innermost, each a child of the one before.
std::uint32_t known_stack::give_numbers(stack_trie& trie, std::uint32_t kept, walk_end end) noexcept {
  std::uint32_t node = kept != 0 ? frames_[kept - 1].node : static_cast<std::uint32_t>(end);
  bool needs_frame = kept != 0 && frames_[kept - 1].needs_frame;
  std::uint32_t pointers = kept != 0 ? frames_[kept - 1].pointer_count : 0;
  for (std::uint32_t i = fresh_count_; i != 0; --i) {
    const fresh_frame& from = fresh_[i];
    needs_frame = from.uses_frame || (from.passes_frame && needs_frame);
    if (needs_frame && from.frame_slot != 0) saved_pointers_[pointers++] = {from.frame_slot, from.frame_pointer};
    node = number_of(trie, node, from.return_address);
    return_addresses_[kept] = {from.return_slot, from.return_address};
    frames_[kept++] = {from.stack, from.frame_pointer, node, pointers, needs_frame};
  }
  count_ = kept;
  return node;
}

// Never inlined: its own frame, which it starts from, must stay in place while it walks.
[[gnu::noinline]] TENURE_READS_STACK std::uint32_t known_stack::capture(stack_trie& trie) noexcept {
  static_assert(static_cast<std::uint32_t>(walk_end::limit) == static_cast<std::uint32_t>(wire::stack_root::limit));
  static_assert(static_cast<std::uint32_t>(walk_end::no_rule) == static_cast<std::uint32_t>(wire::stack_root::no_rule));
  if (core::unlikely(is_stale())) forget();
  rules_generation_ = stack_rules.generation();
  const start_registers from = machine::own_registers();
  walker at{from.instruction + 1, from.stack, from.frame, from.link, stack_window::around(from.stack, true), {}};
  const rule_cache::view rules = stack_rules.current();
  std::uint32_t known = count_;  // frames_[known] and what follows lie further in than the walk stands
  walk_end end = walk_end::complete;
  bool exact = true, is_whole = true, met = false;
  std::uint32_t fresh = 0;
  for (;;) {
    std::uint64_t return_address = 0;
    const std::uint64_t word = rule_cache::first_word(rules, at.key);
    const bool uses_frame = (word & compact_frame_based) != 0;
    const std::uint64_t cfa = (uses_frame ? at.frame : at.stack) + compact_cfa_offset(word);
    const std::uint64_t slot = compact_frame_slot(word);
    const bool quick = rule_cache::matches(word, at.key) && (word & compact_whole) == 0 &&
                       at.key >> address_bits == 0 && cfa > at.stack && cfa <= at.window.high() &&
                       cfa - slot >= at.window.low() + 8;
    fresh_frame& left = fresh_[fresh];  // the frame that is stepped out of
    fresh_frame& reached = fresh_[fresh + 1];
    if (core::likely(quick)) {
      reached.return_slot = cfa - machine::return_address_slot(slot);
      reached.frame_slot = slot != 0 ? cfa - slot : 0;
      return_address = machine::plain_address(walker::load(reached.return_slot));
      if (slot != 0) at.frame = walker::load(reached.frame_slot);
      at.stack = cfa;
      at.link = 0;
      exact = false;
      left.uses_frame = uses_frame;
      left.passes_frame = slot == 0;
      if (core::unlikely(return_address == 0)) break;
      at.key = return_address;
    } else {
      const walker::step_result step = at.step_slowly(exact, &return_address, &exact);
      if (step != walker::step_result::next) {
        if (step == walker::step_result::no_rule) end = walk_end::no_rule;
        left.uses_frame = false;
        break;
      }
      reached.return_slot = at.trail.return_slot;
      reached.frame_slot = at.trail.frame_slot;
      is_whole = is_whole && at.trail.is_whole;
      left.uses_frame = at.trail.uses_frame;
      left.passes_frame = at.trail.passes_frame;
    }
    while (known != 0 && frames_[known - 1].stack < at.stack) --known;
    met = known != 0 && frames_[known - 1].stack == at.stack && !exact && fresh + known <= capacity &&
          is_as_it_was(at, known - 1);
    if (met) break;
    reached.stack = at.stack;
    reached.return_address = return_address;
    reached.frame_pointer = at.frame;
    reached.uses_frame = true;  // until the step out of it has been seen
    reached.passes_frame = false;
    if (++fresh == capacity) {
      end = walk_end::limit;
      break;
    }
  }
  at.window.remember();
  fresh_count_ = fresh;
  const std::uint32_t node = give_numbers(trie, met ? known : 0, end);
  // What ended for want of room or of a rule, or went through a signal's frame, is walked anew the next time.
  if (core::unlikely(!is_whole || end != walk_end::complete)) count_ = 0;
  return node;
}

bool known_stack::is_stale() const noexcept { return stack_rules.generation() != rules_generation_; }

void known_stack::check() const noexcept {
  TENURE_CHECK(count_ <= capacity && fresh_count_ <= capacity);
  for (std::uint32_t i = 1; i < count_; ++i) {
    TENURE_CHECK(frames_[i].stack < frames_[i - 1].stack);
    TENURE_CHECK(frames_[i].pointer_count - frames_[i - 1].pointer_count <= 1);
  }
}

}  // namespace tenure::telemetry
