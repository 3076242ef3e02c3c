// Realloc chains: which block a realloc continued, found in the order of a thread's events.
//
// A recording tells a realloc as an allocation with its own entry point and a free, by the same thread, with nothing of
// that thread between them; in place the free comes first, to a new place it comes second:
//
//   in place   ... F(a) R(b) ...          moved   ... R(b) F(a) ...
//
// So the old block is that of the free before or of the free after. A free before that belongs to another realloc is
// none, and a free after that frees b itself is none either. Where both remain, the program freed some block just
// before or just after, and the sizes decide: the heap lets a block stay where its size class has room for the new
// size, unless half of it would do, and only large blocks grow beyond. Where both are possible by their sizes too the
// realloc is counted as uncertain and belongs to no chain.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

struct realloc_figures {
  std::uint64_t calls = 0;  // the sum of the four below
  std::uint64_t in_place = 0;
  std::uint64_t moved = 0;
  std::uint64_t uncertain = 0;    // which of two blocks it continued cannot be told
  std::uint64_t unmatched = 0;    // of a block whose allocation is not in the recording
  std::uint64_t shrinks = 0;      // among those in place and moved: to fewer bytes
  std::uint64_t moved_bytes = 0;  // that moved blocks had and took along: copied, and allocated anew
  std::uint64_t chains = 0;       // blocks that were resized at least once
  std::uint64_t longest = 0;      // resizes of one block

  realloc_figures& operator+=(const realloc_figures& other) {
    calls += other.calls;
    in_place += other.in_place;
    moved += other.moved;
    uncertain += other.uncertain;
    unmatched += other.unmatched;
    shrinks += other.shrinks;
    moved_bytes += other.moved_bytes;
    chains += other.chains;
    longest = std::max(longest, other.longest);
    return *this;
  }
  bool operator==(const realloc_figures&) const = default;
};

// All events of one process, in their order. `owner` is whoever the figures are counted for; no_index: nobody.
class realloc_chains {
 public:
  void allocate(std::uint32_t slot, std::uint32_t thread, std::uint64_t bytes, bool is_realloc, std::uint32_t owner);
  void free(std::uint32_t slot, std::uint32_t thread, std::uint64_t bytes);
  void free_unknown(std::uint32_t thread);  // of a block whose allocation was not told
  void finish();

  // Of one owner, after finish().
  realloc_figures of(std::uint32_t owner) const {
    return owner < figures_.size() ? figures_[owner] : realloc_figures();
  }

 private:
  struct block {
    std::uint64_t serial = 0;  // which allocation of the process: slots serve again
    std::uint64_t resizes = 0;
  };
  struct old_block {
    block what;
    std::uint64_t bytes = 0;
    bool is_known = true;
    bool is_doubtful = false;  // it may belong to the realloc before it
  };
  struct open_realloc {
    std::uint32_t slot = 0;
    std::uint32_t owner = no_index;
    std::uint64_t serial = 0;
    std::uint64_t bytes = 0;
    std::optional<old_block> before;
  };
  // What the last event of a thread was, as far as it matters.
  struct thread_state {
    std::optional<old_block> freed;
    std::optional<open_realloc> open;
  };

  thread_state& at(std::uint32_t thread);
  static bool could_stay(std::uint64_t old_bytes, std::uint64_t bytes);
  static bool could_move(std::uint64_t old_bytes, std::uint64_t bytes);
  void take_free(thread_state& of, const old_block& freed);
  void settle(thread_state& of);  // no free behind it is its own
  void link(const open_realloc& one, const old_block& old, bool is_moved);
  realloc_figures* figures_of(const open_realloc& one);

  std::vector<thread_state> threads_;
  std::vector<block> blocks_;  // by slot
  std::vector<realloc_figures> figures_;
  std::uint64_t serial_ = 0;
};

}  // namespace tenure::analyze
