// Region files as a program writes them, and as nobody should.
#include "instruments/collect/region_reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <random>

#include "tests/support/region_writer.h"

namespace tenure::collect {
namespace {

using testing::region_writer;
using testing::written_sample;

class RegionReader : public ::testing::Test {
 protected:
  RegionReader() {
    char name[] = "/tmp/tenure-region-test.XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~RegionReader() override { std::filesystem::remove_all(folder_); }

  // Reads everything that is to be had.
  process_record read_all(const std::filesystem::path& path, wire::hole at_hole = wire::hole::skip) {
    process_record record;
    const auto reader = region_reader::open(path);
    if (!reader || *reader == nullptr) return record;
    (*reader)->read_identity(record);
    event_decoder decoder(record);
    (*reader)->drain(decoder, at_hole, 10'000'000);
    (*reader)->read_state(record);
    (*reader)->read_contents(decoder, record);
    if (auto map = (*reader)->read_exit_map()) record.exit_map = std::move(*map);
    return record;
  }

  std::filesystem::path folder_;
};

TEST_F(RegionReader, ReadsWhatWasWritten) {
  region_writer writer(folder_, 42, 3, wire::origin::fork);
  writer.set_command_line(std::string_view("prog\0two words\0", 15), "/bin/prog");
  writer.header().malloc_owner = static_cast<std::uint32_t>(wire::malloc_owner::other);
  writer.publish();
  const std::uint8_t build_id[] = {0xab, 0x01};
  writer.write_module("/lib/one.so", 0x1000, 0x2000, 0x400, build_id);
  writer.write_thread(7, "worker");
  written_sample sample;
  sample.id = 1;
  sample.time_ns = writer.header().start_monotonic_ns + 10;
  sample.thread_id = 7;
  sample.frames = {0x1100, 0x9999};
  sample.truncated = 1;
  writer.write_sample(sample);
  writer.write_free(1, sample.time_ns + 5, 8, {0x1200});
  sample.id = 2;
  sample.is_inherited = true;
  writer.write_sample(sample);

  const process_record record = read_all(writer.path());
  EXPECT_EQ(record.pid, 42u);
  EXPECT_EQ(record.origin, wire::origin::fork);
  EXPECT_EQ(record.malloc_owner, wire::malloc_owner::other);
  EXPECT_EQ(record.command_line, (std::vector<std::string>{"prog", "two words"}));
  EXPECT_EQ(record.executable, "/bin/prog");
  ASSERT_EQ(record.modules.size(), 1u);
  EXPECT_EQ(record.modules[0].build_id, "ab01");
  EXPECT_EQ(record.modules[0].path, "/lib/one.so");
  ASSERT_EQ(record.samples.size(), 2u);
  EXPECT_TRUE(record.samples[1].is_inherited);
  const collect::sample& one = record.samples[0];
  EXPECT_FALSE(one.is_inherited);
  EXPECT_EQ(one.requested_bytes, 100u);
  EXPECT_EQ(one.free_time_ns, sample.time_ns + 5);
  EXPECT_EQ(record.threads[one.thread].name, "worker");
  EXPECT_EQ(record.threads[one.free_thread].id, 8u);
  const stack& of = record.stacks[one.stack];
  EXPECT_EQ(of.end, stack_end::limit);
  ASSERT_EQ(of.locations.size(), 2u);
  EXPECT_EQ(record.locations[of.locations[0]], (location{0, 0x1100}));
  EXPECT_EQ(record.locations[of.locations[1]], (location{no_index, 0x9999}));
}

TEST_F(RegionReader, KnowsModulesByTheTimeOfTheStack) {
  region_writer writer(folder_, 1, 0);
  writer.publish();
  written_sample sample;
  sample.frames = {0x1100};
  writer.write_module("/lib/first.so", 0x1000, 0x2000, 0);
  sample.id = 1;
  writer.write_sample(sample);
  writer.write_module("/lib/second.so", 0x1000, 0x3000, 0);
  sample.id = 2;
  writer.write_sample(sample);
  const process_record record = read_all(writer.path());
  ASSERT_EQ(record.samples.size(), 2u);
  const auto module_of = [&](std::size_t index) {
    return record.modules[record.locations[record.stacks[record.samples[index].stack].locations[0]].module].path;
  };
  EXPECT_EQ(module_of(0), "/lib/first.so");
  EXPECT_EQ(module_of(1), "/lib/second.so");
}

TEST_F(RegionReader, WaitsForAFileThatIsNotComplete) {
  region_writer writer(folder_, 1, 0);
  auto reader = region_reader::open(writer.path());
  ASSERT_TRUE(reader);
  EXPECT_EQ(*reader, nullptr);
  writer.publish();
  reader = region_reader::open(writer.path());
  ASSERT_TRUE(reader);
  EXPECT_NE(*reader, nullptr);
}

TEST_F(RegionReader, RefusesWhatIsNoRegion) {
  const auto objection = [&](auto change) {
    region_writer writer(folder_, 9, 0);
    writer.publish();
    change(writer);
    const auto reader = region_reader::open(writer.path());
    std::filesystem::remove(writer.path());
    return reader ? std::string() : reader.error();
  };
  EXPECT_NE(objection([](region_writer& w) { w.header().magic = 1; }), "");
  // Older or newer: it says both numbers, and reads nothing that may lie elsewhere.
  for (const std::uint32_t other : {wire::region_version - 1, wire::region_version + 1}) {
    const std::string said = objection([&](region_writer& w) { w.header().version = other; });
    EXPECT_TRUE(said.ends_with("has version " + std::to_string(other) + ", this command reads version " +
                               std::to_string(wire::region_version)));
  }
  EXPECT_NE(objection([](region_writer& w) { w.header().total_bytes = 1ull << 40; }), "");
  EXPECT_NE(objection([](region_writer& w) { w.header().pid = 0; }), "");
  EXPECT_NE(objection([](region_writer& w) { w.header().origin = 77; }), "");
  EXPECT_EQ(objection([](region_writer&) {}), "");
  EXPECT_FALSE(region_reader::open(folder_));  // a folder
  EXPECT_FALSE(region_reader::open(folder_ / "missing"));
}

TEST_F(RegionReader, StepsOverARecordThatWasNeverPublished) {
  region_writer writer(folder_, 1, 0);
  writer.publish();
  written_sample sample;
  sample.id = 1;
  writer.write_sample(sample);
  writer.reserve_without_publishing(80);
  sample.id = 2;
  writer.write_sample(sample);
  process_record waiting = read_all(writer.path(), wire::hole::wait);
  EXPECT_EQ(waiting.samples.size(), 1u);
  const process_record record = read_all(writer.path(), wire::hole::skip);
  EXPECT_EQ(record.samples.size(), 1u);  // the first one was taken by the earlier reader
  EXPECT_EQ(record.lost_bytes, 80u);
}

TEST_F(RegionReader, ReadsAFileThatIsCutShort) {
  region_writer writer(folder_, 1, 0);
  writer.publish();
  written_sample sample;
  sample.id = 1;
  writer.write_sample(sample);
  auto reader = region_reader::open(writer.path());
  ASSERT_TRUE(reader && *reader);
  std::filesystem::resize_file(writer.path(), 4096);
  process_record record;
  event_decoder decoder(record);
  (*reader)->drain(decoder, wire::hole::skip, 1000);
  (*reader)->read_state(record);
  EXPECT_TRUE((*reader)->was_cut_short());
  EXPECT_TRUE(record.samples.empty());
}

TEST_F(RegionReader, RefusesSamplesThatMakeNoSense) {
  region_writer writer(folder_, 1, 0);
  writer.publish();
  written_sample good;
  good.id = 1;
  writer.write_sample(good);
  const auto bad = [&](auto change) {
    written_sample sample;
    sample.id = 100;
    change(sample);
    writer.write_sample(sample);
  };
  bad([](written_sample& s) { s.id = 1; });  // twice
  bad([](written_sample& s) { s.usable_bytes = 0; });
  bad([](written_sample& s) { s.usable_bytes = 1; });  // less than requested
  bad([](written_sample& s) { s.requested_bytes = s.usable_bytes = ~0ull; });
  bad([](written_sample& s) { s.interval_bytes = ~0ull; });
  bad([](written_sample& s) { s.truncated = 9; });
  bad([](written_sample& s) { s.entry = static_cast<wire::allocation_entry>(99); });
  writer.write_free(55, 1, 1, {});
  writer.write_module("/x", 0x2000, 0x1000, 0);
  const process_record record = read_all(writer.path());
  EXPECT_EQ(record.samples.size(), 1u);
  EXPECT_EQ(record.refused_events, 8u);
  EXPECT_EQ(record.unmatched_frees, 1u);
  EXPECT_TRUE(record.modules.empty());
}

// Whatever the bytes are, every index of the record stays within its table.
TEST_F(RegionReader, SurvivesDamage) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 150; ++round) {
    region_writer writer(folder_, 1, static_cast<std::uint32_t>(round));
    writer.set_command_line(std::string_view("a\0b\0", 4), "/a");
    writer.publish();
    writer.write_module("/lib/one.so", 0x1000, 0x2000, 0);
    for (std::uint64_t id = 1; id <= 50; ++id) {
      written_sample sample;
      sample.id = id;
      sample.frames.assign(random() % 20, 0x1100);
      writer.write_sample(sample);
      if (id % 2 == 0) writer.write_free(id, random(), 1, {0x1200});
    }
    writer.exit_with("55d0c0000000-55d0c0021000 rw-p 0 0:0 0\nRss: 4 kB\n", 4096);
    const std::uint64_t used = std::min<std::uint64_t>(writer.ring().head, 16384);
    for (int change = 0; change < 40; ++change) {
      const std::uint64_t places[] = {random() % 256 + 16, wire::ring_offset_bytes + random() % 48,
                                      wire::ring_records_offset_bytes + random() % used};
      writer.memory()[places[random() % 3]] = static_cast<std::byte>(random());
    }
    const process_record record = read_all(writer.path());
    for (const collect::sample& one : record.samples) {
      ASSERT_LT(one.stack, record.stacks.size());
      ASSERT_LT(one.thread, record.threads.size());
      ASSERT_TRUE(!one.is_freed() || one.free_stack < record.stacks.size());
    }
    for (const stack& one : record.stacks)
      for (const std::uint32_t at : one.locations) ASSERT_LT(at, record.locations.size());
    for (const location& one : record.locations)
      ASSERT_TRUE(one.module == no_index || one.module < record.modules.size());
    std::filesystem::remove(writer.path());
  }
}

TEST(RegionName, IsPidAndGeneration) {
  ASSERT_TRUE(parse_region_name("4711.2.region"));
  EXPECT_EQ(parse_region_name("4711.2.region")->pid, 4711u);
  EXPECT_EQ(parse_region_name("4711.2.region")->generation, 2u);
  for (const char* name : {"", ".", "4711", "4711.", "4711.2", "4711.2.regio", "x.2.region", "4711.2.region.tmp",
                           "99999999999999.2.region", "../1.2.region"})
    EXPECT_FALSE(parse_region_name(name)) << name;
}

wire::account_record& account_in(region_writer& region, std::uint32_t index) {
  return reinterpret_cast<wire::account_record*>(region.memory() + wire::accounts_offset_bytes +
                                                 wire::account_records_offset_bytes)[index];
}

std::uint32_t& account_count_in(region_writer& region) {
  return reinterpret_cast<wire::account_table_header*>(region.memory() + wire::accounts_offset_bytes)->record_count;
}

TEST_F(RegionReader, ReadsOpenAndClosedAccounts) {
  region_writer region(folder_, 41, 0);
  account_count_in(region) = 3;
  wire::account_record& server = account_in(region, 0);
  server.state = 1;
  server.parent = wire::no_account;
  std::strcpy(server.name, "server");
  std::strcpy(server.kind, "application");
  server.held_bytes = 500;
  server.peak_held_bytes = 900;
  wire::account_record& sessions = account_in(region, 2);
  sessions.state = 2;
  sessions.parent = 0;
  std::strcpy(sessions.name, "sessions");
  sessions.publishes_use = 1;
  sessions.use.used_bytes = 70;
  sessions.use.peak_used_bytes = 60;  // not yet raised by its owner
  region.publish();
  const std::vector<account> accounts = read_all(region.path()).accounts;
  ASSERT_EQ(accounts.size(), 2u) << "the one in between was never used";
  EXPECT_EQ(accounts[0].name, "server");
  EXPECT_EQ(accounts[0].kind, "application");
  EXPECT_TRUE(accounts[0].is_open);
  EXPECT_EQ(accounts[0].parent, no_index);
  EXPECT_EQ(accounts[0].peak_held_bytes, 900u);
  EXPECT_EQ(accounts[1].record, 2u);
  EXPECT_EQ(accounts[1].parent, 0u);
  EXPECT_FALSE(accounts[1].is_open);
  EXPECT_EQ(accounts[1].peak_used_bytes, 70u);
}

TEST_F(RegionReader, CutsAccountsThatMakeNoSense) {
  region_writer region(folder_, 41, 0);
  account_count_in(region) = ~0u;
  for (std::uint32_t index = 0; index < wire::account_capacity; ++index) {
    wire::account_record& one = account_in(region, index);
    std::memset(&one, 0xff, sizeof one);
    one.state = index % 5;
    one.parent = index % 2 == 0 ? 5'000'000 : index;  // itself
  }
  region.publish();
  const std::vector<account> accounts = read_all(region.path()).accounts;
  EXPECT_EQ(accounts.size(), (wire::account_capacity * 2 + 4) / 5);
  for (const account& one : accounts) {
    EXPECT_EQ(one.name.size(), sizeof account_in(region, 0).name);
    EXPECT_LE(one.kind.size(), sizeof account_in(region, 0).kind);
    EXPECT_EQ(one.parent, one.record % 2 == 0 ? no_index : one.record);
  }
}

wire::content_record& content_in(region_writer& region, std::uint32_t index) {
  auto* const header = reinterpret_cast<wire::account_table_header*>(region.memory() + wire::accounts_offset_bytes);
  header->content_count = std::max(header->content_count, index + 1);
  return reinterpret_cast<wire::content_record*>(region.memory() + wire::accounts_offset_bytes +
                                                 wire::content_records_offset_bytes)[index];
}

void fill_content(wire::content_record& one, std::uint32_t account, const char* type) {
  one.account = account;
  std::strcpy(one.type, type);
  one.frame_count = 2;
  one.frames[0] = 0x1100;
  one.frames[1] = 0x9999;
  one.bytes = 640;
  one.object_thousandths = 2500;
  one.samples = 2;
  one.changes = 2;
}

TEST_F(RegionReader, ReadsWhatLiesInAccounts) {
  region_writer region(folder_, 41, 0);
  region.publish();
  region.write_module("/lib/one.so", 0x1000, 0x2000, 0);
  account_count_in(region) = 2;
  account_in(region, 0).state = 1;
  account_in(region, 1).state = 2;
  fill_content(content_in(region, 0), 0, "page");
  fill_content(content_in(region, 1), 0, "gone");
  content_in(region, 1).samples = 0;
  fill_content(content_in(region, 2), 1, "of one that is closed");
  fill_content(content_in(region, 3), 0, "half written");
  content_in(region, 3).changes = 3;
  const process_record record = read_all(region.path());
  ASSERT_EQ(record.contents.size(), 1u);
  const account_content& one = record.contents[0];
  EXPECT_EQ(one.account, 0u);
  EXPECT_EQ(one.type, "page");
  EXPECT_EQ(one.bytes, 640u);
  EXPECT_EQ(one.objects, 2.5);
  EXPECT_EQ(one.samples, 2u);
  const stack& of = record.stacks.at(one.stack);
  ASSERT_EQ(of.locations.size(), 2u);
  EXPECT_EQ(of.end, stack_end::complete);
  EXPECT_EQ(record.locations[of.locations[0]].module, 0u);
  EXPECT_EQ(record.locations[of.locations[1]].module, no_index);
}

TEST_F(RegionReader, LeavesOutContentsThatMakeNoSense) {
  region_writer region(folder_, 41, 0);
  account_count_in(region) = 1;
  account_in(region, 0).state = 1;
  for (std::uint32_t index = 0; index < wire::content_capacity; ++index) {
    wire::content_record& one = content_in(region, index);
    std::memset(&one, 0xff, sizeof one);
    one.changes = 0;
    one.account = index % 2;
    one.frame_count = index % 4 < 2 ? wire::content_frames : wire::content_frames + index;
  }
  reinterpret_cast<wire::account_table_header*>(region.memory() + wire::accounts_offset_bytes)->content_count = ~0u;
  region.publish();
  const process_record record = read_all(region.path());
  EXPECT_EQ(record.contents.size(), wire::content_capacity / 4);
  for (const account_content& one : record.contents) {
    EXPECT_EQ(one.type.size(), sizeof content_in(region, 0).type);
    EXPECT_EQ(record.stacks.at(one.stack).locations.size(), wire::content_frames);
  }
}

}  // namespace
}  // namespace tenure::collect
