// What threads could not tell, from a tape whose every word is written here to what a reader of the recording has.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "instruments/collect/process_watch.h"
#include "instruments/collect/recording_reader.h"
#include "instruments/collect/recording_writer.h"
#include "tests/support/region_writer.h"
#include "wire/tape.h"

namespace tenure::collect {
namespace {

using words = std::vector<std::uint64_t>;
using counts = std::array<std::uint64_t, 3>;  // allocations, bytes, frees

constexpr std::uint64_t first_word(wire::tape_kind kind, std::uint64_t address) {
  return static_cast<std::uint64_t>(kind) << wire::tape_kind_shift | address;
}
words thread_record(std::uint32_t id, const counts& lost) {
  return {first_word(wire::tape_kind::thread, id), 1, lost[0], lost[1], lost[2]};
}
words free_record(std::uint64_t address) { return {first_word(wire::tape_kind::free, address), 2}; }

words operator+(words one, const words& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

class TapeLosses : public ::testing::Test {
 protected:
  TapeLosses() {
    char name[] = "/tmp/tenure-losses-test.XXXXXX";
    folder_ = ::mkdtemp(name);
    tape_ = ::open(file("tape").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    EXPECT_EQ(::ftruncate(tape_, static_cast<off_t>(wire::tape_bytes)), 0);
    header_.magic = wire::tape_magic;
    header_.version = wire::tape_version;
    header_.total_bytes = wire::tape_bytes;
    header_.node_count = wire::stack_root_count;
  }
  ~TapeLosses() override {
    ::close(tape_);
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path file(const char* kind) const { return folder_ / (std::to_string(::getpid()) + ".0." + kind); }
  // What the ring holds, and has counted until now.
  void add_ring(const words& told, const counts& lost) {
    const wire::ring_place place = wire::ring_place_of(header_.ring_count++);
    wire::tape_ring_header ring{};
    ring.head = told.size();
    ring.lost_allocations = lost[0];
    ring.lost_bytes = lost[1];
    ring.lost_frees = lost[2];
    put(&ring, sizeof ring, place.header_offset_bytes);
    put(told.data(), told.size() * sizeof told[0], place.words_offset_bytes);
  }
  // As the recording has it.
  recorded_process recorded() {
    put(&header_, sizeof header_, 0);
    auto file_of = record::block_writer::create(folder_ / "run.tenure");
    EXPECT_TRUE(file_of);
    recording_writer writer(std::move(*file_of));
    testing::region_writer region(folder_, static_cast<std::uint32_t>(::getpid()), 0);
    region.publish();
    auto reader = region_reader::open(file("region"));
    EXPECT_TRUE(reader);
    process_watch watch(std::move(*reader), file("region"), 0);
    writer.begin_run({}, {"program"});
    watch.record_to(writer);
    watch.drain();
    watch.finish(process_end::exited, testing::clock_ns(CLOCK_MONOTONIC));
    writer.end_run({});
    EXPECT_FALSE(writer.error());
    auto read = recording_reader::open(folder_ / "run.tenure");
    EXPECT_TRUE(read);
    read->survey();
    EXPECT_FALSE(read->run().damage);
    EXPECT_EQ(read->run().processes.size(), 1u);
    return read->run().processes.at(0);
  }
  // By the kernel's id of the thread.
  static std::vector<std::pair<std::uint32_t, counts>> by_thread(const recorded_process& of) {
    std::vector<std::pair<std::uint32_t, counts>> result;
    for (const thread_losses& one : of.losses.by_thread)
      result.emplace_back(of.record.threads.at(one.thread).id, counts{one.allocations, one.bytes, one.frees});
    std::sort(result.begin(), result.end());
    return result;
  }

  std::filesystem::path folder_;
  wire::tape_header header_{};

 private:
  void put(const void* from, std::size_t bytes, std::uint64_t offset_bytes) {
    EXPECT_EQ(::pwrite(tape_, from, bytes, static_cast<off_t>(offset_bytes)), static_cast<ssize_t>(bytes));
  }
  int tape_ = -1;
};

using expected = std::vector<std::pair<std::uint32_t, counts>>;

TEST_F(TapeLosses, AreOfTheThreadThatHadTheRing) {
  add_ring(thread_record(101, {0, 0, 0}) + free_record(0x10) + thread_record(102, {5, 500, 2}) + free_record(0x20) +
               thread_record(103, {5, 500, 2}) + free_record(0x30),
           {9, 700, 3});
  add_ring(thread_record(101, {0, 0, 0}) + thread_record(104, {1, 10, 0}), {1, 10, 0});
  header_.lost_allocations = 4;  // by a thread without a ring
  header_.lost_bytes = 40;
  const recorded_process process = recorded();
  EXPECT_EQ(by_thread(process), (expected{{101, {6, 510, 2}}, {103, {4, 200, 1}}}));
  EXPECT_EQ(process.losses.allocations, 14u);
  EXPECT_EQ(process.losses.bytes, 750u);
  EXPECT_EQ(process.losses.frees, 3u);
  EXPECT_EQ(process.losses.refused_records, 0u);
}

TEST_F(TapeLosses, OfAThreadWithoutAnyEventHaveItsName) {
  add_ring(thread_record(101, {0, 0, 0}), {7, 70, 7});
  const recorded_process process = recorded();
  EXPECT_EQ(process.events, 0u);
  EXPECT_EQ(by_thread(process), (expected{{101, {7, 70, 7}}}));
}

TEST_F(TapeLosses, ThatGoBackwardsAreNobodys) {
  add_ring(thread_record(101, {5, 500, 5}) + thread_record(102, {4, 500, 5}) + thread_record(103, {6, 510, 5}),
           {2, 20, 2});
  const recorded_process process = recorded();
  EXPECT_EQ(by_thread(process), (expected{{102, {1, 10, 0}}}));
  EXPECT_EQ(process.losses.refused_records, 1u);
  EXPECT_EQ(process.losses.allocations, 2u);
}

TEST_F(TapeLosses, OfARingThatCannotBeReadAreNobodys) {
  add_ring(thread_record(101, {0, 0, 0}) + words{0, 0}, {7, 70, 7});
  const recorded_process process = recorded();
  EXPECT_TRUE(process.losses.is_corrupt);
  EXPECT_EQ(by_thread(process), expected{});
  EXPECT_EQ(process.losses.allocations, 7u);
}

// A block of version 6, which ends with the threads.
TEST_F(TapeLosses, AreNotInOlderRecordings) {
  const auto path = folder_ / "old.tenure";
  {
    auto writer = record::block_writer::create(path);
    ASSERT_TRUE(writer);
    record::byte_writer run, process, end;
    for (int i = 0; i < 2; ++i) run.number(0);
    for (int i = 0; i < 8; ++i) process.number(0);
    end.number(static_cast<std::uint64_t>(process_end::exited));
    for (int i = 0; i < 8; ++i) end.number(3);
    end.number(0);  // it could be read to its end
    end.number(1);
    end.number(4711);
    end.text("worker");
    writer->write(record::block_kind::run, 0, run.bytes());
    writer->write(record::block_kind::process, 1, process.bytes());
    writer->write(record::block_kind::end, 1, end.bytes());
  }
  auto read = recording_reader::open(path);
  ASSERT_TRUE(read);
  read->survey();
  EXPECT_FALSE(read->run().damage);
  const recorded_process& process = read->run().processes.at(0);
  EXPECT_EQ(process.losses.allocations, 3u);
  EXPECT_TRUE(process.losses.by_thread.empty());
  EXPECT_EQ(process.record.threads.at(0).name, "worker");
}

}  // namespace
}  // namespace tenure::collect
