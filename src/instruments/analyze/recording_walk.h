// Recording walk: a recording gone through once, event by event, for every analysis that is made of one.
//
//   survey ──► what the events name: stacks, threads with their names, modules ──► selector, frames
//   run    ──► visit(process, event, block) for each allocation and free of a selected block, in order of time
//
// Of a recording whose beginning was dropped, and of a window that begins after a checkpoint, the blocks that were
// alive where reading begins come first, each as the allocation that it was, before its process's other events.
//
// The block is what is kept of an allocation while it lives. Events are looked at once and forgotten: memory grows with
// the number of stacks and with what is alive at once, not with the length of the recording.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "instruments/analyze/profile.h"
#include "instruments/analyze/progress.h"
#include "instruments/analyze/selection.h"
#include "instruments/collect/recording_reader.h"

namespace tenure::analyze {

struct live_block {
  std::uint64_t bytes = 0;  // as requested
  std::uint64_t time_ns = 0;
  std::uint64_t allocated_before_bytes = 0;  // by the process, selected or not, when it was allocated
  std::uint32_t stack = no_index;            // no_index: not selected
  std::uint32_t thread = no_index;           // no_index: there is no block here
};

// What was alive at one moment, selected or not.
struct live_then {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;         // as requested
  std::uint64_t usable_bytes = 0;  // as the size classes make of them
};

// What is known of a process besides its selected blocks.
struct walked_process {
  process_profile profile;  // its record and the frames that were resolved; no samples
  collect::tape_losses losses;
  bool is_complete = false;
  std::uint64_t events = 0;           // that were looked at
  std::uint64_t stray_frees = 0;      // of blocks whose allocation is not in the recording
  std::uint64_t allocated_bytes = 0;  // by all blocks, selected or not; likewise below
  std::uint64_t live_bytes = 0;       // now; of a block that is being freed, with that block
  // Where the beginning is not in the recording: what had been told until that from which on it speaks.
  std::optional<record::told_figures> before = {};
  std::vector<collect::stack_sum> sums = {};  // of an imported recording without events; selected or not
  std::uint64_t last_ns = 0;                  // of what was looked at: the process's end, or the window's
  // At the moment of profile.record.maps, of which there is one where the recording tells the memory (memory_wish).
  live_then at_memory = {};
  record::told_totals totals = {};  // as the recording tells them, of the whole process
};

struct walked_run {
  collect::recording run;
  std::vector<std::string> command;
  bool is_complete = false;
  std::optional<std::string> damage;
  std::optional<collect::rotation> rotated;
  std::optional<collect::recording_source> source;  // it was imported
};

// A visitor that is told when the moment of profile.record.maps has come: at_memory(process index).
template <class Visit>
concept sees_memory = requires(Visit& visit) {
  visit.at_memory(std::size_t{});
};

template <class Visit>
concept sees_every = requires(Visit& visit, const record::event& one) {
  visit.every(std::size_t{}, one, nullptr);
};

class recording_walk {
 public:
  recording_walk(collect::recording_reader& reader, symbols::symbolizer& symbolizer, const selection& selected,
                 progress_function progress, const std::optional<collect::memory_wish>& memory = {});
  // For who wants to know no more than what is alive at the moments whose memory is kept: reading begins as late as
  // may be.
  void begin_before_memory();

  std::size_t size() const { return states_.size(); }
  walked_process& process(std::size_t index) { return states_[index]->process; }
  frame_resolver& frames(std::size_t index) { return states_[index]->frames; }
  bool takes_process(std::size_t index) const {
    return !states_[index]->is_dropped && states_[index]->chooser.takes_process();
  }
  // Whether what a sum is of is selected.
  bool takes(std::size_t index, const collect::stack_sum& sum) {
    return states_[index]->chooser.takes(sum.stack, 0, 0);
  }
  // It had ended before what was kept of the recording.
  bool is_dropped(std::size_t index) const { return states_[index]->is_dropped; }
  // The blocks of selected stacks that live now.
  const std::vector<live_block>& blocks(std::size_t index) const { return states_[index]->blocks; }

  // visit(process index, event, block); of a free the block is still there. A visitor that has `every` is first told
  // all events, selected or not: every(process index, event, block), null for a block whose allocation was not told.
  template <class Visit>
  void run(Visit&& visit) {
    run(visit, [&visit](std::size_t index, const record::event& one, const live_block& block, bool is_taken) {
      if constexpr (sees_every<std::remove_reference_t<Visit>>) {
        // It came by some way that is not known any more.
        record::event plain = one;
        plain.entry = 0;
        visit.every(index, plain, &block);
      }
      if (is_taken) visit(index, one, block);
    });
  }
  // begin(process index, event, block, is selected) for the blocks that were alive where reading begins.
  template <class Visit, class Begin>
  void run(Visit&& visit, Begin&& begin) {
    // Whoever looks at everything looks at what came before a window too.
    if constexpr (sees_every<std::remove_reference_t<Visit>>) begin_bytes_ = 0;
    reader_.read(
        [&](std::size_t index, std::span<const record::event> events) {
          if (index < states_.size() && takes_process(index)) take(index, events, visit);
          tell("reading", reader_.progress());
          is_stopped_ |= is_window_over();
          return !is_stopped_;
        },
        [&](std::size_t index, const record::checkpoint_reader& alive) {
          if (index < states_.size() && takes_process(index)) take_alive(index, alive, begin);
        },
        begin_bytes_);
    for (std::size_t index = 0; index < states_.size(); ++index)
      if (takes_process(index) && states_[index]->memory_ns != no_end) pass_memory(index, *states_[index], visit);
    finish();
  }

