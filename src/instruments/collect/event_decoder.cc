#include "instruments/collect/event_decoder.h"

#include <algorithm>
#include <cstring>

#include "wire/ring_reader.h"

namespace tenure::collect {
namespace {

// Nothing a user program can map lies above this on the machines we know.
constexpr std::uint64_t address_limit = 1ull << 56;
constexpr std::uint64_t bytes_limit = 1ull << 48;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
  return hash ^ (hash >> 32);
}

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const std::uint8_t byte : bytes) {
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

}  // namespace

std::size_t event_decoder::stack_key_hash::operator()(const stack_key& key) const noexcept {
  std::uint64_t hash = key.end;
  for (const std::uint64_t frame : key.frames) hash = mix(hash, frame);
  return hash;
}

std::size_t event_decoder::location_hash::operator()(const location& one) const noexcept {
  return mix(one.module, one.address);
}

void event_decoder::decode(std::span<const std::byte> event) {
  bool accepted = false;
  switch (wire::kind_of(event)) {
    case wire::event_kind::allocation_sample:
    case wire::event_kind::inherited_sample:
      accepted = decode_allocation(event);
      break;
    case wire::event_kind::free_sample:
      accepted = decode_free(event);
      break;
    case wire::event_kind::module:
      accepted = decode_module(event);
      break;
    case wire::event_kind::thread:
      accepted = decode_thread(event);
      break;
    case wire::event_kind::none:
    case wire::event_kind::padding:
      break;
  }
  if (accepted) {
    ++decoded_events_;
  } else {
    ++record_.refused_events;
  }
}

bool event_decoder::decode_allocation(std::span<const std::byte> bytes) {
  wire::allocation_sample_event event;
  std::span<const std::uint64_t> frames;
  if (!wire::decode(bytes, &event, &frames) || event.usable_bytes == 0 || event.usable_bytes > bytes_limit ||
      event.requested_bytes > event.usable_bytes || event.interval_bytes > bytes_limit || event.truncated > 2 ||
      event.entry > static_cast<std::uint32_t>(wire::allocation_entry::named_heap))
    return false;
  if (!live_.emplace(event.sample_id, static_cast<std::uint32_t>(record_.samples.size())).second) return false;
  sample one;
  one.id = event.sample_id;
  one.time_ns = std::max(event.time_ns, record_.start_ns);
  one.requested_bytes = event.requested_bytes;
  one.usable_bytes = event.usable_bytes;
  one.interval_bytes = event.interval_bytes;
  one.entry = static_cast<wire::allocation_entry>(event.entry);
  one.is_inherited = wire::kind_of(bytes) == wire::event_kind::inherited_sample;
  one.stack = stack_index(frames, event.truncated);
  one.thread = thread_index(event.thread_id);
  record_.samples.push_back(one);
  return true;
}

bool event_decoder::decode_free(std::span<const std::byte> bytes) {
  wire::free_sample_event event;
  std::span<const std::uint64_t> frames;
  if (!wire::decode(bytes, &event, &frames)) return false;
  const auto found = live_.find(event.sample_id);
  if (found == live_.end()) {
    ++record_.unmatched_frees;
    return true;
  }
  sample& one = record_.samples[found->second];
  live_.erase(found);
  // Clocks of two threads may differ by the order in which they were read.
  one.free_time_ns = std::min(std::max(event.time_ns, one.time_ns), never - 1);
  one.free_stack = stack_index(frames, 0);
  one.free_thread = thread_index(event.thread_id);
  return true;
}

bool event_decoder::decode_module(std::span<const std::byte> bytes) {
  wire::module_event event;
  std::span<const char> path;
  if (!wire::decode(bytes, &event, &path) || event.begin >= event.end || event.end > address_limit) return false;
  module one;
  one.begin = event.begin;
  one.end = event.end;
  one.bias = event.bias;
  one.build_id = hexadecimal(std::span(event.build_id).first(event.build_id_bytes));
  one.path.assign(path.data(), path.size());
  if (one.path.find('\0') != std::string::npos) return false;

  // What lay there before is gone; stacks from now on mean the new file.
  auto overlap = module_by_begin_.lower_bound(one.begin);
  if (overlap != module_by_begin_.begin() && record_.modules[std::prev(overlap)->second].end > one.begin) --overlap;
  while (overlap != module_by_begin_.end() && overlap->first < one.end) overlap = module_by_begin_.erase(overlap);
  module_by_begin_[one.begin] = static_cast<std::uint32_t>(record_.modules.size());
  record_.modules.push_back(std::move(one));
  raw_stacks_.clear();
  return true;
}

bool event_decoder::decode_thread(std::span<const std::byte> bytes) {
  wire::thread_event event;
  if (!wire::decode(bytes, &event)) return false;
  thread& one = record_.threads[thread_index(event.thread_id)];
  one.name.assign(event.name, ::strnlen(event.name, sizeof event.name));
  return true;
}

std::uint32_t event_decoder::stack_index(std::span<const std::uint64_t> frames, std::uint32_t end) {
  stack_key key{{frames.begin(), frames.end()}, end};
  if (const auto known = raw_stacks_.find(key); known != raw_stacks_.end()) return known->second;

  stack result;
  result.end = static_cast<stack_end>(end);
  stack_key by_location{{}, end};
  for (const std::uint64_t address : key.frames) {
    result.locations.push_back(location_index(address));
    by_location.frames.push_back(result.locations.back());
  }
  const auto [place, is_new] =
      stacks_.emplace(std::move(by_location), static_cast<std::uint32_t>(record_.stacks.size()));
  if (is_new) record_.stacks.push_back(std::move(result));
  raw_stacks_.emplace(std::move(key), place->second);
  return place->second;
}

std::uint32_t event_decoder::location_index(std::uint64_t address) {
  location one{no_index, address};
  auto after = module_by_begin_.upper_bound(address - 1);
  if (after != module_by_begin_.begin()) {
    const std::uint32_t candidate = std::prev(after)->second;
    if (address - 1 < record_.modules[candidate].end) one.module = candidate;
  }
  return intern(one);
}

std::uint32_t event_decoder::intern(const location& one) {
  const auto [place, is_new] = location_by_value_.emplace(one, static_cast<std::uint32_t>(record_.locations.size()));
  if (is_new) record_.locations.push_back(one);
  return place->second;
}

std::uint32_t event_decoder::locate(std::uint64_t address, std::uint32_t modules_told) {
  const std::uint32_t count = std::min(modules_told, static_cast<std::uint32_t>(record_.modules.size()));
  for (std::uint32_t index = count; index-- != 0;) {
    const module& one = record_.modules[index];
    if (address > one.begin && address - 1 < one.end) return intern({index, address});
  }
  return intern({no_index, address});
}

std::uint32_t event_decoder::stack_index_of(std::span<const std::uint32_t> locations, stack_end end) {
  stack_key key{{locations.begin(), locations.end()}, static_cast<std::uint32_t>(end)};
  const auto [place, is_new] = stacks_.emplace(std::move(key), static_cast<std::uint32_t>(record_.stacks.size()));
  if (is_new) record_.stacks.push_back({{locations.begin(), locations.end()}, end});
  return place->second;
}

std::uint32_t event_decoder::thread_index(std::uint32_t thread_id) {
  const auto [place, is_new] = thread_by_id_.emplace(thread_id, static_cast<std::uint32_t>(record_.threads.size()));
  if (is_new) record_.threads.push_back({thread_id, {}});
  return place->second;
}

}  // namespace tenure::collect
