#include "core/telemetry/unwind.h"

#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/telemetry/frame_program.h"
#include "core/telemetry/frame_table.h"
#include "core/telemetry/machine.h"
#include "core/telemetry/module.h"
#include "core/telemetry/rule_cache.h"
#include "core/telemetry/stack_window.h"

// Other functions' frames are read here, red zones and all: what the sanitizers would object to is the purpose.
#define TENURE_READS_STACK __attribute__((no_sanitize_address, no_sanitize_thread))

namespace tenure::telemetry {
namespace {

rule_cache cache;

// Address bits that a process can have in use without asking for more.
constexpr unsigned address_bits = 48;

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

// The rule of a key that the quick path did not use: from the cache, or worked out.
[[gnu::noinline, gnu::cold]] compact_rule find_rule(std::uint64_t key, unwind_rule* uncached) noexcept {
  if (key >> address_bits != 0) return *uncached = {}, compact_uncached;
  const rule_cache::view rules = cache.current();
  if (const auto word = rule_cache::first_word(rules, key); rule_cache::matches(word, key)) {
    return rule_cache::rule_in(word);
  }
  if (const auto word = rule_cache::second_word(rules, key); rule_cache::matches(word, key)) {
    return rule_cache::rule_in(word);
  }
  const std::uint32_t generation = cache.generation();
  if (!work_out_rule(key - 1, uncached)) return compact_uncached;
  const compact_rule rule = cache.shorten(*uncached);
  if (rule != compact_uncached) cache.insert(key, rule, generation);
  return rule;
}

// One walk: the registers of the frame it stands in, and what it may read.
struct walker {
  std::uint64_t key;  // the return address, or the interrupted instruction + 1: one behind what is looked up
  std::uint64_t stack;
  std::uint64_t frame;
  std::uint64_t link;
  stack_window window;

  // The word at `address`, which the window holds.
  TENURE_READS_STACK static std::uint64_t load(std::uint64_t address) noexcept {
    std::uint64_t word;
    __builtin_memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
    return word;
  }

  bool load_checked(std::uint64_t address, std::uint64_t* word) noexcept {
    if (!window.reach(address, sizeof *word)) return false;
    *word = load(address);
    return true;
  }

  enum class step_result { next, complete, no_rule };

  bool load_saved(const saved_register& from, std::uint64_t cfa, std::uint64_t own, std::uint64_t* value) noexcept {
    const auto offset = static_cast<std::uint64_t>(static_cast<std::int64_t>(from.offset));
    switch (from.where) {
      case place::unchanged:
        return *value = own, true;
      case place::lost:
        return *value = 0, true;
      case place::cfa:
        return load_checked(cfa + offset, value);
      case place::stack:
        return load_checked(stack + offset, value);
      default:
        return load_checked(frame + offset, value);
    }
  }

  // To the caller by any rule, with every read checked. *return_address is what goes into the list.
  [[gnu::noinline]] step_result step_by(const unwind_rule& rule, bool exact, std::uint64_t* return_address) noexcept {
    if (rule.kind == rule_kind::complete) return step_result::complete;
    if (rule.kind == rule_kind::none) return step_result::no_rule;
    std::uint64_t cfa = rule.cfa_from_frame ? frame : stack;
    if (rule.cfa_dereferenced) {
      const auto inner = static_cast<std::uint64_t>(static_cast<std::int64_t>(rule.cfa_inner));
      if (!load_checked(cfa + inner, &cfa)) return step_result::no_rule;
    }
    cfa += static_cast<std::uint64_t>(static_cast<std::int64_t>(rule.cfa_offset));
    // A function interrupted before it made a frame may share its caller's stack pointer; a signal's frame may lie on
    // another stack. Everything else climbs.
    const bool climbs = cfa > stack || (exact && cfa == stack) || rule.signal;
    if (!climbs) return step_result::no_rule;
    std::uint64_t next_frame = 0;
    std::uint64_t next_link = 0;
    if (!load_saved(rule.return_address, cfa, link, return_address) ||
        !load_saved(rule.frame, cfa, frame, &next_frame) || !load_saved(rule.link, cfa, 0, &next_link)) {
      return step_result::no_rule;
    }
    *return_address = machine::plain_address(*return_address);
    stack = cfa;
    frame = next_frame;
    link = next_link;
    if (*return_address == 0) return step_result::complete;
    key = *return_address + (rule.signal ? 1 : 0);
    return step_result::next;
  }

  step_result step_by(compact_rule rule, bool exact, std::uint64_t* return_address) noexcept {
    TENURE_DCHECK((rule & compact_kind_mask) <= compact_frame_based);
    unwind_rule whole;
    whole.kind = rule_kind::caller;
    whole.cfa_from_frame = (rule & compact_kind_mask) == compact_frame_based;
    whole.cfa_offset = static_cast<std::int32_t>(compact_cfa_offset(rule));
    const std::uint64_t slot = compact_frame_slot(rule);
    if (slot != 0) whole.frame = {place::cfa, -static_cast<std::int32_t>(slot)};
    whole.return_address = {place::cfa, -static_cast<std::int32_t>(machine::return_address_slot(slot))};
    return step_by(whole, exact, return_address);
  }

  // What the quick path does not do.
  [[gnu::noinline, gnu::cold]] step_result step_slowly(bool exact, std::uint64_t* return_address,
                                                       bool* now_exact) noexcept {
    unwind_rule uncached;
    const compact_rule rule = find_rule(key, &uncached);
    *now_exact = false;
    if ((rule & compact_kind_mask) <= compact_frame_based) return step_by(rule, exact, return_address);
    const unwind_rule& whole = (rule & compact_kind_mask) == compact_whole ? cache.whole(rule) : uncached;
    *now_exact = whole.signal;
    return step_by(whole, exact, return_address);
  }
};

// The loop that the cost of a capture is spent in: one load for the rule, one or two for the frame.
[[gnu::always_inline]] TENURE_READS_STACK inline walk_result walk(const start_registers& from, bool trusted,
                                                                  std::uint64_t* frames, std::size_t capacity,
                                                                  std::size_t skip) noexcept {
  walker at{from.instruction + 1, from.stack, from.frame, from.link, stack_window::around(from.stack, trusted)};
  const rule_cache::view rules = cache.current();
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

void forget_rules() noexcept { cache.clear(); }

std::size_t unwind_memory_bytes() noexcept { return cache.size_bytes(); }

void check_unwind() noexcept { cache.check(); }

}  // namespace tenure::telemetry
