// Recording writer: what is seen of a run, as it is seen, into the blocks of a recording (record/block_file.h).
//
//   run ─ process 1 ─ dictionary 1 ─ events 1 ─ process 2 ─ dictionary 1 ─ events 1 ─ ... ─ end 1 ─ run_end
//
// What events name (modules, locations, stacks, threads) is written before them, and only once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "instruments/collect/recording.h"
#include "instruments/record/block_file.h"
#include "instruments/record/event_block.h"

namespace tenure::collect {

// What was not told, by what is known of it.
struct tape_losses {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;  // requested, of those allocations
  std::uint64_t frees = 0;
  std::uint64_t frames = 0;           // of stacks for which there was no room
  std::uint64_t refused_records = 0;  // that made no sense
  std::uint64_t waits = 0;            // of threads for the reader
  std::uint64_t wait_ns = 0;
  bool is_corrupt = false;  // a ring or the tape itself could not be read further
};

class recording_writer {
 public:
  explicit recording_writer(record::block_writer&& file) : file_(std::move(file)) {}

  void begin_run(const recording& run, const std::vector<std::string>& command);
  // The number by which the process is called in the recording.
  std::uint32_t begin_process(const process_record& process);
  // Writes what the events name and has not been written yet, and then the events.
  void write_events(std::uint32_t number, const process_record& process, std::span<const record::event> events);
  void end_process(std::uint32_t number, const process_record& process, const tape_losses& losses);
  void end_run(const recording& run);

  std::uint64_t written_bytes() const { return file_.written_bytes(); }
  const std::optional<std::string>& error() const { return file_.error(); }

 private:
  struct written {
    std::size_t modules = 0, locations = 0, stacks = 0, threads = 0;
  };
  void write_dictionary(std::uint32_t number, const process_record& process);

  record::block_writer file_;
  std::vector<written> written_;
};

}  // namespace tenure::collect
