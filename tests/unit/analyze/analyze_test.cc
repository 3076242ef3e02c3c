// A whole process from recording to profile: groups, user frames and findings.
#include "instruments/analyze/analyze.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/format.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

// Two modules, two threads; a site that keeps what it allocates and one whose blocks are gone at once.
collect::recording make_recording() {
  collect::recording run;
  run.child_pid = 10;
  run.end_ns = 3'000'000'000;
  collect::process_record record;
  record.pid = 10;
  record.end_ns = run.end_ns;
  record.end = collect::process_end::exited;
  for (const auto& [path, begin] : {std::pair{"/no/such/libtenure-malloc.so", 0x1000},
                                    {"/no/such/app", 0x10000},
                                    {"/no/such/libplug.so", 0x20000}}) {
    collect::module one;
    one.path = path;
    one.begin = static_cast<std::uint64_t>(begin);
    one.end = one.begin + 0x1000;
    record.modules.push_back(one);
  }
  record.locations = {{0, 0x1100}, {1, 0x10100}, {2, 0x20200}};
  record.stacks = {{{0, 1}, {}}, {{0, 2, 1}, {}}, {{0}, {}}};
  record.threads = {{10, "main"}, {11, "worker"}};
  for (std::uint64_t index = 0; index < 40; ++index) {
    collect::sample kept;
    kept.id = index * 2 + 1;
    kept.time_ns = 1'000'000 * (index + 1);
    kept.requested_bytes = kept.usable_bytes = mebibyte;
    kept.stack = 0;
    kept.thread = 0;
    record.samples.push_back(kept);
    collect::sample gone = kept;
    gone.id = index * 2 + 2;
    gone.requested_bytes = gone.usable_bytes = 4 * mebibyte;
    gone.stack = 1;
    gone.thread = 1;
    gone.free_time_ns = gone.time_ns + 1000;
    gone.free_stack = 2;
    gone.free_thread = index % 4 == 0 ? 1 : 0;
    record.samples.push_back(gone);
  }
  run.processes.push_back(std::move(record));
  return run;
}

const site_group* group_named(const std::vector<site_group>& groups, const std::string& name) {
  for (const site_group& group : groups)
    if (group.name == name) return &group;
  return nullptr;
}

TEST(Analyze, AttributesExactly) {
  symbols::symbolizer symbolizer;
  const profile result = analyze(make_recording(), symbolizer, {});
  ASSERT_EQ(result.main_process, 0u);
  const process_profile& process = result.processes[0];
  EXPECT_DOUBLE_EQ(process.allocated.bytes.value, 200.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.live_at_exit.bytes.value, 40.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.live_at_peak.bytes.value, 44.0 * mebibyte);
  const site_group* const app = group_named(process.by_module, "app");
  const site_group* const plug = group_named(process.by_module, "libplug.so");
  ASSERT_TRUE(app && plug);  // never the heap itself
  EXPECT_EQ(process.by_module.size(), 2u);
  EXPECT_DOUBLE_EQ(app->totals.live_at_exit.bytes.value, 40.0 * mebibyte);
  EXPECT_DOUBLE_EQ(plug->totals.allocated.bytes.value, 160.0 * mebibyte);
  EXPECT_DOUBLE_EQ(plug->totals.lifetimes.freed_by_other_thread_bytes, 120.0 * mebibyte);
  ASSERT_TRUE(group_named(process.by_thread, "worker (11)"));
  EXPECT_EQ(process.by_thread.size(), 2u);
}

TEST(Analyze, NamesWhatHasNoSymbolByItsPlace) {
  symbols::symbolizer symbolizer;
  const profile result = analyze(make_recording(), symbolizer, {});
  ASSERT_EQ(result.processes[0].by_function.size(), 2u);
  EXPECT_TRUE(result.processes[0].by_function[0].name.starts_with("app+0x")) << result.processes[0].by_function[0].name;
}

