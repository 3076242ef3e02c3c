// The region file, as the command finds it: after an exit, after kill -9, across fork and exec, and where it cannot be.
#include "core/telemetry/region.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/telemetry/ring.h"
#include "core/telemetry/telemetry.h"
#include "session.h"

using namespace tenure;
using tenure::testing::seen_region;
using tenure::testing::session;

namespace {

char blocks[1 << 16];

// Pretends to be the heap: n sampled allocations at different addresses.
[[gnu::noinline]] void allocate(int count, int first = 0) {
  for (int i = first; i < first + count; ++i) {
    telemetry::record_allocation(blocks + i * 16, 100, 112, 524288, wire::allocation_entry::malloc);
  }
}

TEST(region, tells_who_the_process_is_and_how_it_ended) {
  session run;
  const int status = run.run([] {
    telemetry::start();
    __atomic_store_n(&telemetry::statistics().chunk_bytes, 4242, __ATOMIC_RELAXED);
    allocate(1);
    telemetry::finish();
  });
  ASSERT_EQ(status, 0);
  const seen_region region(run.file(run.last_child));
  const wire::region_header& header = region.header();
  EXPECT_EQ(header.magic, wire::region_magic);
  EXPECT_EQ(header.version, wire::region_version);
  EXPECT_EQ(header.total_bytes, wire::region_bytes);
  EXPECT_EQ(header.pid, static_cast<std::uint32_t>(run.last_child));
  EXPECT_EQ(header.parent_pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(header.origin, static_cast<std::uint32_t>(wire::origin::exec));
  EXPECT_EQ(region.life(), wire::life::exited);
  EXPECT_GE(header.end_monotonic_ns, header.start_monotonic_ns);
  EXPECT_NEAR(static_cast<double>(header.start_realtime_ns) / 1e9, static_cast<double>(time(nullptr)), 60);
  EXPECT_EQ(header.page_bytes, static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(region.statistics().chunk_bytes, 4242u);
  EXPECT_GT(header.exit_resident_bytes, 1u << 20);
  EXPECT_GT(header.overhead_nanoseconds, 0u);
  EXPECT_GT(header.overhead_bytes, 0u);

  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string cmdline{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(region.text(wire::text_cmdline_offset_bytes, header.cmdline_bytes), cmdline);
  EXPECT_EQ(region.text(wire::text_executable_offset_bytes, header.executable_bytes),
            std::filesystem::read_symlink("/proc/self/exe").string());
  const std::string smaps = region.text(wire::text_smaps_offset_bytes, header.exit_smaps_bytes);
  EXPECT_NE(smaps.find("[stack]"), std::string::npos);
  EXPECT_NE(smaps.find(std::filesystem::read_symlink("/proc/self/exe").filename()), std::string::npos);
  EXPECT_EQ(header.exit_smaps_truncated, 0u);
}

TEST(region, holds_everything_up_to_a_kill) {
  session run;
  const int status = run.run([] {
    telemetry::start();
    allocate(500);
    for (int i = 0; i < 100; ++i) telemetry::record_free(blocks + i * 16);
    raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  const seen_region region(run.file(run.last_child));
  EXPECT_EQ(region.life(), wire::life::running);
  ASSERT_EQ(region.samples.size(), 500u);
  ASSERT_EQ(region.frees.size(), 100u);
  EXPECT_EQ(region.losses.bytes, 0u);
  EXPECT_EQ(region.dropped_events, 0u);
  for (std::size_t i = 0; i < 500; ++i) {
    const auto& sample = region.samples[i];
    EXPECT_EQ(sample.head.sample_id, i + 1);
    EXPECT_EQ(sample.head.address, reinterpret_cast<std::uint64_t>(blocks + i * 16));
    EXPECT_EQ(sample.head.requested_bytes, 100u);
    EXPECT_EQ(sample.head.usable_bytes, 112u);
    EXPECT_EQ(sample.head.interval_bytes, 524288u);
    EXPECT_EQ(sample.head.thread_id, static_cast<std::uint32_t>(run.last_child));
    EXPECT_EQ(sample.head.truncated, 0u);
    EXPECT_EQ(sample.head.entry, static_cast<std::uint32_t>(wire::allocation_entry::malloc));
    EXPECT_GT(sample.frames.size(), 3u);
  }
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(region.frees[i].head.sample_id, i + 1);
  EXPECT_TRUE(region.frames_without_module.empty());
  EXPECT_EQ(region.threads.size(), 1u);
}

TEST(region, counts_what_a_full_ring_could_not_take) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    for (int lap = 0; lap < 40; ++lap) {
      allocate(2000);
      for (int i = 0; i < 2000; ++i) telemetry::record_free(blocks + i * 16);
    }
    telemetry::finish();
  }),
            0);
  const seen_region region(run.file(run.last_child));
  EXPECT_GT(region.dropped_events, 1000u);
  const std::uint64_t told = region.samples.size();
  EXPECT_LT(told, 80000u);
  // Each that is missing stands for requested / p bytes.
  const double weight = 100 / -std::expm1(-112.0 / 524288);
  EXPECT_NEAR(static_cast<double>(region.dropped_bytes), weight * (80000.0 - static_cast<double>(told)),
              0.001 * static_cast<double>(region.dropped_bytes));
  // A free is told only of what was told.
  EXPECT_LE(region.frees.size(), told);
}

TEST(region, names_every_size_class_from_its_beginning) {
  static constexpr std::uint32_t sizes[] = {0, 16, 32, 480};
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::tell_size_classes(sizes, std::size(sizes));
    telemetry::start();
    telemetry::statistics().classes[2].span_count = 7;
    telemetry::before_fork();
    const pid_t child = fork();
    if (child == 0) {
      telemetry::after_fork_in_child();
      telemetry::finish();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::ofstream(std::string(getenv("TENURE_SESSION")) + "/child") << child;
    _exit(WEXITSTATUS(status));  // as if it was killed: nothing is told at its end
  }),
            0);
  pid_t child = 0;
  std::ifstream(run.folder / "child") >> child;
  for (const pid_t pid : {run.last_child, child}) {
    const seen_region region(run.file(pid));
    const auto& classes = region.statistics().classes;
    for (std::size_t i = 0; i < std::size(classes); ++i) {
      EXPECT_EQ(classes[i].block_bytes, i < std::size(sizes) ? sizes[i] : 0u) << i;
      EXPECT_EQ(classes[i].span_count, i == 2 ? 7u : 0u) << i;
    }
  }
}

