#include "core/telemetry/unwind.h"

#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/frame_program.h"
#include "core/telemetry/frame_table.h"
#include "core/telemetry/machine.h"
#include "core/telemetry/module.h"
#include "core/telemetry/walker.h"

namespace tenure::telemetry {
namespace {

// The rule at `lookup` (the interrupted instruction, or the byte before a return address), from the unwind information.
// False when no module with such information is mapped there: that may change, and is not kept.
bool work_out_rule(std::uint64_t lookup, unwind_rule* rule) noexcept {
  *rule = {};
  if (machine::trampoline_rule(lookup + 1, rule)) return true;
  loaded_module module;
  if (!find_module(lookup, &module)) return false;
  if (module.unwind_header == 0) return true;
  const byte_range readable = segment_of(module, module.unwind_header);
  const std::uint64_t address = find_entry(readable, module.unwind_header, lookup);
  if (address == 0) return true;
  // Linkers put table and entries side by side; where they do not, the entries have a segment of their own.
  const byte_range entries = readable.holds(address, 1) ? readable : segment_of(module, address);
  frame_entry entry;
  if (!parse_entry(entries, address, &entry)) return true;
  if (lookup < entry.code_begin || lookup >= entry.code_end) return true;
  *rule = run_frame_program(entry, lookup);
  return true;
}

}  // namespace

rule_cache stack_rules;

[[gnu::noinline, gnu::cold]] compact_rule find_rule(std::uint64_t key, unwind_rule* uncached) noexcept {
  if (key >> address_bits != 0) return *uncached = {}, compact_uncached;
  const rule_cache::view rules = stack_rules.current();
  if (const auto word = rule_cache::first_word(rules, key); rule_cache::matches(word, key)) {
    return rule_cache::rule_in(word);
  }
  if (const auto word = rule_cache::second_word(rules, key); rule_cache::matches(word, key)) {
    return rule_cache::rule_in(word);
  }
  const std::uint32_t generation = stack_rules.generation();
  if (!work_out_rule(key - 1, uncached)) return compact_uncached;
  const compact_rule rule = stack_rules.shorten(*uncached);
  if (rule != compact_uncached) stack_rules.insert(key, rule, generation);
  return rule;
}

namespace {

// The loop that the cost of a capture is spent in: one load for the rule, one or two for the frame.
[[gnu::always_inline]] TENURE_READS_STACK inline walk_result walk(const start_registers& from, bool trusted,
                                                                  std::uint64_t* frames, std::size_t capacity,
                                                                  std::size_t skip) noexcept {
  walker at{from.instruction + 1, from.stack, from.frame, from.link, stack_window::around(from.stack, trusted), {}};
  const rule_cache::view rules = stack_rules.current();
  std::size_t count = 0;
  walk_end end = walk_end::complete;
  bool exact = true;
  for (;;) {
    std::uint64_t return_address = 0;
    // The word is used before it is known to match: nothing in the chain from one frame to the next waits for that.
    const std::uint64_t word = rule_cache::first_word(rules, at.key);
    const std::uint64_t cfa = ((word & compact_frame_based) != 0 ? at.frame : at.stack) + compact_cfa_offset(word);
    const std::uint64_t slot = compact_frame_slot(word);
    const bool quick = rule_cache::matches(word, at.key) && (word & compact_whole) == 0 &&
                       at.key >> address_bits == 0 && cfa > at.stack && cfa <= at.window.high() &&
                       cfa - slot >= at.window.low() + 8;
    if (core::likely(quick)) {
      return_address = machine::plain_address(walker::load(cfa - machine::return_address_slot(slot)));
      if (slot != 0) at.frame = walker::load(cfa - slot);
      at.stack = cfa;
      at.link = 0;
      exact = false;
      if (core::unlikely(return_address == 0)) break;
      at.key = return_address;
    } else {
      const walker::step_result step = at.step_slowly(exact, &return_address, &exact);
      if (step == walker::step_result::no_rule) end = walk_end::no_rule;
      if (step != walker::step_result::next) break;
    }
    if (skip != 0) {
      --skip;
      continue;
    }
    if (count == capacity) {
      end = walk_end::limit;
      break;
    }
    frames[count++] = return_address;
  }
  at.window.remember();
  return {static_cast<std::uint32_t>(count), end};
}

}  // namespace

// Never inlined, and never left by a jump: its own frame, which it starts from, must stay in place while it walks.
[[gnu::noinline]] TENURE_READS_STACK walk_result capture_stack(std::uint64_t* frames, std::size_t capacity,
                                                               std::size_t skip) noexcept {
  TENURE_DCHECK(frames != nullptr || capacity == 0);
  return walk(machine::own_registers(), true, frames, capacity, skip);
}

TENURE_READS_STACK walk_result walk_stack(const start_registers& from, std::uint64_t* frames,
                                          std::size_t capacity) noexcept {
  TENURE_DCHECK(frames != nullptr || capacity == 0);
  if (capacity == 0) return {0, walk_end::limit};
  frames[0] = from.instruction;
  walk_result rest = walk(from, false, frames + 1, capacity - 1, 0);
  ++rest.frame_count;
  return rest;
}

void forget_rules() noexcept { stack_rules.clear(); }

std::size_t unwind_memory_bytes() noexcept { return stack_rules.size_bytes(); }

void check_unwind() noexcept { stack_rules.check(); }

}  // namespace tenure::telemetry
