// Oracles: protoc, with a description of the format written from its published field numbers, and `go tool pprof`.
#include "instruments/export/pprof.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <regex>

#include "../../support/shell.h"

namespace tenure::exporting {
namespace {

using testing::lines_of;
using testing::output_of;
using testing::read_file;
using testing::temporary_folder;
using testing::write_file;

constexpr const char* description = R"(
syntax = "proto3";
package pprof;
message Pair { int64 type = 1; int64 unit = 2; }
message Label { int64 key = 1; int64 str = 2; int64 num = 3; int64 num_unit = 4; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; repeated Label label = 3; }
message Mapping {
  uint64 id = 1; uint64 memory_start = 2; uint64 memory_limit = 3; uint64 file_offset = 4; int64 filename = 5;
  int64 build_id = 6; bool has_functions = 7; bool has_filenames = 8; bool has_line_numbers = 9;
  bool has_inline_frames = 10;
}
message Line { uint64 function_id = 1; int64 line = 2; }
message Location { uint64 id = 1; uint64 mapping_id = 2; uint64 address = 3; repeated Line line = 4; }
message Function { uint64 id = 1; int64 name = 2; int64 system_name = 3; int64 filename = 4; int64 start_line = 5; }
message Profile {
  repeated Pair sample_type = 1; repeated Sample sample = 2; repeated Mapping mapping = 3;
  repeated Location location = 4; repeated Function function = 5; repeated string string_table = 6;
  int64 drop_frames = 7; int64 keep_frames = 8; int64 time_nanos = 9; int64 duration_nanos = 10; Pair period_type = 11;
  int64 period = 12; repeated int64 comment = 13; int64 default_sample_type = 14;
}
)";

constexpr std::uint64_t interval_bytes = 524288;

analyze::frame named(const std::string& function, const std::string& file, std::uint32_t line, bool is_inlined) {
  analyze::frame result;
  result.function = function;
  result.file = file;
  result.line = line;
  result.is_inlined = is_inlined;
  result.is_named = true;
  return result;
}

collect::sample sample_of(std::uint64_t time_ns, std::uint64_t bytes, std::uint32_t stack, std::uint64_t free_time_ns) {
  collect::sample result;
  result.time_ns = time_ns;
  result.requested_bytes = bytes;
  result.usable_bytes = bytes;
  result.interval_bytes = interval_bytes;
  result.stack = stack;
  result.thread = 0;
  result.free_time_ns = free_time_ns;
  return result;
}

// Two call sites, of which one is freed after the peak: grow() <- main and load() inlined into read_all() <- main; the
// outermost frame is in a library without symbols.
analyze::profile small_profile() {
  analyze::process_profile process;
  collect::process_record& record = process.record;
  record.pid = 4711;
  record.executable = "/opt/shop";
  record.start_ns = 1'000'000'000;
  record.end_ns = 3'500'000'000;
  record.start_realtime_ns = 1'700'000'000'000'000'000;
  record.sample_interval_bytes = interval_bytes;
  record.threads = {{.id = 4711, .name = "shop"}};
  symbols::module library, program, heap;
  library.path = "/usr/lib/libc.so.6";
  library.build_id = "00aabb";
  library.begin = 0x7f0000000000;
  library.end = 0x7f0000100000;
  program.path = "/opt/shop";
  program.build_id = "c0ffee";
  program.begin = 0x400000;
  program.end = 0x500000;
  heap.path = "/usr/lib/libtenure-malloc.so";
  heap.begin = 0x7e0000000000;
  heap.end = 0x7e0000100000;
  record.modules = {library, program, heap};
  record.locations = {{.module = 2, .address = 0x7e0000001001},
                      {.module = 1, .address = 0x401101},
                      {.module = 1, .address = 0x402201},
                      {.module = 1, .address = 0x403301},
                      {.module = 0, .address = 0x7f0000012345}};
  record.stacks = {{.locations = {0, 1, 3, 4}}, {.locations = {0, 2, 3, 4}}};
  process.frames = {{named("(anonymous namespace)::take_slowly(unsigned long)", "malloc.cc", 1, false)},
                    {named("grow(int)", "shop.cc", 11, false)},
                    {named("load()", "shop.h", 22, true), named("read_all()", "shop.cc", 23, false)},
                    {named("main", "shop.cc", 33, false)},
                    {analyze::frame{.function = "libc.so.6+0x12344"}}};
  // 1 MiB blocks are sampled with p = 1 - e^-2, 4 KiB blocks with 1 - e^(-1/128).
  record.samples = {sample_of(1'100'000'000, 1 << 20, 0, collect::never),
                    sample_of(1'200'000'000, 4096, 1, 2'000'000'000), sample_of(1'300'000'000, 4096, 1, 2'100'000'000),
                    sample_of(3'000'000'000, 4096, 1, collect::never)};
  analyze::profile result;
  result.processes.push_back(std::move(process));
  result.main_process = 0;
  result.run.child_pid = 4711;
  return result;
}

class PprofTest : public ::testing::Test {
 protected:
  std::string file(const analyze::profile& profile, bool at_peak = false) {
    const auto written = write_pprof(profile, {.at_peak = at_peak});
    EXPECT_TRUE(written);
    write_file(folder_ / "heap.pb.gz", *written);
    return (folder_ / "heap.pb.gz").string();
  }

  std::string decoded(const std::string& path) {
    write_file(folder_ / "profile.proto", description);
    return output_of("gunzip -c " + path + " | protoc --decode=pprof.Profile -I" + folder_.path().string() + " " +
                     (folder_ / "profile.proto").string());
  }

  static std::vector<std::string> strings_of(const std::string& text) {
    std::vector<std::string> result;
    for (const std::string& line : lines_of(text)) {
      if (line.starts_with("string_table: \"")) result.push_back(line.substr(15, line.size() - 16));
    }
    return result;
  }

  // The values of all samples, in the order of the file, four a sample.
  static std::vector<std::vector<std::int64_t>> values_of(const std::string& text) {
    std::vector<std::vector<std::int64_t>> result;
    for (const std::string& line : lines_of(text)) {
      if (line == "sample {") result.emplace_back();
      if (line.starts_with("  value: ")) result.back().push_back(std::stoll(line.substr(9)));
    }
    return result;
  }

  static bool has_go() { return std::system("go version >/dev/null 2>&1") == 0; }

  // Without a symbol look-up of its own, which would ask the network.
  std::string pprof(const std::string& arguments) {
    return output_of("cd " + folder_.path().string() + " && HOME=" + folder_.path().string() + " PPROF_TMPDIR=" +
                     folder_.path().string() + " go tool pprof -symbolize=none " + arguments + " 2>&1");
  }

  temporary_folder folder_;
};

TEST_F(PprofTest, ValuesAreUnbiasedSampleBySample) {
  const double big = 1 - std::exp(-2.0), small = 1 - std::exp(-4096.0 / interval_bytes);
  const std::vector<std::vector<std::int64_t>> at_end = values_of(decoded(file(small_profile())));
  ASSERT_EQ(at_end.size(), 2u);
  EXPECT_EQ(at_end[0], (std::vector<std::int64_t>{std::llround(1 / big), std::llround((1 << 20) / big),
                                                  std::llround(1 / big), std::llround((1 << 20) / big)}));
  EXPECT_EQ(at_end[1], (std::vector<std::int64_t>{std::llround(3 / small), std::llround(3 * 4096 / small),
                                                  std::llround(1 / small), std::llround(4096 / small)}));
  const std::vector<std::vector<std::int64_t>> at_peak = values_of(decoded(file(small_profile(), true)));
  ASSERT_EQ(at_peak.size(), 2u);
  EXPECT_EQ(at_peak[0], at_end[0]);
  EXPECT_EQ(at_peak[1][3], std::llround(2 * 4096 / small));
}

TEST_F(PprofTest, FollowsThePublishedFormat) {
  const std::string text = decoded(file(small_profile()));
  const std::vector<std::string> strings = strings_of(text);
  const auto index = [&](const std::string& wanted) {
    const auto found = std::find(strings.begin(), strings.end(), wanted);
    EXPECT_NE(found, strings.end()) << wanted;
    return std::to_string(found - strings.begin());
  };
  EXPECT_EQ(strings.at(0), "");
  std::string types;
  for (const std::string kind : {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"}) {
    const std::string unit = kind.ends_with("objects") ? "count" : "bytes";
    types += "sample_type {\n  type: " + index(kind) + "\n  unit: " + index(unit) + "\n}\n";
  }
  EXPECT_TRUE(text.starts_with(types)) << text;
  const auto expect = [&](const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  };
  expect("default_sample_type: " + index("inuse_space") + "\n");
  expect("period_type {\n  type: " + index("space") + "\n  unit: " + index("bytes") + "\n}\n");
  expect("period: 524288\n");
  expect("time_nanos: 1700000000000000000\n");
  expect("duration_nanos: 2500000000\n");
  // The program's mapping is the first, whatever the order of loading.
  expect("mapping {\n  id: 1\n  memory_start: 4194304\n  memory_limit: 5242880\n  filename: " + index("/opt/shop") +
         "\n  build_id: " + index("c0ffee") +
         "\n  has_functions: true\n  has_filenames: true\n  has_line_numbers: true\n  has_inline_frames: true\n}\n");
  // Nothing is claimed of a mapping without symbols, so that pprof looks itself.
  expect("  filename: " + index("/usr/lib/libc.so.6") + "\n  build_id: " + index("00aabb") + "\n}\n");
  EXPECT_EQ(std::find(strings.begin(), strings.end(), "libc.so.6+0x12344"), strings.end());
  expect("label {\n    key: " + index("bytes") + "\n    num: 4096\n    num_unit: " + index("bytes") + "\n  }");
  expect("label {\n    key: " + index("thread") + "\n    str: " + index("shop (4711)") + "\n  }");
  // Two lines a location, the inlined function first.
  EXPECT_TRUE(
      std::regex_search(text, std::regex("location \\{\n  id: \\d+\n  mapping_id: 1\n  address: 4203008\n  line "
                                         "\\{\n    function_id: \\d+\n    line: 22\n  \\}\n  line \\{\n    "
                                         "function_id: \\d+\n    line: 23\n  \\}\n\\}")))
      << text;
}

TEST_F(PprofTest, IsReadByGo) {
  if (!has_go()) GTEST_SKIP() << "go is not installed";
  const std::string path = file(small_profile());
  const std::string raw = pprof("-raw " + path);
  EXPECT_NE(raw.find("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]"), raw.npos)
      << raw;
  EXPECT_NE(raw.find("PeriodType: space bytes"), raw.npos) << raw;
  EXPECT_NE(raw.find("Duration: 2.5"), raw.npos) << raw;
  EXPECT_NE(raw.find("bytes:[4096 bytes]"), raw.npos) << raw;
  EXPECT_NE(raw.find("/opt/shop c0ffee [FN][FL][LN][IN]"), raw.npos) << raw;

  const std::string top = pprof("-top " + path);
  EXPECT_NE(top.find("Type: inuse_space"), top.npos) << top;
  EXPECT_TRUE(std::regex_search(top, std::regex("1184.*kB.*grow|1\\.16MB.*grow"))) << top;
  EXPECT_NE(top.find("load() (inline)"), top.npos) << top;
  EXPECT_EQ(top.find("take_slowly"), top.npos) << "the heap's own frames are dropped\n" << top;
  EXPECT_NE(pprof("-top -sample_index=alloc_objects " + path).find("Type: alloc_objects"), std::string::npos);
  EXPECT_NE(pprof("-top -tagfocus=4kb " + path).find("load() (inline)"), std::string::npos);
}

TEST_F(PprofTest, AnEmptyProfileIsStillAProfile) {
  const std::string text = decoded(file(analyze::profile{}));
  EXPECT_TRUE(values_of(text).empty());
  if (!has_go()) return;
  EXPECT_NE(pprof("-raw " + (folder_ / "heap.pb.gz").string()).find("inuse_space"), std::string::npos);
}

}  // namespace
}  // namespace tenure::exporting
