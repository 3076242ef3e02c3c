// What a process wrote of its scan, read back; and files that a process did not finish, or that are none.
#include "instruments/collect/leak_scan.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

namespace tenure::collect {
namespace {

class LeakScanFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("leak-scan-test." + std::to_string(::getpid()));
    header_.magic = wire::leak_scan_magic;
    header_.version = wire::leak_scan_version;
    header_.pause_ns = 12345;
    header_.record_count = 3;
    text_.resize(wire::leak_records_offset_bytes);
    add({.address = 0x1000, .bytes = 64, .sample_id = 9, .reach = 1, .reserved = 0, .leader = 0, .held = {2, 96}});
    add({.address = 0x2000, .bytes = 32, .sample_id = 0, .reach = 2, .reserved = 0, .leader = 0, .held = {}});
    add({.address = 0x3000, .bytes = 48, .sample_id = 0, .reach = 3, .reserved = 0, .leader = 0x1000, .held = {}});
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void add(const wire::leak_record& record) { text_.append(reinterpret_cast<const char*>(&record), sizeof record); }
  void write(std::size_t bytes) {
    std::memcpy(text_.data(), &header_, sizeof header_);
    std::ofstream(path_, std::ios::binary).write(text_.data(), static_cast<std::streamsize>(bytes));
  }

