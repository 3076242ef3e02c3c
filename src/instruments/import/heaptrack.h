// heaptrack's data, as heaptrack_interpret leaves them (versions 1 to 3): a line a thing, numbers in hexadecimal.
//
//   v 10400 3                 version of heaptrack, of the file
//   X ./shop --fast           command line
//   s 4 main                  text 1, 2, ... (before version 3 without its length)
//   i 55af 1 4 5 2a 6 5 1f    place 1, 2, ...: address, module, then function, file and line, the innermost first
//   t 2 1                     trace 1, 2, ...: place, trace of its caller
//   a 40 2                    kind of block 0, 1, ...: bytes, trace
//   + 0    - 0                one of that kind came, one went
//   c 10a                     milliseconds since the start
//
// Raw data are told line by line in heaptrack_raw.h.
//
// Which of several blocks of a kind went is not told, nor are threads. So that there is one answer, the last one that
// came goes first: no count, no sum and no peak depends on it, but lives do.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/import/heaptrack_numbers.h"
#include "instruments/import/heaptrack_raw.h"
#include "instruments/import/heaptrack_traces.h"
#include "instruments/import/imported_run.h"

namespace tenure::importing {

class heaptrack_reader {
 public:
  // The symbolizer is asked for names where the data have none.
  heaptrack_reader(imported_run& into, symbols::symbolizer& symbolizer)
      : into_(into), symbolizer_(symbolizer), traces_(into) {}

  // Whether a file that begins so may be heaptrack's.
  static bool recognises(std::string_view begin) { return begin.starts_with("v "); }

  // Bytes in whatever pieces they come. The error is a clause: "line 3 makes no sense".
  std::expected<void, std::string> feed(std::string_view bytes);
  // After the last of them. False when the recording could not be written.
  std::expected<bool, std::string> finish();

 private:
  using outcome = std::expected<void, std::string>;
  struct block_kind {
    std::uint64_t bytes = 0;
    std::uint32_t stack = 0;           // of the recording
    std::vector<std::uint32_t> slots;  // of those that live
  };

  outcome take(std::string_view line);
  outcome take_raw(heaptrack_raw& raw, char letter, std::string_view rest);
  bool ends_command(char letter, std::string_view rest) const;
  outcome take_change(char letter, std::uint64_t kind);
  outcome take_version(heaptrack_numbers from);
  outcome take_text(std::string_view text);
  outcome take_place(heaptrack_numbers from);
  outcome take_trace(heaptrack_numbers from);
  outcome take_kind(heaptrack_numbers from);
  outcome take_time(heaptrack_numbers from);
  std::unexpected<std::string> nonsense(std::string_view why = {}) const;

  imported_run& into_;
  symbols::symbolizer& symbolizer_;
  collect::recording_source source_;
  std::optional<heaptrack_raw> raw_;  // they are raw data
  std::string pending_;               // what is no whole line yet
  std::uint64_t lines_ = 0;
  std::uint64_t version_ = 0;  // of the file; 0: not told yet
  std::string command_;
  std::uint64_t allocated_bytes_ = 0;
  std::size_t name_bytes_ = 0;    // of all places
  bool is_command_open_ = false;  // its line may have a line feed within
  std::vector<std::string> texts_ = {""};
  std::vector<std::uint32_t> places_ = {0};  // locations of the recording; none is 0
  heaptrack_traces traces_;
  std::vector<block_kind> kinds_;
  std::uint64_t time_ns_ = 0;
};

}  // namespace tenure::importing
