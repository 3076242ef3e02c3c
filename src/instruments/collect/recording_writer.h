// Recording writer: what is seen of a run, as it is seen, into the blocks of a recording (record/block_file.h).
//
//   run ─ process 1 ─ dictionary 1 ─ events 1 ─ process 2 ─ dictionary 1 ─ events 1 ─ ... ─ end 1 ─ run_end
//                                              └─ round: checkpoint 1 ─ checkpoint 2
//
// What events name (modules, locations, stacks, threads) is written before them, and only once. Now and then comes a
// round: a checkpoint of each process that has begun and not ended. Whoever reads from a round on knows what was alive
// at it, so a reader can begin there, and a recording that must not grow is cut there (recording_limits).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "instruments/collect/process_totals.h"
#include "instruments/collect/recording.h"
#include "instruments/collect/recording_source.h"
#include "instruments/record/block_file.h"
#include "instruments/record/event_block.h"
#include "instruments/record/live_set.h"

namespace tenure::collect {

// What is kept of a long run: the newest. 0: no limit.
struct recording_limits {
  std::uint64_t most_bytes = 0;  // of the file; while it is cut, up to half as much lies beside it
  std::uint64_t last_ns = 0;     // at least the last so long, at most some twice as much
};
inline constexpr std::uint64_t least_limit_bytes = 1 << 20;

class recording_writer {
 public:
  explicit recording_writer(record::block_writer&& file, const recording_limits& limits = {})
      : file_(std::move(file)), limits_(limits) {}

  void begin_run(const recording& run, const std::vector<std::string>& command);
  // The number by which the process is called in the recording.
  std::uint32_t begin_process(const process_record& process);
  // Writes what the events name and has not been written yet, and then the events. Fills the slots of allocations in.
  void write_events(std::uint32_t number, const process_record& process, std::span<record::event> events);
  // What the process holds at a moment; with mappings or without. Events of before may come later.
  void write_memory(std::uint32_t number, const memory_map& map);
  void end_process(std::uint32_t number, const process_record& process, const tape_losses& losses);
  void end_run(const recording& run);
  // Of what is imported: behind the run's beginning, and what places are called, in blocks of resolved_names.h.
  void write_source(const recording_source& source);
  void write_names(std::span<const std::uint8_t> block) { put(record::block_kind::names, 0, block); }
  // Of stacks whose names were written.
  void write_sums(std::uint32_t number, std::span<const stack_sum> sums);
  void write_answers(std::uint32_t number, const process_record& process, std::span<const std::uint32_t> answers);

  // A block that lives, as it was allocated. `slot` is in use.
  record::event block_at(std::uint32_t number, std::uint32_t slot) const {
    return written_[number - 1].live.block_at(slot);
  }

  std::uint64_t written_bytes() const { return file_.written_bytes(); }
  const std::optional<std::string>& error() const { return file_.error(); }
  // How often the beginning was dropped.
  std::uint64_t rotations() const { return rotations_; }
  // The file is longer than it should be: what is alive and what the events name take more.
  bool is_over_limit() const { return limits_.most_bytes != 0 && file_.written_bytes() > limits_.most_bytes; }

 private:
  struct written {
    std::size_t modules = 0, locations = 0, stacks = 0, threads = 0;
    record::live_set live;
    process_totals totals;
    std::optional<std::uint64_t> end_bytes;  // where its end stands in the file
    bool is_dropped = false;                 // it had ended before what is kept
  };
  struct round {
    std::uint64_t position_bytes = 0;
    std::uint64_t time_ns = 0;  // when it was written
  };
  void write_dictionary(std::uint32_t number, const process_record& process);
  void put(record::block_kind kind, std::uint32_t process, std::span<const std::uint8_t> payload);
  void keep_short(std::uint64_t coming_bytes);
  void write_round();
  bool is_round_due() const;
  void drop_before(const round& cut);
  // A recording that is kept short has no totals: they would be of what is not there any more.
  bool has_totals() const { return limits_.most_bytes == 0 && limits_.last_ns == 0; }
  std::vector<std::uint8_t> notice(const round& cut) const;

  record::block_writer file_;
  record::event_encoder encoder_;
  recording_limits limits_;
  std::vector<written> written_;
  std::vector<round> rounds_;  // those in the file
  std::uint64_t last_round_end_bytes_ = 0;
  std::uint64_t last_round_bytes_ = 0;
  std::uint64_t last_round_blocks_ = 0;   // that were alive, of all processes
  std::uint64_t events_since_round_ = 0;  // likewise
  std::uint64_t next_cut_bytes_ = 0;      // below it, the file is not cut again: the last cut did not help
  std::uint64_t rotations_ = 0;
};

}  // namespace tenure::collect
