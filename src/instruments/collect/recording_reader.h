// Recording reader: a recording file read from its beginning to its end, block by block.
//
// The dictionaries are kept, the events are handed on and forgotten: memory grows with what is distinct, not with the
// length of the recording. Every number is held against what it names before it is used; a file that is cut off or
// damaged gives everything before the damage, and says where that is.
#pragma once

#include <algorithm>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "instruments/collect/recording.h"
#include "instruments/collect/recording_writer.h"
#include "instruments/record/block_file.h"
#include "instruments/record/blocks_ahead.h"
#include "instruments/record/event_block.h"
#include "instruments/record/live_set.h"
#include "instruments/record/own_slots.h"
#include "instruments/record/stack_totals.h"

namespace tenure::collect {

// One process of a recording. `record` has no samples: its events go to the visitor.
struct recorded_process {
  process_record record;
  tape_losses losses;
  bool is_complete = false;  // its end was recorded
  bool is_dropped = false;   // it had ended before what is kept of the recording: nothing is known but its end
  // Where it was read from a checkpoint on: what had been told before. The last of it is when what is here begins.
  std::optional<record::told_figures> before = {};
  std::uint64_t events = 0;
  std::uint64_t last_event_ns = 0;
  std::vector<stack_sum> sums;  // of an imported recording without events
  record::told_totals totals;   // of a process whose end was recorded; is_whole where they were told
};

// Which moments of a process's memory are kept while a recording is read; the others are passed over.
struct memory_wish {
  std::optional<std::uint64_t> at_ns = {};  // since its start, as below: the nearest; without, that with most in use
  std::uint64_t from_ns = 0;                // none before, and none after
  std::uint64_t to_ns = never;
  bool wants_mappings = false;  // of those that tell the mappings
};

// The beginning of a recording that was kept short (recording_limits) is not there.
struct rotation {
  std::uint64_t time_ns = 0;  // of the cut: from then on everything is there
  std::uint64_t count = 0;    // of cuts
};

struct recorded_run {
  recording run;  // its `processes` stay empty
  std::vector<std::string> command;
  std::vector<recorded_process> processes;  // by number - 1
  bool is_complete = false;                 // the run's end was recorded
  std::optional<rotation> rotated;
  std::optional<recording_source> source;  // it was imported
  std::optional<std::string> damage;       // what is wrong with the file, and where
  std::uint64_t good_bytes = 0;            // of the file, that come before the damage or the end
};

class recording_reader {
 public:
  static std::expected<recording_reader, std::string> open(const std::filesystem::path& path);
  explicit recording_reader(record::block_reader&& file) : file_(std::move(file)) {}

  // From the next read() on: into record.maps, one of each process at most. Without a wish, none is.
  void keep_memory(const memory_wish& wish) { memory_wish_ = wish; }

  // Called for each block of events, in order of time within a process, with own slots (record/own_slots.h), also of
  // allocations. All that the events name is in run().processes[process] by then. False: enough.
  using visitor = std::function<bool(std::size_t process, std::span<const record::event> events)>;

  // Called for a process whose beginning is not read, before any of its events: what was alive, as it stands at the
  // checkpoint's reader after each part of it, with own slots, which are 0, 1, 2, ... there.
  using alive_visitor = std::function<void(std::size_t process, const record::checkpoint_reader& alive)>;

  // From the beginning; may be called again. From a place of rounds() on: events before it are passed over.
  void read(const visitor& visit, const alive_visitor& alive = {}, std::uint64_t from_bytes = 0);
  // Everything but the events, without unpacking them: what there is to know of a recording before it is replayed.
  // The numbers of events and the times of the last ones stay zero.
  void survey();

  // Where reading may begin; after survey(). In the order of the file.
  struct round {
    std::uint64_t position_bytes = 0;
    std::size_t begun = 0;                                       // processes that had begun by then, ended ones too
    std::vector<std::pair<std::size_t, std::uint64_t>> last_ns;  // by process that is open: its last event before
  };
  const std::vector<round>& rounds() const { return rounds_; }

  // Files of that length have their blocks unpacked ahead, on a thread of their own, while they are read.
  void read_ahead_from(std::uint64_t least_bytes) { least_ahead_bytes_ = least_bytes; }

  // How much of the file was read, from 0 to 1.
  double progress() const {
    return static_cast<double>(reached_bytes_) / static_cast<double>(std::max<std::uint64_t>(file_.size_bytes(), 1));
  }

  const recorded_run& run() const { return run_; }
  recorded_run& run() { return run_; }

 private:
  bool take(record::unpacked_block& unpacked, const visitor& visit, const alive_visitor& alive);
  bool take_run(record::byte_reader from);
  bool take_process(record::byte_reader from);
  bool take_dictionary(record::byte_reader from, process_record& into);
  bool take_events(record::unpacked_block& block, const visitor& visit);
  bool take_end(record::byte_reader from, recorded_process& into);
  bool take_run_end(record::byte_reader from);
  bool take_round(record::byte_reader from, std::uint64_t position_bytes);
  bool take_rotated(record::byte_reader from);
  bool take_source(record::byte_reader from);
  static bool take_sums(record::byte_reader from, recorded_process& into);
  static bool take_totals(record::byte_reader from, recorded_process& into);
  bool take_answers(record::byte_reader from, process_record& into) const;
  bool take_checkpoint(const record::block& block, const alive_visitor& alive);
  bool take_memory(record::byte_reader from, process_record& into) const;
  bool is_preferred(const memory_map& one, const memory_map& other, std::uint64_t start_ns) const;

  record::block_reader file_;
  recorded_run run_;
  std::shared_ptr<resolved_names> names_;  // shared with the records of processes
  std::vector<record::own_slots> slots_;   // by process
  std::vector<record::checkpoint_reader> checkpoints_;
  std::vector<round> rounds_;
  std::vector<std::uint64_t> dropped_;  // numbers of processes
  std::optional<memory_wish> memory_wish_;
  bool begins_late_ = false;  // not at the beginning of the run: the first checkpoints are needed
  std::uint64_t least_ahead_bytes_ = std::uint64_t{4} << 20;
  std::uint64_t reached_bytes_ = 0;
  bool wants_more_ = true;
};

}  // namespace tenure::collect
