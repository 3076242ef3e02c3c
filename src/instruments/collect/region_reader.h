// Region reader: one program's region file, mapped, checked and read.
//
// Nothing in the file is trusted: its size is held against the layout before it is mapped, each length against its
// place before it is used, and a file that is cut short later reads as zeroes (fault_guard.h).
#pragma once

#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/collect/event_decoder.h"
#include "instruments/collect/fault_guard.h"
#include "instruments/collect/recording.h"
#include "wire/ring_reader.h"

namespace tenure::collect {

// "4711.2.region": process id and generation.
struct region_name {
  std::uint32_t pid = 0;
  std::uint32_t generation = 0;
};
std::optional<region_name> parse_region_name(std::string_view file_name);

class region_reader {
 public:
  // Null while the program is still making the file; an error when it can never become a region.
  static std::expected<std::unique_ptr<region_reader>, std::string> open(const std::filesystem::path& path);
  ~region_reader();
  region_reader(const region_reader&) = delete;
  region_reader& operator=(const region_reader&) = delete;

  // Who the process is: identity, command line, executable. From the header, checked.
  void read_identity(process_record& into) const;
  // Takes what the ring holds, at most `event_limit` events. `hole::skip` once the process is gone.
  std::size_t drain(event_decoder& decoder, wire::hole at_hole, std::size_t event_limit);
  // Counters and losses as they stand.
  void read_state(process_record& into) const;
  // The program's own copy of smaps at exit, if it took one.
  std::optional<memory_map> read_exit_map() const;

  wire::heap_statistics statistics() const;
  // The ledger as it stands. Contents that make no sense are cut to what does.
  std::vector<account> accounts() const;
  // What lies in the accounts that are open; its stacks are the decoder's, whose record it becomes part of.
  void read_contents(event_decoder& decoder, process_record& into) const;
  bool has_exited() const;             // the program's last destructor ran
  std::uint64_t exit_time_ns() const;  // 0 until then
  std::uint64_t exit_resident_bytes() const;
  double ring_fill() const;  // share of the ring that waits to be read
  std::uint64_t region_resident_bytes() const;
  void set_sample_interval_bytes(std::uint64_t bytes);
  std::uint64_t sample_interval_bytes() const;
  // Of an attached process (wire/bell.h): that somebody reads, that the copies of its counters are wanted, and that it
  // is to leave; whether it has.
  void show_reader(std::uint64_t now_ns);
  void ask_for_copy();
  void ask_to_leave();
  bool has_left() const;
  bool was_cut_short() const { return guard_.has_faulted(); }
  bool is_corrupt() const { return ring_.losses().corrupt; }

 private:
  region_reader(int file, std::byte* memory, fault_guard guard);
  wire::region_header header() const;
  wire::control_page& control() const;
  std::string_view text(std::uint64_t offset_bytes, std::uint64_t length_bytes, std::uint64_t capacity_bytes) const;

  int file_;
  std::byte* memory_;
  fault_guard guard_;
  wire::ring_reader ring_;
};

}  // namespace tenure::collect
