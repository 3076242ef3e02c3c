#include "instruments/collect/recording_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "instruments/collect/heap_counters.h"
#include "instruments/collect/recorded_memory.h"

namespace tenure::collect {
namespace {

using record::block_kind;
using record::byte_reader;

constexpr std::uint64_t index_limit = no_index;
constexpr std::uint64_t frame_limit = 4096;
constexpr std::size_t events_ahead = 16;
constexpr std::uint32_t ordered_slots_version = 8;  // of the format

std::uint64_t moment_of(std::uint64_t start_ns, std::uint64_t since_ns) {
  return since_ns > never - start_ns ? never : start_ns + since_ns;
}

std::vector<std::string> read_words(byte_reader& from) {
  std::vector<std::string> words;
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) words.push_back(from.text());
  return words;
}

}  // namespace

std::expected<recording_reader, std::string> recording_reader::open(const std::filesystem::path& path) {
  auto file = record::block_reader::open(path);
  if (!file) return std::unexpected(file.error());
  return recording_reader(std::move(*file));
}

void recording_reader::survey() {
  file_.skip_payloads_of({block_kind::events, block_kind::checkpoint});
  read({});
  file_.skip_payloads_of({});
}

void recording_reader::read(const visitor& visit, const alive_visitor& alive, std::uint64_t from_bytes) {
  run_ = {};
  names_ = std::make_shared<resolved_names>();
  slots_.clear();
  checkpoints_.clear();
  rounds_.clear();
  dropped_.clear();
  wants_more_ = true;
  begins_late_ = from_bytes != 0;
  file_.rewind();
  // Whoever knows the place has looked at the checksums of what comes before.
  if (from_bytes != 0)
    file_.skip_payloads_of({block_kind::events, block_kind::checkpoint}, record::block_reader::skipping::passes_over);
  // Where everything is unpacked from here on.
  const auto before = [this, from_bytes](std::uint64_t position) {
    if (from_bytes != 0 && position == from_bytes) file_.skip_payloads_of({});
  };
  std::uint64_t good_bytes = reached_bytes_ = file_.position();
  std::optional<record::blocks_ahead> ahead;  // the file is its own while it lives
  if (visit && file_.size_bytes() >= least_ahead_bytes_ && std::thread::hardware_concurrency() > 1)
    ahead.emplace(file_, before);
  record::unpacked_block own;
  const auto next = [&]() -> record::unpacked_block* {
    if (ahead) return ahead->next();
    before(file_.position());
    return record::unpack_next(file_, own) ? &own : nullptr;
  };
  while (wants_more_) {
    record::unpacked_block* const one = next();
    if (one == nullptr) break;
    reached_bytes_ = one->end_bytes;
    const block_kind kind = one->what.kind;
    const bool is_passed =
        one->begin_bytes < from_bytes && (kind == block_kind::events || kind == block_kind::checkpoint);
    if (is_passed || take(*one, visit, alive)) {
      good_bytes = one->end_bytes;
      continue;
    }
    // Its checksum was right: whoever wrote it, it was not this program.
    run_.damage = fmt::format("at byte {}: the contents of a block make no sense; what comes before is complete",
                              one->begin_bytes);
    break;
  }
  ahead.reset();  // from here on the file is ours again
  run_.good_bytes = good_bytes;
  if (from_bytes != 0) file_.skip_payloads_of({});
  // Behind what was wanted nobody has looked.
  if (!run_.damage && wants_more_) run_.damage = file_.damage();
}

bool recording_reader::take(record::unpacked_block& unpacked, const visitor& visit, const alive_visitor& alive) {
  const record::block& block = unpacked.what;
  const byte_reader from(block.payload);
  const bool is_known = block.process != 0 && block.process <= run_.processes.size();
  switch (block.kind) {
    case block_kind::run:
      return take_run(from);
    case block_kind::process:
      return block.process == run_.processes.size() + 1 && take_process(from);
    case block_kind::dictionary:
      return is_known && take_dictionary(from, run_.processes[block.process - 1].record);
    case block_kind::events:
      return is_known && (!visit || take_events(unpacked, visit));
    case block_kind::end:
      return is_known && take_end(from, run_.processes[block.process - 1]);
    case block_kind::run_end:
      return take_run_end(from);
    case block_kind::checkpoint:
      return is_known && (!visit || take_checkpoint(block, alive));
    case block_kind::rotated:
      return take_rotated(from);
    case block_kind::round:
      return take_round(from, unpacked.begin_bytes);
    case block_kind::names:
      return names_->take(from);
    case block_kind::named:
      return is_known && take_answers(from, run_.processes[block.process - 1].record);
    case block_kind::sums:
      return is_known && take_sums(from, run_.processes[block.process - 1]);
    case block_kind::source:
      return take_source(from);
    case block_kind::totals:
      return is_known && take_totals(from, run_.processes[block.process - 1]);
    case block_kind::memory:
      return is_known && take_memory(from, run_.processes[block.process - 1].record);
  }
  return true;  // of a later version
}

bool recording_reader::take_run(byte_reader from) {
  run_.run.start_ns = from.number();
  run_.command = read_words(from);
  return from.ok();
}

