#include "instruments/analyze/recording_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "instruments/analyze/format.h"
#include "instruments/collect/rounding.h"

namespace tenure::analyze {
namespace {

using collect::rounding;

std::uint64_t moment_of(std::uint64_t start_ns, std::uint64_t since_ns) {
  return since_ns > no_end - start_ns ? no_end : start_ns + since_ns;
}

}  // namespace

recording_walk::state::state(process_profile&& profile, symbols::symbolizer& symbolizer, const selection& selected)
    : process{.profile = std::move(profile), .losses = {}},
      frames(process.profile, symbolizer),
      chooser(selected, process.profile, frames) {
  const std::uint64_t start_ns = process.profile.record.start_ns;
  if (selected.begin_ns != 0) begin_ns = moment_of(start_ns, selected.begin_ns);
  end_ns = moment_of(start_ns, selected.end_ns);
}

recording_walk::recording_walk(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                               const selection& selected, progress_function progress,
                               const std::optional<collect::memory_wish>& memory)
    : reader_(reader), selected_(selected), progress_(std::move(progress)) {
  if (memory) reader_.keep_memory(*memory);
  tell("reading", 0);
  reader_.survey();
  take_whole();
  for (collect::recorded_process& one : reader_.run().processes) {
    process_profile profile;
    profile.record = std::move(one.record);
    states_.push_back(std::make_unique<state>(std::move(profile), symbolizer, selected_));
    states_.back()->is_dropped = one.is_dropped;
    walked_process& process = states_.back()->process;
    process.sums = std::move(one.sums);
    process.totals = std::move(one.totals);
    process.losses = one.losses;
    process.is_complete = one.is_complete;
    process.last_ns = std::min(process.profile.record.end_ns, states_.back()->end_ns);
    const auto& maps = states_.back()->process.profile.record.maps;
    if (!maps.empty()) states_.back()->memory_ns = maps.front().time_ns;
  }
  begin_bytes_ = place_to_begin();
  may_stop_ = selected_.end_ns != no_end && !whole_.damage;
  for (std::size_t i = 0; i < states_.size(); ++i) may_stop_ &= !takes_process(i) || states_[i]->process.is_complete;
}

// No process has anything to tell of it any more: each has come to an event behind it, or to its end.
bool recording_walk::is_window_over() const {
  if (!may_stop_) return false;
  const std::vector<collect::recorded_process>& read = reader_.run().processes;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const bool has_ended = i < read.size() && read[i].is_complete;
    if (takes_process(i) && !states_[i]->is_over && !has_ended) return false;
  }
  return true;
}

void recording_walk::begin_before_memory() {
  std::uint64_t earliest_ns = no_end;
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (takes_process(i)) earliest_ns = std::min(earliest_ns, states_[i]->memory_ns);
  begin_bytes_ = 0;
  for (const collect::recording_reader::round& one : reader_.rounds()) {
    std::vector<bool> is_told(states_.size(), false);
    for (const auto& [index, last_ns] : one.last_ns) {
      if (index >= states_.size() || last_ns >= earliest_ns) return;
      is_told[index] = true;
    }
    // One that had ended by then is told by its events alone.
    for (std::size_t i = 0; i < std::min(states_.size(), one.begun); ++i)
      if (takes_process(i) && states_[i]->memory_ns != no_end && !is_told[i]) return;
    begin_bytes_ = one.position_bytes;
  }
}

live_then recording_walk::alive_in(const state& of) {
  const rounding sizes(of.process.profile.record.maps.front().statistics, of.process.profile.record.page_bytes);
  live_then result;
  for (const live_block& one : of.blocks) {
    if (one.thread == no_index) continue;
    ++result.blocks;
    result.bytes += one.bytes;
    result.usable_bytes += sizes.usable(one.bytes);
  }
  return result;
}

std::uint64_t recording_walk::allocated_before(const state& of, const record::told_figures& told,
                                               const record::event& one) {
  const std::uint64_t start_ns = of.process.profile.record.start_ns;
  if (one.time_ns <= start_ns) return 0;
  const double share = one.time_ns >= told.last_ns
                           ? 1
                           : static_cast<double>(one.time_ns - start_ns) / static_cast<double>(told.last_ns - start_ns);
  return std::min(static_cast<std::uint64_t>(static_cast<double>(told.allocated_bytes) * share),
                  told.allocated_bytes - std::min(one.bytes, told.allocated_bytes));
}

// What a window does not take need not be replayed: the last round that is early enough for every process.
std::uint64_t recording_walk::place_to_begin() const {
  if (selected_.begin_ns == 0) return 0;
  std::uint64_t place = 0;
  for (const collect::recording_reader::round& one : reader_.rounds()) {
    for (const auto& [index, last_ns] : one.last_ns)
      if (index >= states_.size() || last_ns >= states_[index]->begin_ns) return place;
    place = one.position_bytes;
  }
  return place;
}

std::string recording_walk::begin_text(std::uint64_t begin_ns) const {
  const std::uint64_t start_ns = whole_.run.start_ns;
  const auto dropped = std::count_if(states_.begin(), states_.end(), [](const auto& one) { return one->is_dropped; });
  return fmt::format("the beginning was dropped, to keep the recording short: this is the run from {} on{}",
                     format_duration(begin_ns - std::min(start_ns, begin_ns)),
                     dropped == 0 ? "" : fmt::format("; {} processes had ended before", dropped));
}

void recording_walk::take_whole() {
  const collect::recorded_run& read = reader_.run();
  whole_.run = read.run;
  whole_.command = read.command;
  whole_.is_complete = read.is_complete;
  whole_.damage = read.damage;
  whole_.rotated = read.rotated;
  whole_.source = read.source;
}

void recording_walk::finish() {
  if (!is_stopped_) take_whole();
  if (const auto& rotated = whole_.rotated)
    whole_.run.notes.insert(whole_.run.notes.begin(), begin_text(rotated->time_ns));
  if (is_stopped_) return;
  const collect::recorded_run& read = reader_.run();
  // What the survey saw behind a block of events that makes no sense is not part of the recording.
  states_.resize(std::min(states_.size(), read.processes.size()));
  for (std::size_t i = 0; i < states_.size(); ++i) {
    walked_process& process = states_[i]->process;
    const collect::recorded_process& from = read.processes[i];
    process.losses = from.losses;
    process.is_complete = from.is_complete;
    process.profile.record.end = from.record.end;
    process.profile.record.end_ns = from.record.end_ns;
    process.last_ns = std::min(from.record.end_ns, states_[i]->end_ns);
  }
}

}  // namespace tenure::analyze