// Half of what is kept was the parent's, and so was half of what is freed.
TEST(Analyze, CountsWhatWasInheritedAsLiveAndNotAsAllocated) {
  collect::recording run = make_recording();
  std::vector<collect::sample>& samples = run.processes[0].samples;
  for (std::size_t index = 0; index < samples.size() / 2; ++index) samples[index].is_inherited = true;
  symbols::symbolizer symbolizer;
  const profile result = analyze(std::move(run), symbolizer, {});
  const process_profile& process = result.processes[0];
  EXPECT_DOUBLE_EQ(process.allocated.bytes.value, 100.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.inherited.bytes.value, 100.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.inherited_freed.bytes.value, 80.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.live_at_exit.bytes.value, 40.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.lifetimes.freed.bytes.value, 80.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.lifetimes.never_freed.bytes.value, 20.0 * mebibyte);
  EXPECT_DOUBLE_EQ(process.lifetimes.freed_by_other_thread_bytes, 60.0 * mebibyte);
  const site_group* const app = group_named(process.by_module, "app");
  ASSERT_TRUE(app);
  EXPECT_DOUBLE_EQ(app->totals.live_at_exit.bytes.value, 40.0 * mebibyte);
}

// A child that has only what its parent gave it still says whose it is.
TEST(Analyze, NamesTheOwnersOfWhatWasInherited) {
  collect::recording run = make_recording();
  for (collect::sample& one : run.processes[0].samples) one.is_inherited = true;
  symbols::symbolizer symbolizer;
  const profile result = analyze(std::move(run), symbolizer, {});
  const process_profile& process = result.processes[0];
  EXPECT_EQ(process.allocated.samples, 0u);
  ASSERT_TRUE(group_named(process.by_module, "app"));
  EXPECT_TRUE(group_named(process.by_thread, "main (10)"));
  EXPECT_TRUE(process.findings.empty());
}

std::vector<std::string> modules_of_chain(collect::recording run, const std::vector<std::string>& paths,
                                          std::size_t limit) {
  process_profile process;
  process.record = std::move(run.processes[0]);
  collect::process_record& record = process.record;
  record.stacks.push_back({});
  for (const std::string& path : paths) {
    collect::module one;
    one.path = path;
    one.begin = 0x100000 * (record.modules.size() + 1);
    one.end = one.begin + 0x1000;
    record.stacks.back().locations.push_back(static_cast<std::uint32_t>(record.locations.size()));
    record.locations.push_back({static_cast<std::uint32_t>(record.modules.size()), one.begin + 16});
    record.modules.push_back(one);
  }
  symbols::symbolizer symbolizer;
  frame_resolver frames(process, symbolizer);
  std::vector<std::string> names;
  for (const auto& placed : frames.user_chain(static_cast<std::uint32_t>(record.stacks.size() - 1), limit))
    names.push_back(module_label(process, placed.module));
  return names;
}

// As of a library's constructor, which the loader calls.
TEST(Analyze, AStackOfTheRuntimeAloneIsShownFromTheInsideOutWithoutTheHeap) {
  using names = std::vector<std::string>;
  const std::vector<std::string> stack = {"/x/libtenure-malloc.so", "/x/libtenure-malloc.so", "/x/libstdc++.so.6",
                                          "/x/libc.so.6", "/x/ld-linux-x86-64.so.2"};
  EXPECT_EQ(modules_of_chain(make_recording(), stack, 6),
            (names{"libstdc++.so.6", "libc.so.6", "ld-linux-x86-64.so.2"}));
  EXPECT_EQ(modules_of_chain(make_recording(), stack, 1), names{"libstdc++.so.6"});
  EXPECT_EQ(modules_of_chain(make_recording(), {"/x/libtenure-malloc.so"}, 6), names{"libtenure-malloc.so"});
  EXPECT_EQ(modules_of_chain(make_recording(), {"/x/libtenure-malloc.so", "/x/libc.so.6", "/x/app"}, 6), names{"app"});
}

TEST(Analyze, FindsWhatIsKeptAndWhatIsShort) {
  symbols::symbolizer symbolizer;
  const profile result = analyze(make_recording(), symbolizer, {});
  std::vector<std::string> codes;
  for (const finding& one : result.processes[0].findings) codes.push_back(one.code);
  EXPECT_EQ(codes, (std::vector<std::string>{"never-freed", "short-lived", "freed-elsewhere"}));
}

