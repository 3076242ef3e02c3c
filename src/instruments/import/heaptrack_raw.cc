#include "instruments/import/heaptrack_raw.h"

#include <fmt/format.h>

#include <algorithm>

#include "instruments/import/heaptrack_limits.h"

namespace tenure::importing {

bool heaptrack_raw::take_program(std::string_view path) {
  program_ = path;
  into_.set_executable(program_);
  return !program_.empty();
}

bool heaptrack_raw::take_module(std::string_view rest, bool has_length) {
  heaptrack_numbers from(rest);
  const std::uint64_t length = has_length ? from.next() : std::min(rest.find(' '), rest.size());
  const std::string_view name = from.text(length);
  if (!from.ok()) return false;
  if (name == "-") {
    modules_.clear();
    segments_.clear();
    places_.clear();
    return from.is_at_end();
  }
  symbols::module one{.path = name == "x" ? program_ : std::string(name), .bias = from.next()};
  one.begin = ~0ull;
  const std::size_t first = segments_.size();
  while (from.ok() && !from.is_at_end()) {
    const std::uint64_t begin = one.bias + from.next();
    const std::uint64_t bytes = from.next();
    if (begin + bytes < begin || segments_.size() == heaptrack_segment_limit) return false;
    segments_.push_back({begin, begin + bytes, static_cast<std::uint32_t>(modules_.size())});
    one.begin = std::min(one.begin, begin);
    one.end = std::max(one.end, begin + bytes);
  }
  if (!from.ok()) return false;
  if (segments_.size() == first) one.begin = one.end = one.bias;
  modules_.push_back(std::move(one));
  std::sort(segments_.begin(), segments_.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  return true;
}

const heaptrack_raw::segment* heaptrack_raw::segment_at(std::uint64_t address) const {
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), address,
                                      [](std::uint64_t at, const segment& one) { return at < one.begin; });
  if (after == segments_.begin()) return nullptr;
  const segment& found = *std::prev(after);
  return address < found.end ? &found : nullptr;
}

std::uint32_t heaptrack_raw::location_of(std::uint64_t address) {
  const auto [place, is_new] = places_.try_emplace(address, 0);
  if (!is_new) return place->second;
  std::vector<symbols::frame> frames;
  std::uint32_t module = collect::no_index;
  // A return address may be that behind the last instruction of a segment.
  if (const segment* const home = segment_at(address - 1)) {
    frames = symbolizer_.resolve(modules_[home->module], address);
    module = into_.add_module(modules_[home->module]);
  } else {
    frames.push_back({.function = fmt::format("0x{:x}", address)});
  }
  for (const symbols::frame& one : frames) name_bytes_ += one.function.size() + one.file.size();
  return place->second = into_.add_location(module, address, frames);
}

bool heaptrack_raw::take_trace(heaptrack_numbers from) {
  const std::uint64_t address = from.next();
  const std::uint64_t parent = from.next_below(traces_.size());
  if (!from.ok() || !from.is_at_end()) return false;
  traces_.add(location_of(address), static_cast<std::uint32_t>(parent));
  return name_bytes_ <= heaptrack_name_limit_bytes;
}

bool heaptrack_raw::take_allocation(heaptrack_numbers from, std::uint64_t time_ns) {
  const std::uint64_t bytes = from.next_below(heaptrack_block_limit_bytes);
  const std::uint64_t trace = from.next_below(traces_.size());
  const std::uint64_t address = from.next();
  if (!from.ok() || !from.is_at_end()) return false;
  allocated_bytes_ += bytes;
  const std::uint32_t stack = traces_.stack_of(trace);
  if (traces_.are_too_many() || allocated_bytes_ > heaptrack_allocated_limit_bytes) return false;
  const auto [place, is_new] = live_.try_emplace(address, 0);
  // What lay there before has gone, or nobody could have got its address: heaptrack did not see it go.
  if (!is_new) into_.free(time_ns, place->second);
  place->second = into_.allocate(time_ns, stack, bytes);
  return true;
}

bool heaptrack_raw::take_free(heaptrack_numbers from, std::uint64_t time_ns) {
  const std::uint64_t address = from.next();
  if (!from.ok() || !from.is_at_end()) return false;
  const auto found = live_.find(address);
  if (found == live_.end()) {
    into_.free_of_unknown(time_ns);
  } else {
    into_.free(time_ns, found->second);
    live_.erase(found);
  }
  return true;
}

}  // namespace tenure::importing
