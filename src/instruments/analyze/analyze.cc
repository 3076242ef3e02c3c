#include "instruments/analyze/analyze.h"

#include <algorithm>
#include <utility>

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/findings.h"
#include "instruments/analyze/grouping.h"
#include "instruments/analyze/memory_parts.h"
#include "instruments/analyze/user_frame.h"

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

void make_timeline(process_profile& profile, const replay& course) {
  const auto& points = profile.record.resident;
  const std::size_t stride = points.size() / timeline_limit + 1;
  for (std::size_t index = 0; index < points.size(); index += stride)
    profile.timeline.push_back(
        {points[index].time_ns, points[index].resident_bytes, live_bytes_at(course, points[index].time_ns)});
}

process_profile analyze_process(collect::process_record&& record, symbols::symbolizer& symbolizer,
                                const analyze_options& options) {
  process_profile result;
  result.record = std::move(record);
  const std::vector<collect::sample>& samples = result.record.samples;
  const replay course = replay_samples(samples);
  result.live_peak_time_ns = course.peak_time_ns;

  frame_resolver frames(result, symbolizer);
  group_sites(result, course, frames);
  const auto whole = aggregate(samples, course, result.record.end_ns, 1, [](std::size_t) { return 0u; });
  result.allocated = whole[0].allocated;
  result.live_at_peak = whole[0].live_at_peak;
  result.live_at_exit = whole[0].live_at_exit;
  result.lifetimes = whole[0].lifetimes;

  find_peak_resident(result);
  make_timeline(result, course);
  if (!result.record.maps.empty()) {
    const collect::memory_map& map = result.record.maps.back();
    result.memory_at_peak = break_down_memory(map, live_amount_at(samples, map.time_ns));
  }
  if (result.record.has_exit_map) {
    const collect::memory_map& map = result.record.exit_map;
    result.memory_at_exit = break_down_memory(map, live_amount_at(samples, map.time_ns));
  }
  if (options.resolve_all_frames) frames.resolve_all();
  result.findings = find_all(result);
  return result;
}

// The last image of the direct child: what the command became.
std::uint32_t main_process_of(const profile& of) {
  std::uint32_t result = no_index;
  for (std::uint32_t index = 0; index < of.processes.size(); ++index)
    if (of.processes[index].record.pid == of.run.child_pid) result = index;
  return result;
}

}  // namespace

profile analyze(collect::recording&& recording, symbols::symbolizer& symbolizer, const analyze_options& options) {
  profile result;
  std::vector<collect::process_record> records = std::move(recording.processes);
  result.run = std::move(recording);
  result.run.processes.clear();
  for (collect::process_record& record : records)
    result.processes.push_back(analyze_process(std::move(record), symbolizer, options));
  result.main_process = main_process_of(result);
  result.symbol_notes = symbolizer.notes();
  return result;
}

}  // namespace tenure::analyze
