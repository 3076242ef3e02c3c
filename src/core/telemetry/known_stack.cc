#include "core/telemetry/known_stack.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/walker.h"

namespace tenure::telemetry {
namespace {

static_assert(static_cast<std::uint32_t>(walk_end::limit) == static_cast<std::uint32_t>(wire::stack_root::limit));
static_assert(static_cast<std::uint32_t>(walk_end::no_rule) == static_cast<std::uint32_t>(wire::stack_root::no_rule));

// A walk that stands in the caller. The function's own frame is there to be read.
[[gnu::always_inline]] inline TENURE_READS_STACK walker walker_in(const caller_place& from) noexcept {
  walker at{};
  at.key = machine::plain_address(walker::load(from.return_slot));
  at.stack = from.stack;
  at.frame = walker::load(from.frame_slot);
  at.window = stack_window::around(from.frame_slot, true);
  return at;
}

}  // namespace

// Whether what leads outward from frame `known` lies in memory as it did the last time.
TENURE_READS_STACK bool known_stack::leads_on_as_it_did(std::uint32_t known) const noexcept {
  std::uint64_t difference = 0;
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < known; ++i)
    difference |= machine::plain_address(walker::load(return_addresses_[i].slot)) ^ return_addresses_[i].word;
  const std::uint32_t pointers = known != 0 ? frames_[known - 1].pointer_count : 0;
  for (std::uint32_t i = 0; i < pointers; ++i)
    difference |= walker::load(saved_pointers_[i].slot) ^ saved_pointers_[i].word;
  return difference == 0;
}

// Whether the walk, which stands in frame `known`, would go on from there as it did the last time.
bool known_stack::is_as_it_was(const walker& at, std::uint32_t known) const noexcept {
  if (!is_frame(known, at.key, at.frame)) return false;
  // Everything that is read lies between the walk and the outermost frame, on this stack.
  if (frames_[0].stack > at.window.high() || at.stack < at.window.low()) return false;
  return leads_on_as_it_did(known);
}

// Whether the stack is the last one as a whole.
TENURE_READS_STACK bool known_stack::is_the_last(const caller_place& from) const noexcept {
  if (count_ == 0 || frames_[count_ - 1].stack != from.stack) return false;
  if (frames_[0].stack > stack_window::around(from.frame_slot, true).high()) return false;
  const std::uint64_t key = machine::plain_address(walker::load(from.return_slot));
  return is_frame(count_ - 1, key, walker::load(from.frame_slot)) && leads_on_as_it_did(count_ - 1);
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
  for (std::uint32_t i = fresh_count_; i-- != 0;) {
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

[[gnu::noinline]] TENURE_READS_STACK std::uint32_t known_stack::walk(stack_trie& trie,
                                                                     const caller_place& from) noexcept {
  walker at = walker_in(from);
  fresh_[0] = {at.stack, at.key, at.frame, from.return_slot, from.frame_slot, true, false};
  const rule_cache::view rules = stack_rules.current();
  std::uint32_t known = count_;  // frames_[known] and what follows lie further in than the walk stands
  walk_end end = walk_end::complete;
  bool exact = false, is_whole = true, met = false;
  std::uint32_t fresh = 0;
  for (;;) {
    // The walk stands in fresh_[fresh].
    while (known != 0 && frames_[known - 1].stack < at.stack) --known;
    met = known != 0 && frames_[known - 1].stack == at.stack && !exact && fresh + known <= capacity &&
          is_as_it_was(at, known - 1);
    if (met) break;
    if (++fresh == capacity) {
      end = walk_end::limit;
      break;
    }
    fresh_frame& left = fresh_[fresh - 1];  // the frame that is stepped out of
    fresh_frame& reached = fresh_[fresh];
    std::uint64_t return_address = 0;
    const std::uint64_t word = rule_cache::first_word(rules, at.key);
    const bool uses_frame = (word & compact_frame_based) != 0;
    const std::uint64_t cfa = (uses_frame ? at.frame : at.stack) + compact_cfa_offset(word);
    const std::uint64_t slot = compact_frame_slot(word);
    const bool quick = rule_cache::matches(word, at.key) && (word & compact_whole) == 0 &&
                       at.key >> address_bits == 0 && cfa > at.stack && cfa <= at.window.high() &&
                       cfa - slot >= at.window.low() + 8;
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
    reached.stack = at.stack;
    reached.return_address = return_address;
    reached.frame_pointer = at.frame;
    reached.uses_frame = true;  // until the step out of it has been seen
    reached.passes_frame = false;
  }
  at.window.remember();
  fresh_count_ = fresh;
  const std::uint32_t node = give_numbers(trie, met ? known : 0, end);
  // What ended for want of room or of a rule, or went through a signal's frame, is walked anew the next time.
  if (core::unlikely(!is_whole || end != walk_end::complete)) count_ = 0;
  return node;
}

// A walk during which code was found replaced is worth nothing.
std::uint32_t known_stack::capture(stack_trie& trie, const caller_place& from) noexcept {
  const bool is_known = stack_rules.generation() == rules_generation_;
  if (core::likely(is_known)) {
    if (is_the_last(from)) {
      fresh_count_ = 0;
      return frames_[count_ - 1].node;
    }
    const std::uint32_t node = walk(trie, from);
    if (core::likely(stack_rules.generation() == rules_generation_)) return node;
  }
  forget();
  rules_generation_ = stack_rules.generation();
  return walk(trie, from);
}

void known_stack::check() const noexcept {
  TENURE_CHECK(count_ <= capacity && fresh_count_ <= capacity);
  for (std::uint32_t i = 1; i < count_; ++i) {
    TENURE_CHECK(frames_[i].stack < frames_[i - 1].stack);
    TENURE_CHECK(frames_[i].pointer_count - frames_[i - 1].pointer_count <= 1);
  }
}

}  // namespace tenure::telemetry