bool recording_reader::take_process(byte_reader from) {
  recorded_process one;
  one.record.pid = static_cast<std::uint32_t>(from.number_below(index_limit));
  one.record.parent_pid = static_cast<std::uint32_t>(from.number_below(index_limit));
  one.record.generation = static_cast<std::uint32_t>(from.number_below(index_limit));
  one.record.origin = static_cast<wire::origin>(from.number_below(wire::origin_count));
  one.record.end = process_end::vanished;  // until its end is read
  one.record.start_ns = from.number();
  one.record.end_ns = one.record.start_ns;
  one.record.start_realtime_ns = from.number();
  one.record.executable = from.text();
  one.record.command_line = read_words(from);
  one.is_dropped = std::find(dropped_.begin(), dropped_.end(), run_.processes.size() + 1) != dropped_.end();
  run_.processes.push_back(std::move(one));
  const auto order =
      file_.version() < ordered_slots_version ? record::slot_table::order::never : record::slot_table::order::renewed;
  slots_.emplace_back(order);
  checkpoints_.emplace_back(order);
  return from.ok();
}

// Of a block that makes no sense nothing is taken, here and below.
bool recording_reader::take_dictionary(byte_reader from, process_record& into) {
  const std::size_t modules = into.modules.size(), locations = into.locations.size();
  const std::size_t stacks = into.stacks.size(), threads = into.threads.size();
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    module one;
    one.begin = from.number();
    one.end = from.number();
    one.bias = from.number();
    one.build_id = from.text();
    one.path = from.text();
    into.modules.push_back(std::move(one));
  }
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t module = from.number_below(into.modules.size() + 1);
    into.locations.push_back({module == 0 ? no_index : static_cast<std::uint32_t>(module - 1), from.number()});
  }
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    stack one;
    one.end = static_cast<stack_end>(from.number_below(3));
    for (std::uint64_t frames = from.number_below(frame_limit); frames != 0 && from.ok(); --frames)
      one.locations.push_back(static_cast<std::uint32_t>(from.number_below(into.locations.size())));
    into.stacks.push_back(std::move(one));
  }
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left)
    into.threads.push_back({static_cast<std::uint32_t>(from.number_below(index_limit)), {}});
  if (from.ok()) return true;
  into.modules.resize(modules);
  into.locations.resize(locations);
  into.stacks.resize(stacks);
  into.threads.resize(threads);
  return false;
}

bool recording_reader::take_events(record::unpacked_block& block, const visitor& visit) {
  const std::size_t number = block.what.process;
  recorded_process& process = run_.processes[number - 1];
  record::own_slots& slots = slots_[number - 1];
  if (!block.makes_sense) return false;
  std::vector<record::event>& events = block.events;
  for (std::size_t at = 0; at < events.size(); ++at) {
    if (at + events_ahead < events.size()) slots.expect(events[at + events_ahead].slot);
    record::event& one = events[at];
    if (one.thread >= process.record.threads.size()) return false;
    const bool is_allocation = one.kind == record::event_kind::allocation;
    const bool has_stack = is_allocation || one.stack != record::no_stack;
    if (has_stack && one.stack >= process.record.stacks.size()) return false;
    if (is_allocation) {
      one.slot = slots.take();
    } else if (one.kind == record::event_kind::free && !slots.give(one.slot)) {
      return false;
    }
  }
  process.events += events.size();
  if (!events.empty()) process.last_event_ns = std::max(process.last_event_ns, events.back().time_ns);
  process.record.end_ns = std::max(process.record.end_ns, process.last_event_ns);
  wants_more_ = visit(number - 1, events);
  return true;
}

bool recording_reader::take_end(byte_reader from, recorded_process& into) {
  into.record.end = static_cast<process_end>(from.number_below(process_end_count));
  into.record.end_ns = std::max(from.number(), into.last_event_ns);
  tape_losses& losses = into.losses;
  for (std::uint64_t* figure : {&losses.allocations, &losses.bytes, &losses.frees, &losses.frames,
                                &losses.refused_records, &losses.waits, &losses.wait_ns})
    *figure = from.number();
  losses.is_corrupt = from.number_below(wire::origin_count) != 0;
  const std::uint64_t named = from.count();
  if (named < into.record.threads.size()) return false;
  for (std::uint64_t i = 0; i < named && from.ok(); ++i) {
    const auto id = static_cast<std::uint32_t>(from.number_below(index_limit));
    std::string name = from.text();
    // Some have no events, and were not named before: all that they did was lost.
    if (i == into.record.threads.size()) into.record.threads.emplace_back();
    into.record.threads[i] = {id, std::move(name)};
  }
  // Until version 6 of the format there was no more.
  losses.by_thread.clear();
  for (std::uint64_t left = from.left() == 0 ? 0 : from.count(); left != 0 && from.ok(); --left) {
    thread_losses one;
    one.thread = static_cast<std::uint32_t>(from.number_below(named));
    for (std::uint64_t* figure : {&one.allocations, &one.bytes, &one.frees}) *figure = from.number();
    if (from.ok()) losses.by_thread.push_back(one);
  }
  into.is_complete = true;
  return from.ok();
}

