// The stack of one thread as it was seen last, so that the next capture walks only what is new.
//
//   frames[0]        the outermost: its caller has none
//   frames[count-1]  the innermost of the last walk
//
//   walk ──► main ──► serve ──► parse ──► grow      the last one:    0 main, 1 serve, 2 parse, 3 grow
//   walk ──► main ──► serve ──► print               the next one:    print is new; serve is met where it was,
//            └── as it was ──┘                      and what lies outside of it is held against memory
//
// A walk goes from frame to frame by rules that depend on the return address alone. So when it arrives at a frame that
// it has met before (the same return address at the same place in the stack, the same frame pointer where that is
// needed to go on), it would go on as before if the words that it read then are still there: one or two loads a frame,
// which do not wait for each other, instead of a chain of rules. Nothing is taken on trust: a frame whose words have
// changed is walked again. So is everything after a step that is more than two words on the stack (a signal's frame).
//
// The walk begins in the caller of a function of the heap, whose own frame the compiler tells (caller_place): what the
// heap calls in between is not walked, and where a program allocates at one place again there is no step at all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/stack_trie.h"
#include "core/telemetry/unwind.h"
#include "wire/tape.h"

namespace tenure::telemetry {

struct walker;

class known_stack {
 public:
  static constexpr std::uint32_t capacity = wire::tape_stack_capacity_frames;

  // The calling thread's stack as a node of the trie, from the caller of the function that `from` is of, which has not
  // returned. Never allocates, takes no lock; may run inside malloc. Not in a signal handler that has interrupted it.
  std::uint32_t capture(stack_trie& trie, const caller_place& from) noexcept;

  // Nodes of another trie mean nothing.
  void forget() noexcept;

  // Frames that the last capture had to walk; for tests and benchmarks.
  std::uint32_t fresh_count() const noexcept { return fresh_count_; }
  std::uint32_t frame_count() const noexcept { return count_; }
  void check() const noexcept;

 private:
  // As it was met the last time.
  struct frame {
    std::uint64_t stack;          // the stack pointer when the step was done: the CFA of the frame inside of it
    std::uint64_t frame_pointer;  // its own
    std::uint32_t node;
    std::uint32_t pointer_count;  // of saved_pointers_: those of this frame and of all further out
    bool needs_frame;             // it or one further out needs the frame pointer that it has
  };
  // As it is met now.
  struct fresh_frame {
    std::uint64_t stack;
    std::uint64_t return_address;  // what was found on the stack; the frame's name
    std::uint64_t frame_pointer;
    std::uint64_t return_slot;  // where the return address was read
    std::uint64_t frame_slot;   // where the frame pointer was read; 0: it was passed on
    bool uses_frame;            // the step out of it needs the frame pointer
    bool passes_frame;          // the step out of it passes the frame pointer on
  };

  std::uint32_t walk(stack_trie& trie, const caller_place& from) noexcept;
  // Whether frames_[known] is one of this return address, and of this frame pointer if it needs one.
  bool is_frame(std::uint32_t known, std::uint64_t key, std::uint64_t frame_pointer) const noexcept {
    const frame& met = frames_[known];
    return return_addresses_[known].word == key && (!met.needs_frame || met.frame_pointer == frame_pointer);
  }
  bool leads_on_as_it_did(std::uint32_t known) const noexcept;
  bool is_as_it_was(const walker& at, std::uint32_t known) const noexcept;
  bool is_the_last(const caller_place& from) const noexcept;
  std::uint32_t give_numbers(stack_trie& trie, std::uint32_t kept, walk_end end) noexcept;
  std::uint32_t number_of(stack_trie& trie, std::uint32_t parent, std::uint64_t address) noexcept;

  // A word of the stack, and what it held.
  struct seen_word {
    std::uint64_t slot;
    std::uint64_t word;
  };

  // A node that was looked up lately: a few call sites take turns.
  struct numbered {
    std::uint64_t address;
    std::uint32_t parent;
    std::uint32_t node;  // 0: none
  };
  static constexpr unsigned numbered_bits = 6;

  std::uint32_t count_ = 0;
  std::uint32_t fresh_count_ = 0;
  std::uint32_t rules_generation_ = 0;
  // What every capture holds against memory stands apart from the rest of the frames, one word behind the other.
  seen_word return_addresses_[capacity];  // of frames_[i]
  seen_word saved_pointers_[capacity];    // frame pointers that are needed and were read, outermost first
  frame frames_[capacity];
  fresh_frame fresh_[capacity];  // innermost first
  numbered numbered_[1u << numbered_bits] = {};
};

}  // namespace tenure::telemetry
