#include "instruments/analyze/course.h"

#include <algorithm>

#include "instruments/analyze/memory_parts.h"

namespace tenure::analyze {
namespace {

constexpr std::size_t timeline_limit = 2000;

void find_peak_resident(process_profile& profile) {
  const auto consider = [&](std::uint64_t time_ns, std::uint64_t bytes) {
    if (bytes <= profile.peak_resident_bytes) return;
    profile.peak_resident_bytes = bytes;
    profile.peak_resident_time_ns = time_ns;
  };
  for (const collect::resident_point& point : profile.record.resident) consider(point.time_ns, point.resident_bytes);
  for (const collect::memory_map& map : profile.record.maps) consider(map.time_ns, map.resident_bytes);
}

// RSS about a moment: the greater of what was read before and after it.
std::uint64_t resident_about(const collect::process_record& record, std::uint64_t time_ns) {
  const auto& points = record.resident;
  const auto after = std::upper_bound(points.begin(), points.end(), time_ns,
                                      [](std::uint64_t time, const auto& point) { return time < point.time_ns; });
  return std::max(after == points.end() ? 0 : after->resident_bytes,
                  after == points.begin() ? 0 : std::prev(after)->resident_bytes);
}

// What the heap then holds free was live at the peak, and is no waste of it.
bool follows_frees(const process_profile& profile, const memory_breakdown& memory, const amount& live) {
  if (memory.time_ns <= profile.live_peak_time_ns) return false;
  // Of a process that is mostly something else, the heap explains nothing.
  if (profile.live_at_peak.bytes.value < 0.1 * static_cast<double>(memory.resident_bytes)) return false;
  // A third of the heap that is free is told as a finding; who reads the mappings meets the frees at any point.
  const bool is_far_below = live.bytes.value < 0.75 * profile.live_at_peak.bytes.value;
  const double resident_at_live_peak = static_cast<double>(resident_about(profile.record, profile.live_peak_time_ns));
  return is_far_below && resident_at_live_peak >= 0.8 * static_cast<double>(memory.resident_bytes);
}

std::size_t timeline_stride(const collect::process_record& record) {
  return record.resident.size() / timeline_limit + 1;
}

// The end itself is when everything goes: the moment before it is meant.
std::uint64_t late_moment(const collect::process_record& record, std::size_t index) {
  const std::uint64_t duration_ns = record.end_ns > record.start_ns ? record.end_ns - record.start_ns : 0;
  return record.start_ns + duration_ns * (index + 2) / 4 - (index == 2 ? 1 : 0);
}

}  // namespace

std::vector<std::uint64_t> moments_of(const collect::process_record& record) {
  std::vector<std::uint64_t> moments;
  for (std::size_t index = 0; index < record.resident.size(); index += timeline_stride(record))
    moments.push_back(record.resident[index].time_ns);
  if (!record.maps.empty()) moments.push_back(record.maps.back().time_ns);
  if (record.has_exit_map) moments.push_back(record.exit_map.time_ns);
  for (std::size_t index = 0; index < 3; ++index) moments.push_back(late_moment(record, index));
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  return moments;
}

void add_course(process_profile& profile, const live_course& live) {
  find_peak_resident(profile);
  const collect::process_record& record = profile.record;
  for (std::size_t index = 0; index < record.resident.size(); index += timeline_stride(record)) {
    const collect::resident_point& point = record.resident[index];
    profile.timeline.push_back({point.time_ns, point.resident_bytes, live.bytes_at(point.time_ns)});
  }
  if (!record.maps.empty()) {
    const amount live_then = live.amount_at(record.maps.back().time_ns);
    profile.memory_at_peak = break_down_memory(record.maps.back(), live_then);
    profile.memory_at_peak->follows_frees = follows_frees(profile, *profile.memory_at_peak, live_then);
  }
  if (record.has_exit_map)
    profile.memory_at_exit = break_down_memory(record.exit_map, live.amount_at(record.exit_map.time_ns));
  for (std::size_t index = 0; index < profile.live_late.size(); ++index)
    profile.live_late[index] = live.amount_at(late_moment(record, index));
}

}  // namespace tenure::analyze
