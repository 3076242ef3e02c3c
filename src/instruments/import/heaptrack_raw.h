// heaptrack's raw data, as it writes them within the program (heaptrack --raw): what heaptrack_interpret would read.
//
//   x b /tmp/shop             the program's file (before version 3 without its length)
//   m 1 -                     what was mapped is forgotten: all of it follows anew
//   m 1 x 55b774a26000 0 6c0 1000 221     a file, x the program's; where it was loaded, then each segment's address
//                                         in the file and its length
//   t 55b774a270a0 0          trace 1, 2, ...: return address, trace of its caller
//   + 1c 1 55b7ad0ba530       bytes, trace, address of a block that came
//   - 55b7ad0ba530            one that went
//
// Which block goes is told, so lives are known. Places have no names in it: they are looked up here, in the files that
// were mapped when the place was first told, where those are at hand.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "instruments/import/heaptrack_numbers.h"
#include "instruments/import/heaptrack_traces.h"
#include "instruments/import/imported_run.h"

namespace tenure::importing {

class heaptrack_raw {
 public:
  heaptrack_raw(imported_run& into, symbols::symbolizer& symbolizer)
      : into_(into), symbolizer_(symbolizer), traces_(into) {}

  // Lines by their first letter; false where they make no sense.
  bool take_program(std::string_view path);
  bool take_module(std::string_view rest, bool has_length);
  bool take_trace(heaptrack_numbers from);
  bool take_allocation(heaptrack_numbers from, std::uint64_t time_ns);
  bool take_free(heaptrack_numbers from, std::uint64_t time_ns);

 private:
  struct segment {
    std::uint64_t begin = 0, end = 0;
    std::uint32_t module = 0;  // which of modules_
  };
  std::uint32_t location_of(std::uint64_t address);
  const segment* segment_at(std::uint64_t address) const;

  imported_run& into_;
  symbols::symbolizer& symbolizer_;
  heaptrack_traces traces_;
  std::string program_;
  std::vector<symbols::module> modules_;  // as mapped now; likewise below
  std::vector<segment> segments_;
  std::unordered_map<std::uint64_t, std::uint32_t> places_;  // by address
  std::unordered_map<std::uint64_t, std::uint32_t> live_;    // slots by address
  std::uint64_t allocated_bytes_ = 0;
  std::size_t name_bytes_ = 0;  // of all places
};

}  // namespace tenure::importing
