// A recording of one process that was never run: thrown blocks, known to the test one by one, in a file as
// `tenure record` writes it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "instruments/collect/recording_reader.h"
#include "instruments/collect/recording_writer.h"
#include "support/dice.h"

namespace tenure::test {

inline constexpr std::uint64_t made_start_ns = 5'000'000'000;

struct made_block {
  std::uint64_t bytes = 0;
  std::uint32_t stack = 0;
  std::uint32_t thread = 0;
  std::uint32_t freer = 0;  // thread
  std::uint32_t free_stack = record::no_stack;
  std::uint64_t from_ns = 0;    // since the start; times are all different
  std::uint64_t to_ns = ~0ull;  // ~0: never freed
  std::uint8_t entry = 1;

  bool lives_at(std::uint64_t ns) const { return from_ns <= ns && ns < to_ns; }
};

// Modules without a file, so that functions are called app+0x10 and the like. Stacks, innermost first:
//   0  malloc < app+0x10 < app+0x90        2  malloc < plug+0x30 < app+0x90
//   1  malloc < app+0x20 < app+0x90        3  malloc < plug+0x40 < app+0x20 < app+0x90
inline collect::process_record made_process() {
  collect::process_record record;
  record.pid = 77;
  record.parent_pid = 1;
  record.start_ns = made_start_ns;
  record.start_realtime_ns = 1'700'000'000'000'000'000;
  record.executable = "/no/such/app";
  record.command_line = {"app", "--fast"};
  const auto add = [&](const char* path, std::uint64_t begin) {
    collect::module one;
    one.path = path;
    one.begin = one.bias = begin;
    one.end = begin + 0x1000;
    record.modules.push_back(one);
  };
  add("/no/such/libtenure-malloc.so", 0x10000);
  add("/no/such/app", 0x20000);
  add("/no/such/libplug.so", 0x30000);
  // A return address: its call lies one byte before.
  record.locations = {{0, 0x10101}, {1, 0x20011}, {1, 0x20021}, {1, 0x20091}, {2, 0x30031}, {2, 0x30041}};
  record.stacks = {{{0, 1, 3}, {}}, {{0, 2, 3}, {}}, {{0, 4, 3}, {}}, {{0, 5, 2, 3}, {}}};
  record.threads = {{77, "app"}, {78, "worker-1"}, {79, "worker-2"}};
  return record;
}

inline std::vector<made_block> thrown_blocks(std::uint32_t seed, std::size_t count) {
  dice thrown(seed);
  std::vector<std::uint64_t> times;
  for (std::size_t i = 0; i < 2 * count; ++i) times.push_back((i + 1) * 1000 * record::event_time_unit_ns);
  std::vector<made_block> blocks;
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < times.size() && (blocks.size() < count || !open.empty()); ++at) {
    // More come than go at first, so that there is a peak in the middle.
    const bool comes = open.empty() || (blocks.size() < count && thrown.below(100) < (at < count ? 70u : 40u));
    if (comes) {
      made_block one;
      one.bytes = 1 + thrown.below(1u << thrown.below(14));
      one.stack = thrown.below(4);
      one.thread = thrown.below(3);
      one.from_ns = times[at];
      open.push_back(blocks.size());
      blocks.push_back(one);
      continue;
    }
    const std::uint32_t which = thrown.below(static_cast<std::uint32_t>(open.size()));
    if (!thrown.one_in(10)) {  // else it is never freed
      blocks[open[which]].to_ns = times[at];
      blocks[open[which]].freer = thrown.below(3);
    }
    open.erase(open.begin() + which);
  }
  return blocks;
}

inline void write_recording(const std::filesystem::path& path, const std::vector<made_block>& blocks,
                            collect::process_record process, std::uint64_t end_ns,
                            const collect::recording_limits& limits = {},
                            const std::vector<collect::memory_map>& memories = {}) {
  auto file = record::block_writer::create(path);
  ASSERT_TRUE(file) << file.error();
  collect::recording_writer writer(std::move(*file), limits);
  collect::recording run;
  run.start_ns = made_start_ns;
  writer.begin_run(run, process.command_line);
  const std::uint32_t number = writer.begin_process(process);
  struct change {
    std::uint64_t time_ns;
    std::size_t block;
    bool is_free;
  };
  std::vector<change> changes;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    changes.push_back({blocks[i].from_ns, i, false});
    if (blocks[i].to_ns != ~0ull) changes.push_back({blocks[i].to_ns, i, true});
  }
  std::stable_sort(changes.begin(), changes.end(), [](auto& a, auto& b) { return a.time_ns < b.time_ns; });
  record::slot_table slots;
  std::vector<std::uint32_t> slot_of(blocks.size());
  std::vector<record::event> events;
  const auto flush = [&] {
    writer.write_events(number, process, events);
    events.clear();
  };
  for (const change& one : changes) {
    const made_block& block = blocks[one.block];
    record::event told;
    told.time_ns = made_start_ns / record::event_time_unit_ns * record::event_time_unit_ns + one.time_ns;
    told.thread = one.is_free ? block.freer : block.thread;
    if (one.is_free) {
      told.kind = record::event_kind::free;
      told.slot = slot_of[one.block];
      told.stack = block.free_stack;
      slots.give(told.slot);
    } else {
      told.stack = block.stack;
      told.bytes = block.bytes;
      told.entry = block.entry;
      slot_of[one.block] = slots.take();
    }
    events.push_back(told);
    if (events.size() == 1000) flush();
  }
  flush();
  for (const collect::memory_map& one : memories) writer.write_memory(number, one);
  process.end = collect::process_end::exited;
  process.end_ns = made_start_ns + end_ns;
  writer.end_process(number, process, {});
  run.end_ns = process.end_ns;
  writer.end_run(run);
  ASSERT_FALSE(writer.error());
}

// A file of its own for each test, gone at its end.
class made_file {
 public:
  made_file()
      : path_(std::filesystem::path(::testing::TempDir()) / (std::string("made.") + std::to_string(::getpid()) + "." +
                                                             test_name() + "." + std::to_string(++count()))) {}
  ~made_file() { std::filesystem::remove(path_); }
  made_file(const made_file&) = delete;
  made_file& operator=(const made_file&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  // One of several parameters is "test/3".
  static std::string test_name() {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '.');
    return name;
  }
  static int& count() {
    static int made = 0;
    return made;
  }
  std::filesystem::path path_;
};

}  // namespace tenure::test