// Freed between the peak and the reading of the mappings, while RSS stayed where it was.
TEST(Analyze, HoldsNothingAgainstAMapThatFollowsFrees) {
  constexpr std::uint64_t heap_bytes = 48 * mebibyte;
  // One in so many is freed by then.
  const auto codes_when_resident = [](std::uint64_t before_bytes, std::size_t stride = 1) {
    collect::recording run = make_recording();
    collect::process_record& record = run.processes[0];
    for (std::size_t i = 0; i < record.samples.size(); ++i) {
      collect::sample& one = record.samples[i];
      if (i / 2 % stride == 0) one.free_time_ns = std::min(one.free_time_ns, std::uint64_t{50'000'000});
    }
    record.resident = {{39'000'000, before_bytes}, {45'000'000, before_bytes}, {60'000'000, heap_bytes}};
    collect::memory_map map;
    map.time_ns = 60'000'000;
    map.resident_bytes = heap_bytes;
    map.mappings = {{.begin = 0x100000,
                     .end = 0x100000 + heap_bytes,
                     .resident_bytes = heap_bytes,
                     .permissions = "rw-p",
                     .name = ""}};
    map.statistics.window_begin = 0x100000;
    map.statistics.window_end = 0x100000 + heap_bytes;
    map.statistics.free_dirty_bytes = heap_bytes;
    record.maps = {map};
    symbols::symbolizer symbolizer;
    const profile result = analyze(std::move(run), symbolizer, {});
    std::vector<std::string> codes;
    for (const finding& one : result.processes[0].findings) codes.push_back(one.code);
    return std::pair(result.processes[0].memory_at_peak->follows_frees, std::move(codes));
  };
  const auto [follows, quiet] = codes_when_resident(heap_bytes);
  EXPECT_TRUE(follows);
  EXPECT_EQ(std::count(quiet.begin(), quiet.end(), "free-pages"), 0);
  // Whoever reads the mappings meets the frees at any point.
  const auto [follows_some, quiet_too] = codes_when_resident(heap_bytes, 3);
  EXPECT_TRUE(follows_some);
  EXPECT_EQ(std::count(quiet_too.begin(), quiet_too.end(), "free-pages"), 0);
  // RSS rose far above that of the live blocks while free pages stood by.
  const auto [late, loud] = codes_when_resident(heap_bytes / 4);
  EXPECT_FALSE(late);
  EXPECT_EQ(std::count(loud.begin(), loud.end(), "free-pages"), 1);
}

TEST(Analyze, BoundsWhatWasLiveByTheHeapsOwnCount) {
  collect::recording run = make_recording();
  for (collect::sample& one : run.processes[0].samples) one.interval_bytes = 64 * mebibyte;
  run.processes[0].samples[0].interval_bytes = 16 * mebibyte;
  run.processes[0].statistics.chunk_bytes = 50 * mebibyte;
  run.processes[0].statistics.free_clean_bytes = 5 * mebibyte;
  run.processes[0].statistics.free_dirty_bytes = 5 * mebibyte;
  run.processes[0].statistics.peak_committed_bytes = 45 * mebibyte;
  symbols::symbolizer symbolizer;
  const profile result = analyze(std::move(run), symbolizer, {});
  const process_profile& process = result.processes[0];
  ASSERT_TRUE(process.bounds);
  EXPECT_TRUE(process.bounds->applies_at_peak && process.bounds->applies_at_exit);
  EXPECT_NEAR(process.live_at_peak.usable_bytes.value, 45.0 * mebibyte, 1);
  EXPECT_NEAR(process.live_at_exit.usable_bytes.value, 40.0 * mebibyte, 1);
  EXPECT_GT(process.live_at_exit.bytes.variance, 0);
  double by_module = 0, by_stack = 0;
  for (const site_group& one : process.by_module) by_module += one.totals.live_at_peak.usable_bytes.value;
  for (const call_site& one : process.sites) by_stack += one.live_at_peak.usable_bytes.value;
  EXPECT_NEAR(by_module, 45.0 * mebibyte, 1);
  EXPECT_NEAR(by_stack, 45.0 * mebibyte, 1);
  for (const timeline_point& one : process.timeline) EXPECT_LE(one.live_bytes, 45.0 * mebibyte);
  const interval_range range = intervals_of(process.record.samples);
  EXPECT_EQ(range.least_bytes, 16 * mebibyte);
  EXPECT_EQ(range.greatest_bytes, 64 * mebibyte);
  EXPECT_EQ(range.mean_bytes, (79 * 64 + 16) * mebibyte / 80);
}

