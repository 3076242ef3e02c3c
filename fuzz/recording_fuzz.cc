// The reader of recordings, with any bytes at all: as a file, as a block of events, and as the contents of blocks whose
// checksums are right, which a file of a hostile writer would have.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "instruments/collect/recording_reader.h"

namespace {

using namespace tenure;

void require(bool holds, std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "not so: line %u\n", static_cast<unsigned>(where.line()));
  std::abort();
}

// Whatever the reader hands on must name what is there.
void read_all(collect::recording_reader& reader) {
  const auto visit = [&](std::size_t process, std::span<const record::event> events) {
    require(process < reader.run().processes.size());
    const collect::process_record& of = reader.run().processes[process].record;
    for (const record::event& one : events) {
      require(one.thread < of.threads.size());
      const bool has_stack = one.kind == record::event_kind::allocation || one.stack != record::no_stack;
      if (has_stack) require(one.stack < of.stacks.size());
    }
    return true;
  };
  const auto alive = [&](std::size_t process, const record::checkpoint_reader& part) {
    require(process < reader.run().processes.size());
    const collect::process_record& of = reader.run().processes[process].record;
    for (const record::event& one : part.blocks()) {
      require(one.thread < of.threads.size() && one.stack < of.stacks.size());
      require(one.slot < part.live_count());
    }
  };
  reader.survey();
  const auto rounds = reader.rounds();
  for (const auto& round : rounds) reader.read(visit, alive, round.position_bytes);
  reader.read(visit, alive);
  for (const collect::recorded_process& process : reader.run().processes) {
    for (const collect::stack& stack : process.record.stacks)
      for (const std::uint32_t place : stack.locations) require(place < process.record.locations.size());
    for (const collect::location& place : process.record.locations)
      require(place.module == collect::no_index || place.module < process.record.modules.size());
    for (const collect::stack_sum& sum : process.sums) require(sum.stack < process.record.stacks.size());
    for (const collect::thread_losses& one : process.losses.by_thread)
      require(one.thread < process.record.threads.size());
    for (const auto& [stack, total] : process.totals.stacks) require(stack < process.record.stacks.size());
    for (const auto& [stacks, amount] : process.totals.freed)
      require((stacks >> 32) < process.record.stacks.size() && (stacks & 0xffff'ffff) < process.record.stacks.size());
    require(process.record.answers.size() <= process.record.locations.size());
    for (const std::uint32_t answer : process.record.answers)
      if (answer != collect::no_index) require(!process.record.names->frames(answer).empty());
  }
}

// Each block: kind, process, length of the payload, payload.
void read_as_blocks(std::span<const std::uint8_t> input) {
  const int file = ::memfd_create("recording", MFD_CLOEXEC);
  if (file < 0) return;
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (auto writer = record::block_writer::create(path)) {
    while (input.size() >= 3) {
      const std::size_t length = std::min<std::size_t>(input[2], input.size() - 3);
      writer->write(static_cast<record::block_kind>(input[0] % 16), input[1] % 4, input.subspan(3, length));
      input = input.subspan(3 + length);
    }
    if (auto reader = collect::recording_reader::open(path)) read_all(*reader);
  }
  ::close(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> input(data, size);
  if (auto file = record::block_reader::over(input)) {
    collect::recording_reader reader(std::move(*file));
    read_all(reader);
  }
  std::vector<record::event> events;
  record::decode_events(input, events);
  read_as_blocks(input);
  return 0;
}
