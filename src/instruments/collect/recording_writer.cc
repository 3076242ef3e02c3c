#include "instruments/collect/recording_writer.h"

#include <algorithm>
#include <utility>

#include "instruments/collect/process_files.h"
#include "instruments/collect/recorded_memory.h"

namespace tenure::collect {

using record::block_kind;
using record::byte_writer;

namespace {

constexpr std::uint64_t usual_round_bytes = 6 << 20;
// Between two rounds lies so many times what the last one took. Where the file must not grow, that is less of it.
constexpr std::uint64_t round_spacing = 2;
constexpr std::uint64_t limited_round_spacing = 4;
// What a window reads before it begins, at most: so many events, and as many more as blocks are alive.
constexpr std::uint64_t most_events_between_rounds = 4 << 20;
// A file is cut when that gives back so much at least.
constexpr std::uint64_t least_drop_bytes = 64 << 10;
constexpr std::size_t sums_in_a_block = 1 << 20;

}  // namespace

void recording_writer::begin_run(const recording& run, const std::vector<std::string>& command) {
  byte_writer block;
  block.number(run.start_ns);
  block.number(command.size());
  for (const std::string& word : command) block.text(word);
  put(block_kind::run, 0, block.bytes());
}

std::uint32_t recording_writer::begin_process(const process_record& process) {
  byte_writer block;
  block.number(process.pid);
  block.number(process.parent_pid);
  block.number(process.generation);
  block.number(static_cast<std::uint64_t>(process.origin));
  block.number(process.start_ns);
  block.number(process.start_realtime_ns);
  block.text(process.executable);
  block.number(process.command_line.size());
  for (const std::string& word : process.command_line) block.text(word);
  written_.emplace_back();
  const auto number = static_cast<std::uint32_t>(written_.size());
  put(block_kind::process, number, block.bytes());
  return number;
}

void recording_writer::write_dictionary(std::uint32_t number, const process_record& process) {
  written& done = written_[number - 1];
  if (done.modules == process.modules.size() && done.locations == process.locations.size() &&
      done.stacks == process.stacks.size() && done.threads == process.threads.size())
    return;
  byte_writer block;
  block.number(process.modules.size() - done.modules);
  for (; done.modules < process.modules.size(); ++done.modules) {
    const module& one = process.modules[done.modules];
    block.number(one.begin);
    block.number(one.end);
    block.number(one.bias);
    block.text(one.build_id);
    block.text(one.path);
  }
  block.number(process.locations.size() - done.locations);
  for (; done.locations < process.locations.size(); ++done.locations) {
    const location& one = process.locations[done.locations];
    block.number(one.module == no_index ? 0 : std::uint64_t{one.module} + 1);
    block.number(one.address);
  }
  block.number(process.stacks.size() - done.stacks);
  for (; done.stacks < process.stacks.size(); ++done.stacks) {
    const stack& one = process.stacks[done.stacks];
    block.number(static_cast<std::uint64_t>(one.end));
    block.number(one.locations.size());
    for (const std::uint32_t place : one.locations) block.number(place);
  }
  block.number(process.threads.size() - done.threads);
  for (; done.threads < process.threads.size(); ++done.threads) block.number(process.threads[done.threads].id);
  put(block_kind::dictionary, number, block.bytes());
}

void recording_writer::write_events(std::uint32_t number, const process_record& process,
                                    std::span<record::event> events) {
  if (events.empty()) return;
  write_dictionary(number, process);
  // The live set is that of what stands in the file: encoded first, since the block may find the file too long.
  const byte_writer& block = encoder_.encode(events);
  put(block_kind::events, number, block.bytes());
  written& of = written_[number - 1];
  events_since_round_ += events.size();
  if (has_totals())
    of.totals.follow(of.live, events);
  else
    of.live.follow(events);
  if (is_round_due()) write_round();
  keep_short(0);
}

void recording_writer::write_memory(std::uint32_t number, const memory_map& map) {
  if (has_totals() && !map.mappings.empty()) written_[number - 1].totals.expect(map);
  put(block_kind::memory, number, encode_memory(map, heap_page_bytes).bytes());
}

void recording_writer::end_process(std::uint32_t number, const process_record& process, const tape_losses& losses) {
  written& of = written_[number - 1];
  if (has_totals())
    of.totals.close(of.live, process.end_ns).write([&](std::span<const std::uint8_t> part) {
      put(block_kind::totals, number, part);
    });
  byte_writer block;
  block.number(static_cast<std::uint64_t>(process.end));
  block.number(process.end_ns);
  for (const std::uint64_t figure : {losses.allocations, losses.bytes, losses.frees, losses.frames,
                                     losses.refused_records, losses.waits, losses.wait_ns})
    block.number(figure);
  block.number(losses.is_corrupt ? 1 : 0);
  // Only now are the names of all threads known.
  block.number(process.threads.size());
  for (const thread& one : process.threads) {
    block.number(one.id);
    block.text(one.name);
  }
  block.number(losses.by_thread.size());
  for (const thread_losses& one : losses.by_thread)
    for (const std::uint64_t figure : {std::uint64_t{one.thread}, one.allocations, one.bytes, one.frees})
      block.number(figure);
  put(block_kind::end, number, block.bytes());
  written_[number - 1].end_bytes = file_.written_bytes();
}

void recording_writer::end_run(const recording& run) {
  byte_writer block;
  block.number(run.end_ns);
  block.number(static_cast<std::uint64_t>(run.exit_code));
  block.number(static_cast<std::uint64_t>(run.exit_signal));
  block.number(run.child_pid);
  block.number(run.child_processor_ns);
  block.number(run.notes.size());
  for (const std::string& note : run.notes) block.text(note);
  put(block_kind::run_end, 0, block.bytes());
}

void recording_writer::write_source(const recording_source& source) {
  byte_writer block;
  block.text(source.tool);
  block.number(source.gaps);
  block.number(source.time_step_ns);
  block.number(source.sample_interval_bytes);
  put(block_kind::source, 0, block.bytes());
}

void recording_writer::write_answers(std::uint32_t number, const process_record& process,
                                     std::span<const std::uint32_t> answers) {
  write_dictionary(number, process);
  put(block_kind::named, number, encode_answers(answers).bytes());
}

void recording_writer::write_sums(std::uint32_t number, std::span<const stack_sum> sums) {
  while (!sums.empty()) {
    const auto some = sums.first(std::min(sums.size(), sums_in_a_block));
    byte_writer block;
    block.number(some.size());
    for (const stack_sum& one : some)
      for (const std::uint64_t figure :
           {std::uint64_t{one.stack}, one.allocated_blocks, one.allocated_bytes, one.live_blocks, one.live_bytes})
        block.number(figure);
    put(block_kind::sums, number, block.bytes());
    sums = sums.subspan(some.size());
  }
}

void recording_writer::put(block_kind kind, std::uint32_t process, std::span<const std::uint8_t> payload) {
  keep_short(sizeof(record::block_header) + payload.size());
  file_.write(kind, process, payload);
}

// Enough was written since the last one, and much more than a round takes; or, where time counts, a part of it passed.
bool recording_writer::is_round_due() const {
  const std::uint64_t since_bytes = file_.written_bytes() - last_round_end_bytes_;
  const std::uint64_t usual_bytes =
      limits_.most_bytes != 0 ? std::min(usual_round_bytes, limits_.most_bytes / 8) : usual_round_bytes;
  const std::uint64_t spacing = has_totals() ? round_spacing : limited_round_spacing;
  if (since_bytes >= std::max(usual_bytes, spacing * last_round_bytes_)) return true;
  if (has_totals() && events_since_round_ >= most_events_between_rounds + last_round_blocks_) return true;
  if (limits_.last_ns == 0) return false;
  const std::uint64_t since_ns = monotonic_ns() - (rounds_.empty() ? 0 : rounds_.back().time_ns);
  return since_ns >= limits_.last_ns || (since_ns >= limits_.last_ns / 4 && since_bytes >= last_round_bytes_);
}

void recording_writer::write_round() {
  const round made{file_.written_bytes(), monotonic_ns()};
  byte_writer block;
  const auto is_open = [](const written& one) { return !one.end_bytes; };
  block.number(static_cast<std::uint64_t>(std::count_if(written_.begin(), written_.end(), is_open)));
  for (std::uint32_t number = 1; number <= written_.size(); ++number) {
    if (!is_open(written_[number - 1])) continue;
    block.number(number);
    block.number(written_[number - 1].live.told().last_ns);
  }
  file_.write(block_kind::round, 0, block.bytes());
  last_round_blocks_ = 0;
  for (std::uint32_t number = 1; number <= written_.size(); ++number) {
    const written& process = written_[number - 1];
    if (process.end_bytes) continue;
    last_round_blocks_ += process.live.live_count();
    process.live.write_checkpoint(
        [&](std::span<const std::uint8_t> part) { file_.write(block_kind::checkpoint, number, part); });
  }
  rounds_.push_back(made);
  events_since_round_ = 0;
  last_round_end_bytes_ = file_.written_bytes();
  last_round_bytes_ = last_round_end_bytes_ - made.position_bytes;
}

// Before `coming_bytes` are written, or after.
void recording_writer::keep_short(std::uint64_t coming_bytes) {
  const std::uint64_t size_bytes = file_.written_bytes();
  if (limits_.last_ns != 0 && coming_bytes == 0) {
    const std::uint64_t now_ns = monotonic_ns();
    const auto is_old = [&](const round& one) { return one.time_ns + limits_.last_ns < now_ns; };
    // The newest of those that are old enough.
    const auto young = std::find_if_not(rounds_.begin(), rounds_.end(), is_old);
    if (young != rounds_.begin()) {
      const round cut = *std::prev(young);
      const bool is_worth_it = cut.position_bytes > std::max(size_bytes / 2, least_drop_bytes);
      if (is_worth_it) drop_before(cut);
    }
  }
  // There must be room for the round as well.
  const std::uint64_t needed_bytes = coming_bytes + 2 * last_round_bytes_;
  if (limits_.most_bytes == 0 || size_bytes + needed_bytes <= limits_.most_bytes) return;
  if (size_bytes < next_cut_bytes_ || file_.error()) return;
  write_round();
  // The oldest by which half of what is allowed stays free.
  const auto enough = std::find_if(rounds_.begin(), rounds_.end(), [&](const round& one) {
    return file_.written_bytes() - one.position_bytes <= limits_.most_bytes / 2;
  });
  drop_before(enough == rounds_.end() ? rounds_.back() : *enough);
  const bool has_room = file_.written_bytes() + needed_bytes <= limits_.most_bytes / 4 * 3;
  next_cut_bytes_ = has_room ? 0 : file_.written_bytes() + limits_.most_bytes / 4;
}

// When it begins, how often it was cut, and which processes had ended before.
std::vector<std::uint8_t> recording_writer::notice(const round& cut) const {
  byte_writer block;
  block.number(cut.time_ns);
  block.number(rotations_ + 1);
  std::uint64_t dropped = 0;
  for (const written& one : written_) dropped += one.is_dropped ? 1 : 0;
  block.number(dropped);
  for (std::uint32_t number = 1; number <= written_.size(); ++number)
    if (written_[number - 1].is_dropped) block.number(number);
  const auto bytes = block.bytes();
  return {bytes.begin(), bytes.end()};
}

void recording_writer::drop_before(const round& given) {
  const round cut = given;  // it may stand in rounds_
  for (written& one : written_) one.is_dropped |= one.end_bytes.value_or(~0ull) <= cut.position_bytes;
  const auto keeps = [&](block_kind kind, std::uint32_t process) {
    // Numbers go by the order of the process blocks: those stay.
    if (kind == block_kind::process || kind == block_kind::end) return true;
    return kind == block_kind::dictionary && process != 0 && process <= written_.size() &&
           !written_[process - 1].is_dropped;
  };
  const auto now_at = file_.drop_before(cut.position_bytes, keeps, notice(cut));
  if (!now_at) return;
  ++rotations_;
  const std::uint64_t shorter_bytes = cut.position_bytes - *now_at;
  std::erase_if(rounds_, [&](const round& one) { return one.position_bytes < cut.position_bytes; });
  for (round& one : rounds_) one.position_bytes -= shorter_bytes;
  for (written& one : written_)
    if (one.end_bytes) one.end_bytes = one.is_dropped ? 0 : *one.end_bytes - shorter_bytes;
  last_round_end_bytes_ -= shorter_bytes;
}

}  // namespace tenure::collect