  std::filesystem::path path_;
  wire::leak_scan_header header_{};
  std::string text_;
};

TEST_F(LeakScanFile, IsReadAsItWasWritten) {
  write(text_.size());
  ASSERT_EQ(look_for_scan(path_), scan_state::there);
  const auto scan = read_leak_scan(path_);
  ASSERT_TRUE(scan.has_value());
  EXPECT_EQ(scan->header.pause_ns, 12345u);
  ASSERT_EQ(scan->blocks.size(), 3u);
  EXPECT_EQ(scan->refused_records, 0u);
  EXPECT_EQ(scan->blocks[0].address, 0x1000u);
  EXPECT_EQ(scan->blocks[0].sample_id, 9u);
  EXPECT_EQ(scan->blocks[0].held.bytes, 96u);
  EXPECT_EQ(scan->blocks[1].reach, wire::block_reach::possible);
  EXPECT_EQ(scan->blocks[2].leader, 0x1000u);
}

TEST_F(LeakScanFile, WithoutItsMagicItIsNotThere) {
  EXPECT_EQ(look_for_scan(path_), scan_state::none);
  EXPECT_FALSE(read_leak_scan(path_).has_value());
  header_.magic = 0;
  write(text_.size());
  EXPECT_EQ(look_for_scan(path_), scan_state::none);
  EXPECT_FALSE(read_leak_scan(path_).has_value());
}

TEST_F(LeakScanFile, IsAwaitedWhileItsWriterHasItLocked) {
  header_.magic = 0;
  write(text_.size());
  const int writer = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(writer, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(look_for_scan(path_), scan_state::awaited);
  const std::uint64_t magic = wire::leak_scan_magic;
  ASSERT_EQ(::pwrite(writer, &magic, sizeof magic, 0), static_cast<ssize_t>(sizeof magic));
  EXPECT_EQ(look_for_scan(path_), scan_state::there);
  ::close(writer);
  EXPECT_EQ(look_for_scan(path_), scan_state::there);
}

// What a process puts there instead must not hold up whoever reads, nor lead him elsewhere.
TEST_F(LeakScanFile, ThatIsNoPlainFileIsNone) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(look_for_scan(path_), scan_state::none);
  EXPECT_FALSE(read_leak_scan(path_).has_value());
  std::filesystem::remove(path_);
  const std::filesystem::path target = path_.string() + ".target";
  write(text_.size());
  std::filesystem::rename(path_, target);
  ASSERT_EQ(look_for_scan(target), scan_state::there);
  std::filesystem::create_symlink(target, path_);
  EXPECT_EQ(look_for_scan(path_), scan_state::none);
  EXPECT_FALSE(read_leak_scan(path_).has_value());
  std::filesystem::remove(target);
}

TEST_F(LeakScanFile, OfAnotherVersionOrAnUnknownRefusalIsNone) {
  header_.version = wire::leak_scan_version + 1;
  write(text_.size());
  EXPECT_FALSE(read_leak_scan(path_).has_value());
  header_.version = wire::leak_scan_version;
  header_.refusal = 77;
  write(text_.size());
  EXPECT_FALSE(read_leak_scan(path_).has_value());
}

TEST_F(LeakScanFile, WhatMakesNoSenseIsCountedAndLeftOut) {
  add({.address = 0x4000, .bytes = 16, .sample_id = 0, .reach = 0, .reserved = 0, .leader = 0, .held = {}});
  add({.address = 0x5000, .bytes = 16, .sample_id = 0, .reach = 99, .reserved = 0, .leader = 0, .held = {}});
  add({.address = 0x6000, .bytes = 0, .sample_id = 0, .reach = 1, .reserved = 0, .leader = 0, .held = {}});
  header_.record_count = 6;
  write(text_.size());
  const auto scan = read_leak_scan(path_);
  ASSERT_TRUE(scan.has_value());
  EXPECT_EQ(scan->blocks.size(), 3u);
  EXPECT_EQ(scan->refused_records, 3u);
}

// A root at 0x9000, a block that it holds, one within that, and one whose holder comes behind it.
TEST_F(LeakScanFile, HoldersAreFoundByWhereThePointersLie) {
  const auto add_held = [&](std::uint64_t address, std::uint64_t place, std::uint64_t inside, std::uint32_t reach) {
    const wire::held_record one{address, 64, 0, place, inside, reach, 0};
    text_.append(reinterpret_cast<const char*>(&one), sizeof one);
    ++header_.held_count;
  };
  const auto add_root = [&](std::uint64_t begin, std::uint64_t end, wire::root_kind kind) {
    const wire::root_range one{begin, end, static_cast<std::uint32_t>(kind), 7, 0};
    text_.append(reinterpret_cast<const char*>(&one), sizeof one);
    ++header_.root_count;
  };
  add_held(0x5000, 0x9008, 0, 0);
  add_held(0x6000, 0x5038, 16, 0);
  add_held(0x7000, 0x8010, 0, 2);
  add_held(0x8000, 0x9118, 0, 0);
  add_held(0x8100, 0x9500, 0, 0);
  add_held(0x8200, 0x9000, 64, 0);  // beyond its end
  add_held(0x8300, 0x9000, 0, 1);   // held, and lost
  add_root(0x9000, 0x9200, wire::root_kind::stack);
  add_root(0x9100, 0x9200, wire::root_kind::registers);
  add_root(0x9200, 0x9200, wire::root_kind::memory);  // empty
  write(text_.size());
  const auto scan = read_leak_scan(path_);
  ASSERT_TRUE(scan.has_value());
  EXPECT_EQ(scan->refused_records, 3u);
  ASSERT_EQ(scan->held.size(), 5u);
  ASSERT_EQ(scan->roots.size(), 2u);
  EXPECT_EQ(scan->held[0].root, 0u);
  EXPECT_EQ(scan->held[0].holder, no_index);
  EXPECT_EQ(scan->held[1].holder, 0u);
  EXPECT_EQ(scan->held[1].inside, 16u);
  EXPECT_EQ(scan->held[2].holder, no_index);
  EXPECT_EQ(scan->held[2].root, no_index);
  EXPECT_EQ(scan->held[3].root, 1u);
  EXPECT_EQ(scan->held[4].root, no_index);
}

TEST_F(LeakScanFile, CutAnywhereItHoldsWhatIsWhole) {
  header_.record_count = ~0ull;
  for (std::size_t bytes = 0; bytes <= text_.size(); bytes += 61) {
    write(bytes);
    const auto scan = read_leak_scan(path_);
    EXPECT_EQ(scan.has_value(), bytes >= sizeof header_) << bytes;
    if (!scan) continue;
    const std::size_t whole = bytes < wire::leak_records_offset_bytes
                                  ? 0
                                  : (bytes - wire::leak_records_offset_bytes) / sizeof(wire::leak_record);
    EXPECT_EQ(scan->blocks.size(), whole) << bytes;
    EXPECT_NE(scan->refused_records, 0u);
  }
}

}  // namespace
}  // namespace tenure::collect
