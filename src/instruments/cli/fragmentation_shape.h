// The shape that both answers of `tenure fragmentation` have, that of a heap as it is and that of a recording: what the
// heap consists of, line by line, tables of call sites and of size classes, and the processes that are left out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/cli/json_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

// One of the parts of which a heap is the sum.
struct heap_part {
  const char* code;
  const char* text;
  std::uint64_t bytes;
};

std::string share_text(std::uint64_t part, std::uint64_t whole);
// Those that are something, with their share of `whole`.
std::string parts_text(std::span<const heap_part> parts, std::uint64_t whole);
std::string left_out_text(std::size_t processes);

// Of classes with `span_bytes`: those with most of it, at most `top`.
template <class Class>
std::vector<const Class*> with_most_memory(const std::vector<Class>& classes, std::size_t top) {
  std::vector<const Class*> shown;
  for (const Class& one : classes)
    if (one.span_bytes != 0) shown.push_back(&one);
  std::stable_sort(shown.begin(), shown.end(),
                   [](const Class* a, const Class* b) { return a->span_bytes > b->span_bytes; });
  if (shown.size() > top) shown.resize(top);
  return shown;
}

// What requested bytes leave over in blocks that are larger.
constexpr std::uint64_t left_over_bytes(std::uint64_t usable_bytes, std::uint64_t requested_bytes) {
  return usable_bytes - std::min(usable_bytes, requested_bytes);
}

void write_number(json_writer& json, std::string_view name, std::uint64_t value);
void write_parts(json_writer& json, std::span<const heap_part> parts);

}  // namespace tenure::cli
