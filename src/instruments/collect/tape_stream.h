// Tape stream: one process's tape (wire/tape.h) into the events of its recording, in order of time.
//
//   rings ──take()──► words ──┐
//   modules (region) ─────────┴─digest()──► records up to a cut ──► by time ──► events with slots ──► recording_writer
//
// A cut is a moment before the rings are read. Whatever was told before it is there when they have been: so everything
// up to the cut can be put in order and written, and the rest waits for the next one. The order is that of the
// processors' common clock; in it the free of an address comes before its next allocation.
//
// What is alive is kept by address, so that a free becomes the slot of its allocation. Memory grows with what is alive
// at once and with the number of stacks, not with time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "instruments/collect/event_decoder.h"
#include "instruments/collect/fault_guard.h"
#include "instruments/collect/live_addresses.h"
#include "instruments/collect/recording_writer.h"
#include "instruments/record/slot_table.h"
#include "wire/tape_reader.h"

namespace tenure::collect {

// One moment by two clocks.
struct clock_pair {
  std::uint64_t ticks = 0, ns = 0;
};

class tape_stream {
 public:
  // Null while there is no complete tape. `process` and `decoder` belong together and outlive the stream.
  static std::unique_ptr<tape_stream> open(const std::filesystem::path& path, process_record& process,
                                           event_decoder& decoder, recording_writer& writer);
  ~tape_stream();
  tape_stream(const tape_stream&) = delete;
  tape_stream& operator=(const tape_stream&) = delete;

  // Copies what the rings hold and gives their places back. The greatest share of a ring that was in use.
  double take();
  // After the region's ring was drained, so that the modules of all stacks are known. `is_last`: the process is gone.
  void digest(bool is_last);

  // The block that lives at the address, as far as was digested.
  std::optional<record::event> block_at(std::uint64_t address) const;

  std::uint32_t number() const { return number_; }
  std::uint64_t events() const { return event_count_; }  // that were digested
  tape_losses losses() const;

 private:
  struct told_ring {
    wire::tape_ring_reader reader;
    std::vector<std::uint64_t> words;
    std::size_t read_words = 0;               // that were decoded
    std::size_t expected_words = 0;           // whose blocks are on their way from memory
    wire::tape_record next = {};              // the last of these
    std::uint32_t thread = no_index;          // who tells
    wire::tape_loss_counts lost_before = {};  // by the threads that told before
    bool is_corrupt = false;
  };

  tape_stream(std::byte* memory, fault_guard guard, process_record& process, event_decoder& decoder,
              recording_writer& writer);
  wire::tape_header& header() const { return *reinterpret_cast<wire::tape_header*>(memory_); }
  const wire::stack_node* nodes() const;
  bool advance(told_ring& ring, std::uint64_t cut_ticks);
  void change_thread(told_ring& ring);
  void look_ahead(told_ring& ring) const;
  void add(const told_ring& told);
  void add_free(std::uint64_t address, std::uint32_t thread, std::uint32_t stack, std::uint64_t time_ns);
  void add_free_range(const told_ring& told, std::uint32_t stack, std::uint64_t time_ns);
  std::uint32_t stack_of(std::uint32_t number) {
    if (number < stack_by_node_.size() && stack_by_node_[number] != no_index) return stack_by_node_[number];
    return new_stack_of(number);
  }
  std::uint32_t new_stack_of(std::uint32_t number);
  std::uint32_t location_of(std::uint32_t number, const wire::stack_node& node);
  std::uint64_t time_of(std::uint64_t ticks) const;
  void flush();

  std::byte* memory_;
  fault_guard guard_;
  process_record& process_;
  event_decoder& decoder_;
  recording_writer& writer_;
  std::uint32_t number_;  // of the process in the recording
  std::vector<std::unique_ptr<told_ring>> rings_;
  clock_pair last_cut_;
  clock_pair cut_;
  double ns_per_tick_ = 0;              // between the two; 0: nothing can be said of it
  std::vector<std::uint32_t> telling_;  // rings with a record up to the cut, as a heap
  std::vector<record::event> events_;
  std::uint64_t last_flush_ns_ = 0;
  live_addresses live_;
  // By the number of a node; no_index: not seen yet. Stacks share their outer frames, so those were located before.
  std::vector<std::uint32_t> stack_by_node_, location_by_node_;
  std::vector<std::uint32_t> chain_;  // while a stack is put together
  record::slot_table slots_;
  std::vector<thread_losses> lost_by_thread_;  // by thread's number; by those whose rings others have now
  std::uint64_t refused_records_ = 0;
  std::uint64_t event_count_ = 0;
};

}  // namespace tenure::collect