bool recording_reader::take_run_end(byte_reader from) {
  run_.run.end_ns = from.number();
  run_.run.exit_code = static_cast<int>(from.number_below(256));
  run_.run.exit_signal = static_cast<int>(from.number_below(256));
  run_.run.child_pid = static_cast<std::uint32_t>(from.number_below(index_limit));
  run_.run.child_processor_ns = from.number();
  run_.run.notes = read_words(from);
  run_.is_complete = true;
  return from.ok();
}

bool recording_reader::take_round(byte_reader from, std::uint64_t position_bytes) {
  round one{position_bytes, run_.processes.size(), {}};
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t process = from.number();
    if (process == 0 || process > run_.processes.size()) return false;
    one.last_ns.emplace_back(static_cast<std::size_t>(process - 1), from.number());
  }
  rounds_.push_back(std::move(one));
  return from.ok();
}

// Stands before any process.
bool recording_reader::take_rotated(byte_reader from) {
  if (!run_.processes.empty() || run_.rotated) return false;
  rotation what;
  what.time_ns = from.number();
  what.count = from.number();
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) dropped_.push_back(from.number());
  run_.rotated = what;
  begins_late_ = true;
  return from.ok();
}

// Once, before any process.
bool recording_reader::take_source(byte_reader from) {
  if (!run_.processes.empty() || run_.source) return false;
  recording_source source;
  source.tool = from.text();
  source.gaps = from.number_below(gap_limit);
  source.time_step_ns = from.number();
  source.sample_interval_bytes = from.number();
  run_.source = std::move(source);
  return from.ok();
}

bool recording_reader::take_sums(byte_reader from, recorded_process& into) {
  std::vector<stack_sum> told;
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    stack_sum one;
    one.stack = static_cast<std::uint32_t>(from.number_below(into.record.stacks.size()));
    for (std::uint64_t* figure : {&one.allocated_blocks, &one.allocated_bytes, &one.live_blocks, &one.live_bytes})
      *figure = from.number();
    told.push_back(one);
  }
  if (!from.ok()) return false;
  into.sums.insert(into.sums.end(), told.begin(), told.end());
  return true;
}

// Of a process of which nothing was dropped, as far as is known.
bool recording_reader::take_totals(byte_reader from, recorded_process& into) {
  return into.totals.take(from, into.record.stacks.size());
}

bool recording_reader::take_answers(byte_reader from, process_record& into) const {
  std::vector<std::uint32_t> told;
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t answer = from.number_below(names_->size() + 1);
    told.push_back(answer == 0 ? no_index : static_cast<std::uint32_t>(answer - 1));
  }
  if (!from.ok() || into.answers.size() + told.size() > into.locations.size()) return false;
  into.answers.insert(into.answers.end(), told.begin(), told.end());
  into.names = names_;
  return true;
}

bool recording_reader::is_preferred(const memory_map& one, const memory_map& other, std::uint64_t start_ns) const {
  if (!memory_wish_->at_ns) return bytes_in_use(one.statistics) > bytes_in_use(other.statistics);
  const std::uint64_t wanted_ns = moment_of(start_ns, *memory_wish_->at_ns);
  const auto distance = [&](const memory_map& of) {
    return of.time_ns > wanted_ns ? of.time_ns - wanted_ns : wanted_ns - of.time_ns;
  };
  return distance(one) < distance(other);
}

bool recording_reader::take_memory(byte_reader from, process_record& into) const {
  if (!memory_wish_) return true;
  memory_map map;
  std::uint32_t page_bytes = 0;
  if (!decode_memory(from, map, page_bytes)) return false;
  into.page_bytes = page_bytes;
  if (memory_wish_->wants_mappings && map.mappings.empty()) return true;
  if (map.time_ns < moment_of(into.start_ns, memory_wish_->from_ns) ||
      map.time_ns > moment_of(into.start_ns, memory_wish_->to_ns))
    return true;
  if (into.maps.empty() || is_preferred(map, into.maps.front(), into.start_ns)) into.maps.assign(1, std::move(map));
  return true;
}

// The first one of a process of which nothing was read. Whoever reads from the beginning needs none.
bool recording_reader::take_checkpoint(const record::block& block, const alive_visitor& alive) {
  recorded_process& process = run_.processes[block.process - 1];
  if (!begins_late_ || process.before || process.events != 0) return true;
  record::checkpoint_reader& parts = checkpoints_[block.process - 1];
  const auto state = parts.take(block.payload);
  if (state == record::checkpoint_reader::state::broken) return false;
  record::own_slots& slots = slots_[block.process - 1];
  for (record::event& one : parts.blocks()) {
    if (one.thread >= process.record.threads.size() || one.stack >= process.record.stacks.size()) return false;
    slots.take_alive(one.slot);
  }
  if (alive) alive(block.process - 1, parts);
  if (state == record::checkpoint_reader::state::open) return true;
  process.before = parts.told();
  process.last_event_ns = parts.told().last_ns;
  slots.set_file(parts.slots());
  return true;
}

}  // namespace tenure::collect
