#include "instruments/analyze/analyze.h"

#include <algorithm>
#include <utility>

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/contents.h"
#include "instruments/analyze/course.h"
#include "instruments/analyze/findings.h"
#include "instruments/analyze/grouping.h"
#include "instruments/analyze/live_bounds.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

process_profile analyze_process(collect::process_record&& record, symbols::symbolizer& symbolizer,
                                const analyze_options& options, const share_function& progress) {
  process_profile result;
  result.record = std::move(record);
  const std::vector<collect::sample>& samples = result.record.samples;
  const replay course = replay_samples(samples);
  result.live_peak_time_ns = course.peak_time_ns;

  frame_resolver frames(result, symbolizer);
  group_sites(result, samples_of(result, course), frames, progress);
  const auto whole = aggregate(samples, course, result.record.end_ns, 1, [](std::size_t) { return 0u; });
  result.allocated = whole[0].allocated;
  result.inherited = whole[0].inherited;
  result.inherited_freed = whole[0].inherited_freed;
  result.live_at_peak = whole[0].live_at_peak;
  result.live_at_exit = whole[0].live_at_exit;
  result.lifetimes = whole[0].lifetimes;

  if (options.bounds_live) bound_live(result);
  const std::uint64_t most_bytes = result.bounds ? result.bounds->peak_bytes : collect::never;
  add_course(
      result,
      {.bytes_at =
           [&](std::uint64_t time_ns) {
             return std::min(live_bytes_at(course, time_ns), static_cast<double>(most_bytes));
           },
       .amount_at = [&](std::uint64_t time_ns) { return bounded(live_amount_at(samples, time_ns), most_bytes); }});
  result.contents = contents_of(result, frames);
  if (options.resolve_all_frames) frames.resolve_all();
  result.findings = find_all(result);
  return result;
}

}  // namespace

std::uint32_t main_process_of(const profile& of) {
  std::uint32_t result = no_index;
  for (std::uint32_t index = 0; index < of.processes.size(); ++index)
    if (of.processes[index].record.pid == of.run.child_pid) result = index;
  return result;
}

profile analyze(collect::recording&& recording, symbols::symbolizer& symbolizer, const analyze_options& options) {
  profile result;
  std::vector<collect::process_record> records = std::move(recording.processes);
  result.run = std::move(recording);
  result.run.processes.clear();
  for (collect::process_record& record : records) {
    const share_function progress = part_of(options.progress, "finding names", result.processes.size(), records.size());
    result.processes.push_back(analyze_process(std::move(record), symbolizer, options, progress));
  }
  result.main_process = main_process_of(result);
  result.symbol_notes = symbolizer.notes();
  return result;
}

}  // namespace tenure::analyze
