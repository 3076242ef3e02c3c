// Recognition: which format a trace is in, from its first bytes.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "instruments/replay/trace.h"

namespace tenure::replay {

// `head`: the beginning of the file, or all of it. The error is what is wrong with it, without a name before.
std::expected<trace_format, std::string> recognise_format(std::string_view head);

inline constexpr std::size_t oracle_record_bytes = 24;

struct oracle_record {
  std::uint32_t time = 0;
  std::uint64_t object = 0;
  std::uint32_t size = 0;
  std::int64_t next = -1;
};
oracle_record oracle_record_in(std::string_view bytes) noexcept;

// Whether record number `place`, counted from 0, may say so of the next request for its object.
bool is_possible_next(const oracle_record& one, std::uint64_t place) noexcept;

}  // namespace tenure::replay
