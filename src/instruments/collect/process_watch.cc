#include "instruments/collect/process_watch.h"

#include <algorithm>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "instruments/collect/heap_counters.h"
#include "instruments/collect/process_files.h"
#include "instruments/collect/smaps.h"

namespace tenure::collect {
namespace {

constexpr std::size_t drain_limit_events = 100'000;
// Beyond this many samples the interval is doubled, and again after as many more: memory and time of the analysis stay
// bounded, and since each sample carries its interval the sums stay unbiased.
constexpr std::size_t first_sample_limit = 1'000'000;
constexpr std::uint64_t interval_limit_bytes = 1ull << 36;
// Share of the time that reading smaps may take, one in so many: for a new peak, and for anything less.
constexpr std::uint64_t peak_time_divisor = 100;
constexpr std::uint64_t other_time_divisor = 500;
constexpr std::uint64_t map_allowance_ns = 10'000'000;
// A process that is both younger and smaller gets none: its own copy at exit says as much, and scripts start hundreds.
constexpr std::uint64_t young_ns = 20'000'000;
constexpr std::uint64_t small_bytes = 16 << 20;
constexpr std::uint64_t refresh_pause_ns = 1'000'000'000;
// Between two readings of the RSS of a process that is recorded, whose rings are looked at much more often: as of one
// that is not.
constexpr std::uint64_t recorded_pause_ns = 20'000'000;
// Between two tellings of the heap's counters to a recording.
constexpr std::uint64_t counters_pause_ns = 250'000'000;

// Figures within one in `near_divisor` of each other are taken for the same.
constexpr std::uint64_t near_divisor = 20;
bool is_clearly_more(std::uint64_t one, std::uint64_t other) { return one > other + other / near_divisor; }

}  // namespace

process_watch::process_watch(std::unique_ptr<region_reader> reader, std::filesystem::path region,
                             std::uint32_t generation)
    : decoder_(record_), reader_(std::move(reader)), region_(std::move(region)), sample_limit_(first_sample_limit) {
  reader_->read_identity(record_);
  record_.generation = generation;
  is_readable_ = has_mapped(record_.pid, region_.string());
}

bool process_watch::is_still_itself(bool is_ours) const {
  if (reader_ == nullptr || reader_->has_exited()) return true;
  if (!is_readable_ && !is_ours) return true;  // who knows which process it is
  // One that is gone altogether is another matter.
  return has_mapped(record_.pid, region_.string()) || !read_resident_bytes(record_.pid);
}

double process_watch::drain() {
  // The tape first: what its stacks need to be understood is in the region's ring by then.
  const double fill = std::max(reader_->ring_fill(), take_tape());
  reader_->drain(decoder_, wire::hole::wait, drain_limit_events);
  if (tape_ != nullptr) tape_->digest(false);
  if (record_.samples.size() >= sample_limit_) bound_samples();
  return fill;
}

double process_watch::take_tape() {
  if (writer_ == nullptr) return 0;
  if (tape_ == nullptr) {
    std::filesystem::path path = region_;
    tape_ = tape_stream::open(path.replace_extension("tape"), record_, decoder_, *writer_);
  }
  return tape_ == nullptr ? 0 : tape_->take();
}

scan_state process_watch::look_for_scan() const {
  std::filesystem::path path = region_;
  return collect::look_for_scan(path.replace_extension("leaks"));
}

// What is known of the blocks that it names: of recorded ones everything, of others what was sampled.
void process_watch::take_scan() {
  std::filesystem::path path = region_;
  path.replace_extension("leaks");
  auto map = read_heap_map(path);
  const bool is_map = map && map->header.heap_map_bytes != 0;
  auto scan = is_map ? std::nullopt : read_leak_scan(path);
  if (!scan && !is_map) {
    record_.is_scan_awaited = look_for_scan() == scan_state::awaited;
    return;
  }
  std::unordered_map<std::uint64_t, const sample*> by_id;
  for (const sample& one : record_.samples) by_id.emplace(one.id, &one);
  const auto add_known = [&](scanned_block& block) {
    if (const auto told = tape_ != nullptr ? tape_->block_at(block.address) : std::nullopt) {
      block.requested_bytes = told->bytes;
      block.stack = told->stack;
      block.thread = told->thread;
      block.time_ns = told->time_ns;
    } else if (const auto found = by_id.find(block.sample_id); block.sample_id != 0 && found != by_id.end()) {
      block.requested_bytes = found->second->requested_bytes;
      block.stack = found->second->stack;
      block.thread = found->second->thread;
      block.time_ns = found->second->time_ns;
    }
  };
  if (is_map) {
    for (scanned_block& block : map->blocks) add_known(block);
    record_.heap_map = std::move(*map);
  } else {
    for (leaked_block& block : scan->blocks) add_known(block);
    for (held_block& block : scan->held) add_known(block);
    record_.scan = std::move(*scan);
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

// The region's ring has been emptied for the last time.
void process_watch::finish_tape() {
  if (tape_ != nullptr) tape_->digest(true);
  take_scan();
  if (tape_ == nullptr) return;
  writer_->end_process(tape_->number(), record_, tape_->losses());
  tape_.reset();
  std::error_code ignored;
  std::filesystem::path path = region_;
  std::filesystem::remove(path.replace_extension("tape"), ignored);
}

void process_watch::bound_samples() {
  sample_limit_ += first_sample_limit;
  const std::uint64_t interval = reader_->sample_interval_bytes();
  if (interval != 0 && interval <= interval_limit_bytes) reader_->set_sample_interval_bytes(interval * 2);
}

bool process_watch::is_memory_due(std::uint64_t now_ns) const {
  return tape_ == nullptr || now_ns >= last_sampled_ns_ + recorded_pause_ns;
}

bool process_watch::sample_memory(std::uint64_t now_ns, std::string& buffer, collector_cost& cost) {
  last_sampled_ns_ = now_ns;
  const auto resident = read_resident_bytes(record_.pid);
  if (!resident) return false;
  // Somebody has this number; it may be another process than the one in a namespace of its own.
  if (!is_readable_) return !reader_->has_exited();
  // On its way out it holds less and less; the last of its memory it has told itself, at its end.
  if (reader_->has_exited()) return true;
  note_resident(now_ns, *resident);
  note_in_use(*resident);
  tell_counters(now_ns, *resident);
  if (is_map_due(now_ns, *resident)) take_map(now_ns, buffer, cost);
  return true;
}

void process_watch::tell_memory(const memory_map& map) {
  if (tape_ == nullptr) return;
  writer_->write_memory(tape_->number(), map);
  last_told_ns_ = map.time_ns;
  events_told_then_ = tape_->events();
}

// The counters lie in shared memory: to read them costs the program nothing. Where nothing happens there is nothing to
// tell.
void process_watch::tell_counters(std::uint64_t now_ns, std::uint64_t resident_bytes) {
  if (tape_ == nullptr || now_ns < last_told_ns_ + counters_pause_ns || tape_->events() == events_told_then_) return;
  memory_map now;
  now.time_ns = now_ns;
  now.resident_bytes = resident_bytes;
  now.statistics = reader_->statistics();
  tell_memory(now);
}

// The counters outlive the program that counted.
void process_watch::tell_last_memory(const std::optional<memory_map>& exit_map) {
  memory_map last;
  if (exit_map) last = *exit_map;
  if (!exit_map || exit_map->truncated) {
    last.time_ns = record_.end_ns;
    last.resident_bytes = record_.resident.empty() ? 0 : record_.resident.back().resident_bytes;
    last.mappings.clear();
    last.statistics = reader_->statistics();
  }
  tell_memory(last);
}

// A value that stays the same is two points: where it began and where it was last seen.
void process_watch::note_resident(std::uint64_t now_ns, std::uint64_t resident_bytes) {
  auto& points = record_.resident;
  const std::size_t count = points.size();
  const bool extends = count >= 2 && points[count - 1].resident_bytes == resident_bytes &&
                       points[count - 2].resident_bytes == resident_bytes;
  if (extends) {
    points.back().time_ns = now_ns;
  } else {
    points.push_back({now_ns, resident_bytes});
  }
}

// The most that was in use, and how much was resident then.
void process_watch::note_in_use(std::uint64_t resident_bytes) {
  const std::uint64_t in_use_bytes = bytes_in_use(reader_->statistics());
  if (in_use_bytes > most_in_use_bytes_) {
    if (is_clearly_more(in_use_bytes, most_in_use_bytes_)) resident_at_most_bytes_ = 0;
    most_in_use_bytes_ = in_use_bytes;
  }
  if (!is_clearly_more(most_in_use_bytes_, in_use_bytes))
    resident_at_most_bytes_ = std::max(resident_at_most_bytes_, resident_bytes);
}

// Pages stay resident for a while after their blocks were freed, so the greatest map need not be one of the peak: of
// maps of about the same size that with more in use is, and one whose RSS was reached before, with more in use, is not.
bool process_watch::is_of_peak(const memory_map& map) const {
  if (record_.maps.empty()) return true;
  const std::uint64_t in_use_bytes = bytes_in_use(map.statistics);
  const std::uint64_t held_bytes = bytes_in_use(record_.maps.front().statistics);
  if (is_clearly_more(map.resident_bytes, peak_map_bytes_)) {
    const bool was_reached = resident_at_most_bytes_ >= map.resident_bytes - map.resident_bytes / 8;
    return !was_reached || !is_clearly_more(held_bytes, in_use_bytes);
  }
  if (is_clearly_more(peak_map_bytes_, map.resident_bytes) || is_clearly_more(held_bytes, in_use_bytes)) return false;
  return is_clearly_more(in_use_bytes, held_bytes) || map.resident_bytes > record_.maps.front().resident_bytes;
}

bool process_watch::is_map_due(std::uint64_t now_ns, std::uint64_t resident_bytes) const {
  const std::uint64_t age_ns = now_ns > record_.start_ns ? now_ns - record_.start_ns : 0;
  if (age_ns < young_ns && resident_bytes < small_bytes) return false;
  const bool can_pay = map_cost_ns_ + last_map_cost_ns_ <= map_allowance_ns + age_ns / peak_time_divisor;
  const bool is_cheap = map_cost_ns_ <= age_ns / other_time_divisor;
  if (resident_bytes > peak_map_bytes_ + peak_map_bytes_ / 10) return can_pay;
  if (resident_bytes > peak_map_bytes_ + peak_map_bytes_ / 100 && is_cheap) return true;
  return is_cheap && now_ns > last_map_time_ns_ + refresh_pause_ns;
}

void process_watch::take_map(std::uint64_t now_ns, std::string& buffer, collector_cost& cost) {
  // Processor time: on a busy machine the wall clock would count the programs that ran in between.
  const std::uint64_t begin_ns = own_processor_ns();
  const bool is_read = read_smaps(record_.pid, buffer);
  last_map_cost_ns_ = own_processor_ns() - begin_ns;
  map_cost_ns_ += last_map_cost_ns_;
  cost.smaps_ns += last_map_cost_ns_;
  ++cost.smaps_reads;
  last_map_time_ns_ = now_ns;
  if (!is_read) return;
  memory_map map = make_memory_map(buffer, false, now_ns);
  map.statistics = reader_->statistics();
  map.accounts = reader_->accounts();
  if (map.resident_bytes == 0) return;
  tell_memory(map);
  if (is_of_peak(map)) record_.maps.assign(1, map);
  peak_map_bytes_ = std::max(peak_map_bytes_, map.resident_bytes);
  last_map_ = std::move(map);
}

void process_watch::keep_attached(std::uint64_t now_ns, bool wants_copy) {
  if (reader_ == nullptr) return;
  reader_->show_reader(now_ns);
  if (wants_copy && !reader_->has_left()) reader_->ask_for_copy();
}

void process_watch::ask_to_leave() {
  if (reader_ != nullptr) reader_->ask_to_leave();
}

void process_watch::take_last_map(std::string& buffer, collector_cost& cost) {
  if (is_readable_) take_map(monotonic_ns(), buffer, cost);
}

process_record process_watch::moment(std::uint64_t now_ns) const {
  process_record copy = record_;
  if (reader_ == nullptr) return copy;
  reader_->read_state(copy);
  copy.end_ns = now_ns;
  copy.exit_map = last_map_;
  copy.has_exit_map = !last_map_.mappings.empty();
  return copy;
}

// Read after the process had become another program and before that was seen.
void process_watch::forget_maps_of_another() {
  const std::string region = region_.string();
  const auto is_of_another = [&](const memory_map& map) {
    return std::none_of(map.mappings.begin(), map.mappings.end(),
                        [&](const mapping& one) { return one.name.starts_with(region); });
  };
  std::erase_if(record_.maps, is_of_another);
  if (is_of_another(last_map_)) last_map_ = {};
  if (record_.maps.empty()) record_.resident.clear();
}

void process_watch::finish(process_end end, std::uint64_t time_ns) {
  const bool is_gone = end != process_end::running;
  take_tape();
  // In portions, since a program that is still there may write as fast as we read; one ring's worth is enough.
  reader_->drain(decoder_, is_gone ? wire::hole::skip : wire::hole::wait,
                 wire::ring_capacity_bytes / sizeof(wire::free_sample_event));
  reader_->read_state(record_);
  reader_->read_contents(decoder_, record_);
  record_.end = end;
  record_.end_ns = time_ns;
  if (const std::uint64_t exit_ns = reader_->exit_time_ns(); exit_ns > record_.start_ns && exit_ns < time_ns)
    record_.end_ns = exit_ns;
  if (const std::uint64_t resident = reader_->exit_resident_bytes(); resident != 0)
    note_resident(record_.end_ns, resident);
  auto exit_map = reader_->read_exit_map();
  tell_last_memory(exit_map);
  if (exit_map) {
    if (!exit_map->truncated && is_of_peak(*exit_map)) record_.maps.assign(1, *exit_map);
    last_map_ = std::move(*exit_map);
  }
  if (end == process_end::unwatched) forget_maps_of_another();
  record_.has_exit_map = !last_map_.mappings.empty();
  record_.exit_map = std::move(last_map_);
  finish_tape();
  reader_.reset();
  std::error_code ignored;
  std::filesystem::remove(region_, ignored);
}

}  // namespace tenure::collect
