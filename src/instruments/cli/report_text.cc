#include "instruments/cli/report_text.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <unordered_map>

#include "instruments/analyze/format.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/report_unwatched.h"

namespace tenure::cli {
namespace {

using analyze::format_bytes;
using analyze::format_count;
using analyze::format_duration;
using analyze::format_share;
using analyze::process_profile;

std::string size_of(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

std::string plural(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

const char* end_text(collect::process_end end) {
  switch (end) {
    case collect::process_end::running:
      return "still running";
    case collect::process_end::exited:
      return "exited";
    case collect::process_end::replaced:
      return "became another program";
    case collect::process_end::vanished:
      return "ended without its destructors (a signal, _exit or a crash)";
    case collect::process_end::killed:
      return "was killed by a signal";
    case collect::process_end::left:
      return "left by _exit, without its destructors";
    case collect::process_end::unwatched:
      return "became a program that is not watched";
  }
  return "";
}

bool says_something(const process_profile& process) {
  const bool is_passage = process.record.end == collect::process_end::replaced && !process.has_sites();
  return !is_passage;
}

std::string signal_text(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

std::string outcome(const analyze::profile& profile) {
  const collect::recording& run = profile.run;
  if (run.attached_pid != 0)
    return fmt::format("attached to process {} for {}", run.attached_pid, format_duration(run.end_ns - run.start_ns));
  const std::string how = run.exit_signal != 0 ? fmt::format("killed by {}", signal_text(run.exit_signal))
                                               : fmt::format("exit code {}", run.exit_code);
  return fmt::format("{} after {}, {} of processor time", how, format_duration(run.end_ns - run.start_ns),
                     format_duration(run.child_processor_ns));
}

bool is_full(const analyze::profile& profile) {
  return std::any_of(profile.processes.begin(), profile.processes.end(),
                     [](const process_profile& one) { return one.full.has_value(); });
}

// Processes of one command line, which a script may start by the hundred.
struct process_line {
  std::string command;
  std::size_t count = 0, running = 0;
  std::uint64_t told = 0;  // samples, or events of a recording
  std::uint64_t peak_resident_bytes = 0;
  std::uint32_t first_pid = 0;
};

std::vector<process_line> lines_of(const analyze::profile& profile, const std::vector<std::size_t>& which) {
  std::vector<process_line> lines;
  std::unordered_map<std::string, std::size_t> by_command;
  for (const std::size_t index : which) {
    const process_profile& one = profile.processes[index];
    const auto [place, is_new] = by_command.emplace(command_text(one.record), lines.size());
    if (is_new) lines.push_back({place->first, 0, 0, 0, 0, one.record.pid});
    process_line& line = lines[place->second];
    ++line.count;
    line.running += one.record.end == collect::process_end::running ? 1 : 0;
    line.told += one.full ? one.full->events : one.record.samples.size();
    line.peak_resident_bytes = std::max(line.peak_resident_bytes, one.peak_resident_bytes);
  }
  std::stable_sort(lines.begin(), lines.end(), [](const process_line& a, const process_line& b) {
    return a.peak_resident_bytes > b.peak_resident_bytes;
  });
  return lines;
}

std::string other_processes(const analyze::profile& profile, const std::vector<std::size_t>& which,
                            const palette& paint, int columns) {
  constexpr std::size_t shown_lines = 20;
  std::vector<process_line> lines = lines_of(profile, which);
  std::string rest;
  if (lines.size() > shown_lines) {
    rest = fmt::format("  and {} smaller commands\n", lines.size() - shown_lines);
    lines.resize(shown_lines);
  }
  std::vector<table_row> rows;
  for (const process_line& line : lines) {
    const std::string peak = line.peak_resident_bytes == 0 ? "-" : size_of(line.peak_resident_bytes);
    rows.push_back({{line.count == 1 ? fmt::format("pid {}", line.first_pid) : fmt::format("{} times", line.count),
                     peak, std::to_string(line.told), line.running == 0 ? "" : "still running", line.command},
                    {}});
  }
  return fmt::format("\n{}Other processes{}  {}\n", paint.bold, paint.reset, which.size()) +
         format_table({{""}, {"peak RSS"}, {is_full(profile) ? "events" : "samples"}, {"", true}, {"command", true}},
                      rows, paint, columns) +
         rest;
}

std::string cost_in_program(const analyze::profile& profile) {
  std::uint64_t overhead_ns = 0, overhead_bytes = 0, region_bytes = 0, samples = 0, events = 0, waits = 0, wait_ns = 0;
  for (const process_profile& one : profile.processes) {
    overhead_ns += one.record.overhead_ns;
    overhead_bytes += one.record.overhead_bytes;
    region_bytes += one.record.region_resident_bytes;
    samples += one.record.samples.size();
    if (!one.full) continue;
    events += one.full->events;
    waits += one.full->losses.waits;
    wait_ns += one.full->losses.wait_ns;
  }
  const std::string memory = fmt::format("{} private, {} shared", size_of(overhead_bytes), size_of(region_bytes));
  if (is_full(profile))
    return fmt::format("{} told; threads waited {} for the recording, {} together; {}", plural(events, "event"),
                       plural(waits, "time"), format_duration(wait_ns), memory);
  const double processor_ns = static_cast<double>(std::max<std::uint64_t>(1, profile.run.child_processor_ns));
  return fmt::format("{} for {}, {} of its time; {}", format_duration(overhead_ns), plural(samples, "sample"),
                     format_share(static_cast<double>(overhead_ns) / processor_ns), memory);
}

std::string own_cost(const analyze::profile& profile, const palette& paint, int columns) {
  const collect::collector_cost& cost = profile.run.cost;
  std::uint64_t dropped = 0;
  for (const process_profile& one : profile.processes) {
    dropped += one.record.dropped_events;
    if (one.full) dropped += one.full->losses.allocations + one.full->losses.frees;
  }
  const double elapsed_ns = static_cast<double>(profile.run.end_ns - profile.run.start_ns);
  std::string text = fmt::format("\n{}What Tenure cost{}\n", paint.bold, paint.reset);
  const auto line = [&](std::string_view name, const std::string& said) {
    constexpr int name_columns = 14;
    text += two_columns(name, said, name_columns, columns, colors(false));
  };
  line("in the program", cost_in_program(profile));
  line("beside it",
       fmt::format("{} of processor time, {} of the whole time; {}, {} of smaps", format_duration(cost.processor_ns),
                   format_share(static_cast<double>(cost.processor_ns) / elapsed_ns), plural(cost.wake_ups, "wake-up"),
                   plural(cost.smaps_reads, "reading")));
  if (dropped != 0)
    text += fmt::format("  {}dropped{}         {}\n", paint.warning, paint.reset, plural(dropped, "event"));
  return text;
}

// Of a program that was gone before we looked, or that became one that is not watched.
std::string kernel_peak(const collect::recording& run) {
  if (run.kernel_peak_resident_bytes == 0) return "";
  return fmt::format("  peak RSS      {} by the kernel, children that it waited for included\n",
                     size_of(run.kernel_peak_resident_bytes));
}

// It told of itself, but not of its blocks.
std::string other_malloc(const palette& paint, int columns) {
  return wrapped(
      fmt::format("{}Tenure did not engage:{} malloc is not Tenure's here, but the program's own, so nothing "
                  "is known of its blocks. What is resident comes from the kernel.",
                  paint.warning, paint.reset),
      columns, 0);
}

std::string not_engaged(const analyze::profile& profile, const palette& paint, int columns) {
  if (profile.run.attached_pid != 0)
    return wrapped(fmt::format("{}Nothing was told:{} process {} has neither allocated nor freed enough to notice that "
                               "it was attached to. A longer time may show more.",
                               paint.warning, paint.reset, profile.run.attached_pid),
                   columns, 0);
  std::string text = wrapped(fmt::format("{}Tenure did not engage:{} the program never opened its shared memory, so "
                                         "nothing is known about its heap.",
                                         paint.warning, paint.reset),
                             columns, 0);
  text += wrapped(
      "It may be linked with an allocator of its own or statically, have cleared LD_PRELOAD before it started another "
      "program, run with raised rights or in a sandbox that hides the session's folder, or have ended before its first "
      "allocation. `tenure doctor -- CMD` looks closer.",
      columns, 2);
  text += kernel_peak(profile.run);
  return text;
}

}  // namespace

std::string command_text(const collect::process_record& record) {
  if (record.command_line.empty()) return record.executable.empty() ? "(unknown)" : record.executable;
  std::string result;
  for (const std::string& word : record.command_line) {
    const bool needs_quotes = word.empty() || word.find_first_of(" \t\n'\"\\$;|&<>()*?") != std::string::npos;
    std::string shown = needs_quotes ? "'" + word + "'" : word;
    // A script given as an argument would break the line.
    std::replace_if(
        shown.begin(), shown.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0x20; }, ' ');
    result += (result.empty() ? "" : " ") + shown;
  }
  return result;
}

process_selection select_processes(const analyze::profile& profile, bool shows_all) {
  std::uint64_t largest = 0;
  for (const process_profile& one : profile.processes) largest = std::max(largest, one.peak_resident_bytes);
  process_selection result;
  for (std::size_t index = 0; index < profile.processes.size(); ++index) {
    const process_profile& one = profile.processes[index];
    const bool is_main = index == profile.main_process;
    if (!is_main && !says_something(one)) continue;
    // A process that hardly met the sampler has no sites worth showing, however large its files are: below four samples
    // the error of all it holds is more than half of it.
    constexpr std::size_t telling_samples = 4;
    const bool is_told = one.full ? one.has_sites() : one.record.samples.size() >= telling_samples;
    const bool is_large = one.peak_resident_bytes >= largest / 10 && is_told;
    (is_main || is_large || shows_all ? result.in_full : result.in_a_line).push_back(index);
  }
  // The main one first; the rest in order of their start.
  const auto main = std::find(result.in_full.begin(), result.in_full.end(), profile.main_process);
  if (main != result.in_full.end()) std::rotate(result.in_full.begin(), main, main + 1);
  return result;
}

std::string report_text(const analyze::profile& profile, const report_options& options) {
  const palette& paint = colors(options.uses_color);
  const process_selection which = select_processes(profile, options.shows_all);
  std::string text;
  if (profile.main_process == analyze::no_index)
    text += not_engaged(profile, paint, options.columns);
  else if (profile.processes[profile.main_process].record.malloc_owner == wire::malloc_owner::other)
    text += other_malloc(paint, options.columns);
  for (const std::size_t index : which.in_full) {
    const process_profile& one = profile.processes[index];
    if (!text.empty()) text += "\n";
    const bool is_main = index == profile.main_process;
    text += fmt::format("{}{}{}  {}\n", paint.bold, is_main ? "Tenure" : "Process", paint.reset,
                        keep_front(command_text(one.record), options.columns - 9));
    text += fmt::format("  ended         {}\n",
                        is_main ? outcome(profile)
                                : fmt::format("pid {}, {} after {}", one.record.pid, end_text(one.record.end),
                                              format_duration(one.record.end_ns - one.record.start_ns)));
    const bool is_unseen = one.peak_resident_bytes < profile.run.kernel_peak_resident_bytes / 2;
    if (is_main && (is_unseen || one.record.end == collect::process_end::unwatched)) text += kernel_peak(profile.run);
    text += process_text(one, options);
  }
  if (!which.in_a_line.empty()) text += other_processes(profile, which.in_a_line, paint, options.columns);
  text += unwatched_text(profile.run, paint, options.columns);
  text += own_cost(profile, paint, options.columns);
  for (const std::string& note : profile.run.notes)
    text += two_columns("note", note, 4, options.columns, colors(false));
  for (const std::string& note : profile.symbol_notes)
    text += two_columns("symbols", note, 7, options.columns, colors(false));
  return text;
}

}  // namespace tenure::cli
