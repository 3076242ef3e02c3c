// Trace reader: from the bytes of a file, in whatever pieces they come, to a trace.
//
//   oracle_general   libCacheSim's binary: records of 24 bytes, little-endian
//                    [ time u32 | object u64 | size u32 | number of the next request for it, or -1  i64 ]
//   csv              csv_line.h
//   integers         one number a line; lines that begin with # are left out
//   arc              "first count ...": `count` blocks from `first` on
//   lirs             as integers, with lines of * between
//
// What it is told it believes of nobody: a line or a record that cannot be is an error that names its place.
#pragma once

#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "instruments/replay/csv_line.h"
#include "instruments/replay/trace.h"

namespace tenure::replay {

struct reader_options {
  std::optional<trace_format> format{};  // without one it is recognised
  std::optional<csv_columns> columns{};
  std::uint64_t most_requests = std::numeric_limits<std::uint64_t>::max();  // what comes after is not read
};

class trace_reader {
 public:
  // `name` is what errors call the file.
  trace_reader(std::string name, reader_options options);

  // The error is one sentence.
  std::expected<void, std::string> feed(std::string_view bytes);
  std::expected<trace, std::string> finish();
  // As many requests as were wanted.
  bool is_full() const noexcept { return trace_.requests.size() >= options_.most_requests; }
  std::uint64_t requests() const noexcept { return trace_.requests.size(); }

 private:
  using outcome = std::expected<void, std::string>;

  outcome recognise();
  outcome take(bool is_end);
  outcome take_records(bool is_end);
  outcome take_lines(bool is_end);
  outcome take_line(std::string_view line);
  outcome take_integer(std::string_view line);
  outcome take_blocks(std::string_view line);
  std::unexpected<std::string> wrong_line(std::string_view what) const;
  void add(request one);

  std::string name_;
  reader_options options_;
  csv_lines csv_;
  trace trace_;
  std::string pending_;  // what is no whole record or line yet
  bool is_recognised_ = false;
  std::uint64_t lines_ = 0;
  std::uint64_t records_ = 0;
};

// Reads a file, or standard input for "-".
std::expected<trace, std::string> read_trace(const std::string& path, const reader_options& options);

}  // namespace tenure::replay
