// CSV line: the object and its size in a line of a table.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/replay/trace.h"

namespace tenure::replay {

// Counted from 1; 0: there is none.
struct csv_columns {
  std::size_t identity = 0;
  std::size_t size = 0;
};

// "id=2,size=3" or "id=1"; the error is one sentence.
std::expected<csv_columns, std::string> parse_columns(std::string_view text);

class csv_lines {
 public:
  // Without `columns` the first line says which they are, by its names or by how many there are: one is the object, two
  // are object and size, more begin with a time as libCacheSim's do.
  explicit csv_lines(std::optional<csv_columns> columns) : columns_(columns.value_or(csv_columns{})) {}

  bool has_sizes() const noexcept { return columns_.size != 0; }
  // Absent for the line of names. The error says what is wrong with the line.
  std::expected<std::optional<request>, std::string> take(std::string_view line);

 private:
  bool begin(const std::vector<std::string_view>& fields);

  csv_columns columns_;
  char delimiter_ = ',';
  bool has_begun_ = false;
  std::vector<std::string_view> fields_;
};

// All of `text` as a number; absent when it is none, or too large.
std::optional<std::uint64_t> number_in(std::string_view text);

}  // namespace tenure::replay
