// Programs that become others, as their region files tell it.
#include "instruments/collect/session_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "instruments/collect/process_watch.h"
#include "instruments/collect/recording_writer.h"
#include "tests/support/region_writer.h"
#include "wire/tape.h"

namespace tenure::collect {
namespace {

using testing::region_writer;

class SessionWatch : public ::testing::Test {
 protected:
  SessionWatch() {
    char name[] = "/tmp/tenure-session-test.XXXXXX";
    folder_ = ::mkdtemp(name);
    // It has none of the regions in its memory, whatever they say.
    pid_ = ::fork();
    if (pid_ == 0)
      for (;;) ::pause();
    watch_ = std::make_unique<session_watch>(folder_, nullptr, run_);
  }
  ~SessionWatch() override {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }

  std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  void begin(std::uint32_t generation, wire::origin origin) {
    region_writer writer(folder_, pid(), generation, origin);
    writer.publish();
    watch_->look();
  }
  // Seen without a region.
  void lose() { EXPECT_FALSE(watch_->still_watches(pid(), true, ++time_ns_)); }
  std::vector<process_end> ends() {
    watch_->finish_all([](std::uint32_t) { return true; });
    watch_->give_records();
    std::vector<process_end> found;
    for (const process_record& one : run_.processes) found.push_back(one.end);
    return found;
  }

  std::filesystem::path folder_;
  pid_t pid_ = 0;
  recording run_;
  std::uint64_t time_ns_ = 0;
  std::unique_ptr<session_watch> watch_;
};

TEST_F(SessionWatch, ARegionThatComesLateTellsOfAnotherProgram) {
  begin(0, wire::origin::exec);
  lose();
  begin(1, wire::origin::exec);
  EXPECT_EQ(ends(), (std::vector{process_end::replaced, process_end::vanished}));
}

TEST_F(SessionWatch, ARegionThatComesWhenTheProcessIsGoneTellsOfAnotherProgramToo) {
  begin(0, wire::origin::fork);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  watch_->tick_if_due([](std::uint32_t) { return false; });
  begin(1, wire::origin::exec);
  EXPECT_EQ(ends(), (std::vector{process_end::replaced, process_end::vanished}));
}

TEST_F(SessionWatch, WithoutOneItIsAProgramWithoutTenure) {
  begin(0, wire::origin::exec);
  lose();
  EXPECT_EQ(ends(), (std::vector{process_end::unwatched}));
}

TEST_F(SessionWatch, AnotherProcessOfTheSameNumberChangesNothing) {
  begin(0, wire::origin::exec);
  lose();
  begin(1, wire::origin::fork);
  begin(2, wire::origin::exec);
  EXPECT_EQ(ends(), (std::vector{process_end::unwatched, process_end::replaced, process_end::vanished}));
}

// The same while every allocation is recorded: then a process has a tape, and its RSS is not read at each look.
class RecordedSessionWatch : public SessionWatch {
 protected:
  RecordedSessionWatch() {
    auto file = record::block_writer::create(folder_ / "run.tenure");
    if (!file) throw std::runtime_error(file.error());
    writer_.emplace(std::move(*file));
    writer_->begin_run(run_, {"program"});
    watch_ = std::make_unique<session_watch>(folder_, &*writer_, run_);
  }

  std::filesystem::path name() const { return folder_ / (std::to_string(pid()) + ".0.region"); }
  // A tape on which nothing is told yet.
  void make_tape() {
    const std::filesystem::path path = name().replace_extension("tape");
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    wire::tape_header header{};
    header.magic = wire::tape_magic;
    header.version = wire::tape_version;
    header.pid = pid();
    header.total_bytes = wire::tape_bytes;
    header.begin_ns = testing::clock_ns(CLOCK_MONOTONIC);
    header.node_count = wire::stack_root_count;
    EXPECT_EQ(::ftruncate(file, static_cast<off_t>(wire::tape_bytes)), 0);
    EXPECT_EQ(::pwrite(file, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    ::close(file);
  }
  void kill_it() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  std::optional<recording_writer> writer_;
};

TEST_F(RecordedSessionWatch, OneThatEndedSinceItsMemoryWasReadIsNotThere) {
  make_tape();
  begin(0, wire::origin::exec);
  watch_->tick_if_due([](std::uint32_t) { return false; });
  // The end of the run is no later than that: what was read then is as new as can be.
  run_.end_ns = 0;
  kill_it();
  watch_->finish_all([](std::uint32_t) { return false; });
  watch_->give_records();
  ASSERT_EQ(run_.processes.size(), 1u);
  EXPECT_EQ(run_.processes[0].end, process_end::vanished);
}

TEST_F(RecordedSessionWatch, MemoryIsReadNowAndThenButWhetherItIsThereAlways) {
  constexpr std::uint64_t some_ns = 1'000'000'000, pause_ns = 20'000'000;
  region_writer writer(folder_, pid(), 0, wire::origin::exec);
  writer.publish();
  auto reader = region_reader::open(name());
  ASSERT_TRUE(reader);
  process_watch watch(std::move(*reader), name(), 0);
  watch.record_to(*writer_);
  std::string buffer;
  collector_cost cost;
  // Without a tape it is as one that is not recorded: at each look.
  watch.drain();
  EXPECT_TRUE(watch.sample_memory(some_ns, buffer, cost));
  EXPECT_TRUE(watch.is_memory_due(some_ns));
  make_tape();
  watch.drain();
  EXPECT_FALSE(watch.is_memory_due(some_ns));
  EXPECT_FALSE(watch.is_memory_due(some_ns + pause_ns - 1));
  EXPECT_TRUE(watch.is_memory_due(some_ns + pause_ns));
  EXPECT_TRUE(watch.sample_memory(some_ns + pause_ns, buffer, cost));
  EXPECT_FALSE(watch.is_memory_due(some_ns + pause_ns));
  kill_it();
  EXPECT_FALSE(watch.sample_memory(some_ns + pause_ns, buffer, cost));
}

// As where its last destructor has run and the machine has other things to do than to end it.
TEST_F(RecordedSessionWatch, WhatAProcessHoldsOnItsWayOutIsNotOfItsLife) {
  constexpr std::uint64_t some_ns = 1'000'000'000;
  // The test's own process has its region in memory, so that what it holds can be read.
  region_writer writer(folder_, static_cast<std::uint32_t>(::getpid()), 0, wire::origin::exec);
  writer.publish();
  auto reader = region_reader::open(writer.path());
  ASSERT_TRUE(reader);
  process_watch watch(std::move(*reader), writer.path(), 0);
  std::string buffer;
  collector_cost cost;
  EXPECT_TRUE(watch.sample_memory(some_ns, buffer, cost));
  writer.exit_with("", 1);
  EXPECT_TRUE(watch.sample_memory(2 * some_ns, buffer, cost));
  const process_record seen = watch.moment(3 * some_ns);
  ASSERT_EQ(seen.resident.size(), 1u);
  EXPECT_EQ(seen.resident[0].time_ns, some_ns);
}

}  // namespace
}  // namespace tenure::collect
