// Process watch: one process image from the moment its region appears until it is gone.
//
//   tick ──► drain the ring ──► resident bytes ──► at a new peak, and now and then: smaps and the heap's counters
//
// Reading smaps makes the kernel walk the program's page tables, so it is rationed: a new peak counts when it is a
// tenth above the last one that was read, or a hundredth when reading has been cheap so far.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "instruments/collect/process_files.h"
#include "instruments/collect/region_reader.h"
#include "instruments/collect/tape_stream.h"

namespace tenure::collect {

class process_watch {
 public:
  process_watch(std::unique_ptr<region_reader> reader, std::filesystem::path region, std::uint32_t generation);

  std::uint32_t pid() const { return record_.pid; }
  std::uint64_t start_ns() const { return record_.start_ns; }
  bool is_finished() const { return reader_ == nullptr; }

  // From now on, and from the beginning of its tape, the process is recorded.
  void record_to(recording_writer& writer) { writer_ = &writer; }

  // Empties the rings. The greatest share of one that was filled.
  double drain();
  // Reads the resident bytes and, if it is worth it, smaps. False when the process is gone.
  bool sample_memory(std::uint64_t now_ns, std::string& buffer, collector_cost& cost);
  // Of a process that is recorded, whose rings are looked at more often, not at each look.
  bool is_memory_due(std::uint64_t now_ns) const;
  // The last of everything; the region file is removed, its memory given back.
  void finish(process_end end, std::uint64_t time_ns);
  // While it still runs, at the end of the watching: smaps as they are now.
  void take_last_map(std::string& buffer, collector_cost& cost);
  // Of an attached process: that it is still read, and now and then that its counters are wanted; that it shall leave,
  // and whether it has, or is gone.
  void keep_attached(std::uint64_t now_ns, bool wants_copy);
  void ask_to_leave();
  bool has_left() const { return reader_ == nullptr || reader_->has_left() || reader_->has_exited(); }
  // A program that said it exits and is gone did so; one that is gone without a word was killed.
  // False when the process has become a program that did not open a region. `is_ours`: its number is known to be one
  // of this namespace. Reads /proc/PID/maps.
  bool is_still_itself(bool is_ours) const;
  // Whether the process that has its number now is this program. Reads /proc/PID/maps.
  bool has_mapped_region() const { return has_mapped(record_.pid, region_.string()); }
  // How far the answer to a scan is.
  scan_state look_for_scan() const;
  bool has_exited() const { return reader_ != nullptr && reader_->has_exited(); }

  process_record& record() { return record_; }
  // What is known at this moment, as if it were the end.
  process_record moment(std::uint64_t now_ns) const;

 private:
  void note_resident(std::uint64_t now_ns, std::uint64_t resident_bytes);
  void note_in_use(std::uint64_t resident_bytes);
  bool is_of_peak(const memory_map& map) const;
  bool is_map_due(std::uint64_t now_ns, std::uint64_t resident_bytes) const;
  void take_map(std::uint64_t now_ns, std::string& buffer, collector_cost& cost);
  void bound_samples();
  void forget_maps_of_another();
  double take_tape();
  void take_scan();
  void finish_tape();
  void tell_memory(const memory_map& map);
  void tell_last_memory(const std::optional<memory_map>& exit_map);
  void tell_counters(std::uint64_t now_ns, std::uint64_t resident_bytes);

  process_record record_;
  event_decoder decoder_;
  std::unique_ptr<region_reader> reader_;
  std::filesystem::path region_;
  recording_writer* writer_ = nullptr;
  std::unique_ptr<tape_stream> tape_;
  bool is_readable_ = false;          // /proc/PID means this process
  std::uint64_t peak_map_bytes_ = 0;  // resident bytes of the greatest map taken
  std::uint64_t most_in_use_bytes_ = 0;
  std::uint64_t resident_at_most_bytes_ = 0;  // greatest RSS while about as much was in use
  std::uint64_t last_sampled_ns_ = 0;
  std::uint64_t last_map_time_ns_ = 0;
  std::uint64_t last_told_ns_ = 0;  // of its memory, to the recording
  std::uint64_t events_told_then_ = 0;
  std::uint64_t map_cost_ns_ = 0;  // spent on maps of this process
  std::uint64_t last_map_cost_ns_ = 0;
  memory_map last_map_;  // the newest, for processes that leave none themselves
  std::size_t sample_limit_;
};

}  // namespace tenure::collect
