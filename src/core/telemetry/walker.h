// One walk over a stack, step by step: what capture_stack (unwind.h) and known_stack share.
//
// A step goes from one frame to its caller. The quick one (a rule of the cache's short form, everything read inside of
// the known part of the stack) stands in the loops that use it, where its cost is; everything else is here.
#pragma once

#include <cstdint>

#include "core/base/check.h"
#include "core/telemetry/machine.h"
#include "core/telemetry/rule_cache.h"
#include "core/telemetry/stack_window.h"
#include "core/telemetry/unwind_rule.h"

// Other functions' frames are read here, red zones and all: what the sanitizers would object to is the purpose.
#define TENURE_READS_STACK __attribute__((no_sanitize_address, no_sanitize_thread))

namespace tenure::telemetry {

// The rules of all code, shared by all walks.
extern rule_cache stack_rules;

// Address bits that a process can have in use without asking for more.
inline constexpr unsigned address_bits = 48;

// The rule of a key that the quick path did not use: from the cache, or worked out.
compact_rule find_rule(std::uint64_t key, unwind_rule* uncached) noexcept;

// Where a step has found what it found.
struct step_trail {
  std::uint64_t return_slot = 0;
  std::uint64_t frame_slot = 0;  // 0: the frame pointer was passed on
  bool uses_frame = false;       // the CFA was computed from the frame pointer
  bool passes_frame = false;
  bool is_whole = false;  // the two slots say everything: the same words there give the same step again
};

// One walk: the registers of the frame it stands in, and what it may read.
struct walker {
  std::uint64_t key;  // the return address, or the interrupted instruction + 1: one behind what is looked up
  std::uint64_t stack;
  std::uint64_t frame;
  std::uint64_t link;
  stack_window window;
  step_trail trail;

  // The word at `address`, which the window holds.
  TENURE_READS_STACK static std::uint64_t load(std::uint64_t address) noexcept {
    std::uint64_t word;
    __builtin_memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
    return word;
  }

  static step_trail trail_of(const unwind_rule& rule, std::uint64_t cfa) noexcept {
    const auto slot_of = [cfa](const saved_register& from) noexcept {
      return cfa + static_cast<std::uint64_t>(static_cast<std::int64_t>(from.offset));
    };
    step_trail result;
    result.uses_frame = rule.cfa_from_frame;
    result.passes_frame = rule.frame.where == place::unchanged;
    result.is_whole = !rule.signal && !rule.cfa_dereferenced && rule.return_address.where == place::cfa &&
                      (result.passes_frame || rule.frame.where == place::cfa);
    if (!result.is_whole) return result;
    result.return_slot = slot_of(rule.return_address);
    if (!result.passes_frame) result.frame_slot = slot_of(rule.frame);
    return result;
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
    trail = trail_of(rule, cfa);
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
    const unwind_rule& whole = (rule & compact_kind_mask) == compact_whole ? stack_rules.whole(rule) : uncached;
    *now_exact = whole.signal;
    return step_by(whole, exact, return_address);
  }
};

}  // namespace tenure::telemetry
