// Recording walk: a recording gone through once, event by event, for every analysis that is made of one.
//
//   survey ──► what the events name: stacks, threads with their names, modules ──► selector, frames
//   run    ──► visit(process, event, block) for each allocation and free of a selected block, in order of time
//
// The block is what is kept of an allocation while it lives. Events are looked at once and forgotten: memory grows with
// the number of stacks and with what is alive at once, not with the length of the recording.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "instruments/analyze/profile.h"
#include "instruments/analyze/selection.h"
#include "instruments/collect/recording_reader.h"

namespace tenure::analyze {

// What is being done, and which share of it is done: shown to whoever waits.
using progress_function = std::function<void(const char* doing, double share)>;

struct live_block {
  std::uint64_t bytes = 0;  // as requested
  std::uint64_t time_ns = 0;
  std::uint64_t allocated_before_bytes = 0;  // by the process, selected or not, when it was allocated
  std::uint32_t stack = no_index;            // no_index: not selected
  std::uint32_t thread = 0;
};

// What is known of a process besides its selected blocks.
struct walked_process {
  process_profile profile;  // its record and the frames that were resolved; no samples
  collect::tape_losses losses;
  bool is_complete = false;
  std::uint64_t events = 0;       // that were looked at
  std::uint64_t stray_frees = 0;  // of blocks whose allocation is not in the recording
  std::uint64_t allocated_bytes = 0;
  std::uint64_t last_ns = 0;  // of what was looked at: the process's end, or the window's
};

struct walked_run {
  collect::recording run;
  std::vector<std::string> command;
  bool is_complete = false;
  std::optional<std::string> damage;
};

class recording_walk {
 public:
  recording_walk(collect::recording_reader& reader, symbols::symbolizer& symbolizer, const selection& selected,
                 progress_function progress);

  std::size_t size() const { return states_.size(); }
  walked_process& process(std::size_t index) { return states_[index]->process; }
  frame_resolver& frames(std::size_t index) { return states_[index]->frames; }
  bool takes_process(std::size_t index) const { return states_[index]->chooser.takes_process(); }
  // The blocks of selected stacks that live now.
  const std::vector<live_block>& blocks(std::size_t index) const { return states_[index]->blocks; }

  // visit(process index, event, block); of a free the block is still there.
  template <class Visit>
  void run(Visit&& visit) {
    reader_.read([&](std::size_t index, std::span<const record::event> events) {
      if (index < states_.size() && takes_process(index)) take(index, events, visit);
      tell("reading", reader_.progress());
      return true;
    });
    finish();
  }

  void tell(const char* doing, double share) const {
    if (progress_) progress_(doing, share);
  }
  const walked_run& whole() const { return whole_; }

 private:
  struct state {
    state(process_profile&& profile, symbols::symbolizer& symbolizer, const selection& selected);
    walked_process process;
    frame_resolver frames;
    selector chooser;
    std::vector<live_block> blocks;  // by slot
    std::uint64_t begin_ns = 0, end_ns = no_end;
    bool is_over = false;  // the window is
  };

  template <class Visit>
  void take(std::size_t index, std::span<const record::event> events, Visit& visit) {
    state& of = *states_[index];
    for (const record::event& one : events) {
      of.is_over |= one.time_ns >= of.end_ns;
      if (of.is_over) return;
      ++of.process.events;
      if (one.kind == record::event_kind::stray_free) {
        ++of.process.stray_frees;
        continue;
      }
      if (one.slot >= of.blocks.size()) of.blocks.resize(one.slot + 1);
      live_block& block = of.blocks[one.slot];
      if (one.kind == record::event_kind::allocation) {
        const bool is_taken = one.time_ns >= of.begin_ns && of.chooser.takes(one.stack, one.thread, one.bytes);
        block = {one.bytes, one.time_ns, of.process.allocated_bytes, is_taken ? one.stack : no_index, one.thread};
        of.process.allocated_bytes += one.bytes;
      }
      if (block.stack == no_index) continue;
      visit(index, one, std::as_const(block));
      if (one.kind == record::event_kind::free) block.stack = no_index;
    }
  }
  void finish();

  collect::recording_reader& reader_;
  selection selected_;
  progress_function progress_;
  std::vector<std::unique_ptr<state>> states_;
  walked_run whole_;
};

}  // namespace tenure::analyze