TEST(region, of_a_forked_child_is_its_own_and_shows_what_it_inherited) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    telemetry::set_sample_interval_bytes(9999);
    telemetry::statistics().chunk_bytes = 1000;
    allocate(3);
    telemetry::record_free(blocks + 16);
    telemetry::before_fork();
    const pid_t child = fork();
    if (child == 0) {
      telemetry::after_fork_in_child();
      telemetry::statistics().chunk_bytes += 1;
      telemetry::record_free(blocks);
      allocate(1, 10);
      telemetry::finish();
      _exit(telemetry::sample_interval_bytes() == 9999 ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::ofstream(std::string(getenv("TENURE_SESSION")) + "/child") << child;
    telemetry::statistics().chunk_bytes += 5;
    telemetry::finish();
    _exit(WEXITSTATUS(status));
  }),
            0);
  pid_t child = 0;
  std::ifstream(run.folder / "child") >> child;
  const seen_region of_parent(run.file(run.last_child));
  const seen_region of_child(run.file(child));
  EXPECT_EQ(of_parent.statistics().chunk_bytes, 1005u);
  EXPECT_EQ(of_child.statistics().chunk_bytes, 1001u);
  EXPECT_EQ(of_child.header().origin, static_cast<std::uint32_t>(wire::origin::fork));
  EXPECT_EQ(of_child.header().parent_pid, of_parent.header().pid);
  EXPECT_EQ(of_parent.samples.size(), 3u);
  EXPECT_EQ(of_parent.frees.size(), 1u);
  // The second sample was freed before the fork; the first is freed by the child, the last is new.
  ASSERT_EQ(of_child.samples.size(), 3u);
  ASSERT_EQ(of_child.frees.size(), 1u);
  EXPECT_TRUE(of_child.frames_without_module.empty());
  EXPECT_FALSE(of_child.threads.empty());
  std::map<std::uint64_t, const tenure::testing::seen_sample*> by_id;
  for (const auto& sample : of_child.samples) by_id[sample.head.sample_id] = &sample;
  ASSERT_TRUE(by_id.count(1) && by_id.count(3) && by_id.count(4));
  for (const std::uint64_t id : {1u, 3u}) {
    const auto& original = of_parent.samples[id - 1];
    EXPECT_EQ(by_id[id]->head.time_ns, original.head.time_ns);
    EXPECT_EQ(by_id[id]->head.address, original.head.address);
    EXPECT_EQ(by_id[id]->frames, original.frames);
    EXPECT_EQ(by_id[id]->head.header.kind, static_cast<std::uint16_t>(wire::event_kind::inherited_sample));
    // The thread that forked is the child's now, whose id is the child's.
    EXPECT_EQ(original.head.thread_id, static_cast<std::uint32_t>(run.last_child));
    EXPECT_EQ(by_id[id]->head.thread_id, static_cast<std::uint32_t>(child));
  }
  EXPECT_EQ(by_id[4]->head.header.kind, static_cast<std::uint16_t>(wire::event_kind::allocation_sample));
  EXPECT_EQ(of_child.frees[0].head.sample_id, 1u);
}

TEST(region, of_a_child_that_only_calls_exec_tells_no_inherited_samples) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    allocate(100);
    if (fork() == 0) {
      telemetry::after_fork_in_child();
      execl("/bin/true", "true", nullptr);
    }
    wait(nullptr);
  }),
            0);
  ASSERT_EQ(run.file_count(), 2u);
  for (const auto& entry : std::filesystem::directory_iterator(run.folder)) {
    const seen_region region(entry.path());
    const bool of_child = region.header().origin == static_cast<std::uint32_t>(wire::origin::fork);
    EXPECT_EQ(region.samples.size(), of_child ? 0u : 100u);
  }
}