  // By a visitor that wants no more: what stands in the block of the file that it is at still comes. What is said of
  // the run and of the ends of its processes is then what the headers of the rest say.
  void stop() { is_stopped_ = true; }

  void tell(const char* doing, double share) const {
    if (progress_) progress_(doing, share);
  }
  // Of part `index` of `count`.
  share_function part(const char* doing, std::size_t index, std::size_t count) const {
    return part_of(progress_, doing, index, count);
  }
  const walked_run& whole() const { return whole_; }

 private:
  struct state {
    state(process_profile&& profile, symbols::symbolizer& symbolizer, const selection& selected);
    // Its block will be asked for soon: of many blocks, waiting for memory is most of what an event costs.
    void expect(std::uint32_t slot) const {
      if (slot < blocks.size()) __builtin_prefetch(&blocks[slot], 1);
    }
    walked_process process;
    frame_resolver frames;
    selector chooser;
    std::vector<live_block> blocks;  // by slot
    std::uint64_t begin_ns = 0, end_ns = no_end;
    std::uint64_t memory_ns = no_end;  // of the moment of its maps, until that has come
    bool is_over = false;              // the window is
    bool is_dropped = false;
  };
  static constexpr std::size_t events_ahead = 16;
  static constexpr std::size_t most_reserved_blocks = 8 << 20;
  std::uint64_t place_to_begin() const;
  bool is_window_over() const;
  static live_then alive_in(const state& of);
  static bool is_taken(state& of, const record::event& one) {
    return one.time_ns >= of.begin_ns && one.time_ns < of.end_ns && of.chooser.takes(one.stack, one.thread, one.bytes);
  }

  // How much the process had allocated before a block of which only the time is known: as if it did so evenly.
  static std::uint64_t allocated_before(const state& of, const record::told_figures& told, const record::event& one);

  template <class Begin>
  void take_alive(std::size_t index, const record::checkpoint_reader& alive, Begin& begin) {
    state& of = *states_[index];
    const record::told_figures& told = alive.told();
    if (begin_bytes_ == 0) of.process.before = told;
    of.process.allocated_bytes = told.allocated_bytes;
    // As many as are told: a file that anybody has written may say that any number is.
    if (alive.is_first()) of.blocks.reserve(std::min(alive.live_count(), most_reserved_blocks));
    if (!alive.blocks().empty()) of.blocks.resize(alive.blocks().back().slot + std::size_t{1});
    for (const record::event& one : alive.blocks()) {
      const bool takes = is_taken(of, one);
      const std::uint64_t before_bytes = takes ? allocated_before(of, told, one) : 0;
      live_block& block = of.blocks[one.slot];
      block = {one.bytes, one.time_ns, before_bytes, takes ? one.stack : no_index, one.thread};
      of.process.live_bytes += one.bytes;
      begin(index, one, std::as_const(block), takes);
    }
  }

  template <class Visit>
  void pass_memory(std::size_t index, state& of, Visit& visit) {
    of.memory_ns = no_end;
    of.process.at_memory = alive_in(of);
    if constexpr (sees_memory<Visit>) visit.at_memory(index);
  }

  template <class Visit>
  void take(std::size_t index, std::span<const record::event> events, Visit& visit) {
    state& of = *states_[index];
    for (std::size_t at = 0; at < events.size(); ++at) {
      if (at + events_ahead < events.size()) of.expect(events[at + events_ahead].slot);
      const record::event& one = events[at];
      if (one.time_ns > of.memory_ns) pass_memory(index, of, visit);
      of.is_over |= one.time_ns >= of.end_ns;
      if (of.is_over) return;
      ++of.process.events;
      if (one.kind == record::event_kind::stray_free) {
        ++of.process.stray_frees;
        if constexpr (sees_every<Visit>) visit.every(index, one, nullptr);
        continue;
      }
      if (one.slot >= of.blocks.size()) of.blocks.resize(one.slot + 1);
      live_block& block = of.blocks[one.slot];
      if (one.kind == record::event_kind::allocation) {
        block = {one.bytes, one.time_ns, of.process.allocated_bytes, is_taken(of, one) ? one.stack : no_index,
                 one.thread};
        of.process.allocated_bytes += one.bytes;
        of.process.live_bytes += one.bytes;
      }
      if constexpr (sees_every<Visit>) visit.every(index, one, &std::as_const(block));
      if (block.stack != no_index) visit(index, one, std::as_const(block));
      if (one.kind == record::event_kind::allocation) continue;
      block.stack = block.thread = no_index;
      of.process.live_bytes -= block.bytes;
    }
  }
  void take_whole();
  void finish();
  std::string begin_text(std::uint64_t begin_ns) const;

  collect::recording_reader& reader_;
  selection selected_;
  progress_function progress_;
  std::vector<std::unique_ptr<state>> states_;
  std::uint64_t begin_bytes_ = 0;  // where to begin reading; 0: at the beginning
  bool is_stopped_ = false;
  bool may_stop_ = false;  // the window ends, and the survey has seen the ends of all processes that are taken
  walked_run whole_;
};

}  // namespace tenure::analyze
