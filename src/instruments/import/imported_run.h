// Imported run: what another tool says of a program, put into a recording piece by piece. One process; its places have
// names and no addresses of ours.
//
//   places ──► stacks ──► allocations and frees, in order of time ──► events of the recording
//   names  ──────────────────────────────────────────────────────► at its end
//
// Memory grows with what is distinct and with what is alive at once, as it does where a recording is read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "instruments/collect/recording_writer.h"

namespace tenure::importing {

class imported_run {
 public:
  explicit imported_run(collect::recording_writer& writer);
  imported_run(const imported_run&) = delete;
  imported_run& operator=(const imported_run&) = delete;

  // Before the first event.
  void set_source(const collect::recording_source& source) { source_ = source; }
  void set_command(std::vector<std::string> words) { process_.command_line = std::move(words); }
  void set_executable(const std::string& path) { process_.executable = path; }
  void set_pid(std::uint32_t pid) { process_.pid = pid; }
  void add_note(std::string sentence) { notes_.push_back(std::move(sentence)); }

  // Numbers from 0 on; the same file at the same place has one.
  std::uint32_t add_module(symbols::module one);
  // Of frames there is one at least.
  std::uint32_t add_location(std::uint32_t module, std::uint64_t address, const std::vector<symbols::frame>& frames);
  std::uint32_t add_stack(std::vector<std::uint32_t> locations, collect::stack_end end);

  // The slot that the block takes.
  std::uint32_t allocate(std::uint64_t time_ns, std::uint32_t stack, std::uint64_t bytes);
  void free(std::uint64_t time_ns, std::uint32_t slot);
  void free_of_unknown(std::uint64_t time_ns);

  // Of what is told as sums and not block by block; of one stack they add up.
  void add_sum(std::uint32_t stack, const collect::stack_sum& sum);

  // What the tool has told is over. False when the recording could not be written: its writer says why.
  bool finish(std::uint64_t end_ns);

  const std::string& tool() const { return source_.tool; }
  std::uint64_t allocations() const { return allocations_; }
  bool tells_sums() const { return !sums_.empty(); }
  std::uint64_t live_bytes() const { return live_bytes_; }  // of sums
  std::uint64_t frees() const { return frees_; }
  std::size_t stacks() const { return process_.stacks.size(); }
  bool has_failed() const { return writer_.error().has_value(); }

 private:
  void begin();
  void flush();
  void push(const record::event& one);

  collect::recording_writer& writer_;
  collect::recording_source source_;
  collect::process_record process_;
  collect::names_writer names_;
  std::vector<std::uint32_t> answers_;                                      // by location
  std::map<std::pair<std::string, std::uint64_t>, std::uint32_t> modules_;  // by path and begin
  std::vector<std::string> notes_;
  std::uint32_t number_ = 0;  // of the process in the recording; 0: it has not begun
  record::slot_table slots_;
  std::vector<record::event> events_;
  std::vector<collect::stack_sum> sums_;  // by stack
  std::uint64_t allocations_ = 0, frees_ = 0, live_bytes_ = 0;
};

}  // namespace tenure::importing