// exec keeps the pid: the file of the image before must not be touched.
TEST(region, counts_generations_where_the_name_is_taken) {
  session run;
  ASSERT_EQ(run.run([] {
    const std::string taken = std::string(getenv("TENURE_SESSION")) + "/" + std::to_string(getpid());
    std::ofstream(taken + ".0.region") << "of the image before";
    std::ofstream(taken + ".1.region") << "and the one between";
    telemetry::start();
  }),
            0);
  const seen_region region(run.file(run.last_child, 2));
  EXPECT_EQ(region.header().pid, static_cast<std::uint32_t>(run.last_child));
  EXPECT_EQ(region.life(), wire::life::running);
  EXPECT_EQ(std::filesystem::file_size(run.file(run.last_child, 0)), 19u);
}

// Runs a child whose standard error is kept.
std::string complaint(session& run, const char* folder, int* status) {
  const std::filesystem::path kept = run.folder / "stderr";
  *status = run.run(
      [&] {
        const int file = open(kept.c_str(), O_CREAT | O_RDWR, 0600);
        dup2(file, 2);
        telemetry::start();
        allocate(3);
        std::size_t live = telemetry::visit_live_samples([](void*, const telemetry::live_sample&) {}, nullptr);
        telemetry::statistics().chunk_bytes = 1;
        telemetry::after_fork_in_child();
        telemetry::finish();
        _exit(live == 3 && telemetry::statistics().chunk_bytes == 1 ? 0 : 1);
      },
      folder);
  std::ifstream file(kept);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(region, that_cannot_be_made_leaves_a_program_that_runs_and_one_sentence) {
  session run;
  int status = 0;
  std::string text = complaint(run, "/nonexistent/folder", &status);
  EXPECT_EQ(status, 0);
  EXPECT_NE(text.find("/nonexistent/folder"), std::string::npos) << text;
  EXPECT_NE(text.find("No such file or directory"), std::string::npos) << text;
  text = complaint(run, "/proc", &status);
  EXPECT_EQ(status, 0);
  EXPECT_NE(text.find("/proc"), std::string::npos);
  text = complaint(run, std::string(5000, 'x').c_str(), &status);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(text.empty());
  std::filesystem::remove(run.folder / "stderr");
  text = complaint(run, "", &status);  // set, to nothing: no session
  EXPECT_EQ(status, 0);
  EXPECT_EQ(text, "");
}

TEST(region, that_may_not_be_so_large_leaves_no_file_behind) {
  session run;
  ASSERT_EQ(run.run([] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{65536, 65536};
    setrlimit(RLIMIT_FSIZE, &limit);
    const int file = open("/dev/null", O_RDWR);
    dup2(file, 2);
    telemetry::start();
    allocate(3);
    telemetry::finish();
  }),
            0);
  EXPECT_EQ(run.file_count(), 0u);
}

// A full tmpfs must not end the program with SIGBUS: the events that do not fit are counted.
TEST(region, on_a_full_tmpfs_drops_and_counts) {
  session run;
  if (mount("none", run.folder.c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "mounting needs root";
  const int status = run.run([] {
    telemetry::start();
    for (int lap = 0; lap < 5; ++lap) {
      allocate(4000);
      for (int i = 0; i < 4000; ++i) telemetry::record_free(blocks + i * 16);
    }
    telemetry::finish();
  });
  EXPECT_EQ(status, 0);
  if (status == 0) {
    const seen_region region(run.file(run.last_child));
    EXPECT_GT(region.samples.size(), 100u);
    EXPECT_GT(region.dropped_events, 100u);
    EXPECT_EQ(region.life(), wire::life::exited);
  }
  umount(run.folder.c_str());
}

// The command may write anything into what the program reads of the region.
TEST(region, with_hostile_contents_does_not_hurt_the_program) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    allocate(10);
    const auto path = std::string(getenv("TENURE_SESSION")) + "/" + std::to_string(getpid()) + ".0.region";
    const int file = open(path.c_str(), O_RDWR);
    for (const std::uint64_t value : {~0ull, 1ull, 0x8000000000000003ull, 0x1234567ull}) {
      for (const std::uint64_t field : {wire::ring_offset_bytes, wire::ring_offset_bytes + 8,
                                        wire::control_offset_bytes, wire::ring_offset_bytes + 40}) {
        if (pwrite(file, &value, 8, static_cast<off_t>(field)) != 8) _exit(1);
        allocate(100, 100);
        for (int i = 100; i < 200; ++i) telemetry::record_free(blocks + i * 16);
        telemetry::sample_clock clock;
        clock.reset();
      }
    }
    telemetry::finish();
  }),
            0);
}

}  // namespace
