#include "instruments/collect/recording_writer.h"

namespace tenure::collect {

using record::block_kind;
using record::byte_writer;

void recording_writer::begin_run(const recording& run, const std::vector<std::string>& command) {
  byte_writer block;
  block.number(run.start_ns);
  block.number(command.size());
  for (const std::string& word : command) block.text(word);
  file_.write(block_kind::run, 0, block.bytes());
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
  file_.write(block_kind::process, number, block.bytes());
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
  file_.write(block_kind::dictionary, number, block.bytes());
}

void recording_writer::write_events(std::uint32_t number, const process_record& process,
                                    std::span<const record::event> events) {
  if (events.empty()) return;
  write_dictionary(number, process);
  file_.write(block_kind::events, number, record::encode_events(events).bytes());
}

void recording_writer::end_process(std::uint32_t number, const process_record& process, const tape_losses& losses) {
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
  file_.write(block_kind::end, number, block.bytes());
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
  file_.write(block_kind::run_end, 0, block.bytes());
}

}  // namespace tenure::collect