TEST(Analyze, WhatIsTooMuchIsTakenFromWhomFewSamplesTellOf) {
  const auto of_stacks = [](std::uint64_t bound_bytes) {
    collect::recording run = make_recording();
    collect::process_record& record = run.processes[0];
    // Each sample of one stack stands for as much as a hundred of the others.
    const std::uint32_t badly_known = record.samples[0].stack;
    for (collect::sample& one : record.samples)
      one.interval_bytes = one.stack == badly_known ? 100 * mebibyte : mebibyte;
    record.statistics.chunk_bytes = bound_bytes;
    record.statistics.peak_committed_bytes = bound_bytes;
    symbols::symbolizer symbolizer;
    const profile result = analyze(std::move(run), symbolizer, {});
    double bad = 0, good = 0;
    for (const call_site& one : result.processes[0].sites)
      (one.stack == badly_known ? bad : good) += one.live_at_peak.usable_bytes.value;
    return std::pair(bad, good);
  };
  const auto [bad, good] = of_stacks(0);
  ASSERT_GT(bad, 10 * good);
  ASSERT_GT(good, 0);
  const double bound = (bad + good) / 2;
  const auto [bad_bounded, good_bounded] = of_stacks(static_cast<std::uint64_t>(bound));
  EXPECT_NEAR(bad_bounded + good_bounded, bound, 1);
  EXPECT_GT(good_bounded, 0.95 * good);
  // Where next to nothing is allowed each pays alike.
  const auto [bad_least, good_least] = of_stacks(1000);
  EXPECT_NEAR(bad_least + good_least, 1000, 1);
  EXPECT_NEAR(bad_least / bad, good_least / good, 1e-9);
}

TEST(Analyze, SaysNothingFromFewSamples) {
  collect::recording run = make_recording();
  run.processes[0].samples.resize(20);  // ten of each site
  symbols::symbolizer symbolizer;
  EXPECT_TRUE(analyze(std::move(run), symbolizer, {}).processes[0].findings.empty());
}

TEST(Analyze, TakesARunThatLeftNothing) {
  symbols::symbolizer symbolizer;
  const profile result = analyze({}, symbolizer, {});
  EXPECT_EQ(result.main_process, no_index);
}

TEST(UserFrame, KnowsWrappersOfMalloc) {
  for (const char* name :
       {"xmalloc", "sqlite3DbMallocRaw", "g_malloc0", "PyMem_RawRealloc", "xstrdup",
        "std::vector<int, std::allocator<int> >::reserve(unsigned long)", "void* foo::allocate<int>(int)",
        "(anonymous namespace)::allocate_block(unsigned long)", "operator new(unsigned long)"})
    EXPECT_TRUE(is_allocation_helper(name)) << name;
  for (const char* name : {"main", "load_table", "foo::bar(std::allocator<int> const&)", "alloc_pool::run()"})
    EXPECT_FALSE(is_allocation_helper(name)) << name;
}

TEST(Format, IsWhatPeopleRead) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(12.34 * 1024 * 1024), "12.3 MiB");
  EXPECT_EQ(format_bytes(1023.97 * 1024), "1.0 MiB");
  EXPECT_EQ(format_duration(999), "999 ns");
  EXPECT_EQ(format_duration(1'500'000), "1.5 ms");
  EXPECT_EQ(format_duration(75'000'000'000), "75.0 s");
  EXPECT_EQ(format_duration(3'725'000'000'000), "1 h 2 min");
  EXPECT_EQ(format_share(0.0004), "<0.1%");
  EXPECT_EQ(format_share(0.5), "50%");
  EXPECT_EQ(format_count(12345), "12.3 k");
  EXPECT_EQ(format_error({100, 16}), "±4.0%");
  EXPECT_EQ(format_error({100, 0}), "");
  EXPECT_EQ(format_error({100, 40000}), "±>100%");
}

}  // namespace
}  // namespace tenure::analyze
