// The collector against programs of tests/support/synthetic_program.cc, whose every sample is known.
#include "instruments/collect/collector.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>

#include "instruments/collect/heap_counters.h"
#include "instruments/collect/session_folder.h"

namespace tenure::collect {
namespace {

recording run(std::vector<std::string> words) {
  auto session = session_folder::create();
  EXPECT_TRUE(session) << session.error();
  collector_options options;
  options.session = session->path();
  options.command.program = TENURE_SYNTHETIC_PROGRAM;
  options.command.arguments = {"synthetic"};
  for (std::string& word : words) options.command.arguments.push_back(std::move(word));
  options.command.environment = {{"TENURE_SESSION", session->path().string()}};
  auto result = run_and_collect(options);
  EXPECT_TRUE(result);
  for (const process_record& one : result->processes) {
    EXPECT_EQ(one.refused_events, 0u);
    EXPECT_EQ(one.unmatched_frees, 0u);
  }
  const std::filesystem::path folder = session->path();
  session->remove();
  EXPECT_FALSE(std::filesystem::exists(folder));
  return std::move(*result);
}

std::size_t freed(const process_record& record) {
  return static_cast<std::size_t>(
      std::count_if(record.samples.begin(), record.samples.end(), [](const sample& one) { return one.is_freed(); }));
}

TEST(Collector, SeesEverySampleAndFree) {
  const recording seen = run({"samples:3000", "exit:0"});
  ASSERT_EQ(seen.processes.size(), 1u);
  const process_record& process = seen.processes[0];
  EXPECT_EQ(process.samples.size(), 3000u);
  EXPECT_EQ(freed(process), 2000u);
  EXPECT_EQ(process.end, process_end::exited);
  EXPECT_EQ(process.pid, seen.child_pid);
  EXPECT_EQ(process.stacks.size(), 3u);     // two that allocate, one that frees
  EXPECT_EQ(process.locations.size(), 4u);  // 0x401000 to 0x404000
  ASSERT_EQ(process.threads.size(), 1u);
  EXPECT_EQ(process.threads[0].name, "synthetic");
  ASSERT_EQ(process.command_line.size(), 3u);
  EXPECT_EQ(process.command_line[1], "samples:3000");
  EXPECT_EQ(seen.exit_code, 0);
}

TEST(Collector, KeepsUpWithManyTimesTheRing) {
  // 200 000 samples of 88 bytes and their frees are about three laps of the ring.
  const recording seen = run({"samples:200000", "exit:0"});
  ASSERT_EQ(seen.processes.size(), 1u);
  EXPECT_EQ(seen.processes[0].samples.size(), 200000u);
  EXPECT_EQ(seen.processes[0].lost_bytes, 0u);
}

// A kernel, or a container's filter, that does not know the call.
void refuse_epoll_pwait2() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{std::size(program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    _exit(77);
}

TEST(CollectorDeathTest, WaitsWhereTheKernelHasNoFineTimeout) {
  const auto watch = [] {
    refuse_epoll_pwait2();
    const recording seen = run({"samples:1", "resident:4096", "exit:0"});
    // A tick is a millisecond at least. Without a wait there are some hundred thousand.
    _exit(seen.cost.wake_ups < 3000 && seen.processes.size() == 1 ? 0 : 1);
  };
  EXPECT_EXIT(watch(), ::testing::ExitedWithCode(0), "");
}

TEST(Collector, IsCompleteAfterKill) {
  const recording seen = run({"samples:999", "kill:9"});
  ASSERT_EQ(seen.processes.size(), 1u);
  EXPECT_EQ(seen.processes[0].samples.size(), 999u);
  EXPECT_EQ(seen.processes[0].end, process_end::killed);
  EXPECT_EQ(seen.exit_code, 128 + SIGKILL);
  EXPECT_EQ(seen.exit_signal, SIGKILL);
}

TEST(Collector, PassesTheExitCodeOn) { EXPECT_EQ(run({"exit:37"}).exit_code, 37); }

TEST(Collector, SeesTheMemoryOfThePeak) {
  constexpr std::uint64_t touched_bytes = 48 << 20;
  const recording seen = run({"resident:" + std::to_string(touched_bytes), "exit:0"});
  const process_record& process = seen.processes.at(0);
  ASSERT_EQ(process.maps.size(), 1u);
  EXPECT_GE(process.maps[0].resident_bytes, touched_bytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose shadow is resident as well
  EXPECT_LT(process.maps[0].resident_bytes, touched_bytes + (16 << 20));
#endif
  std::uint64_t sum = 0;
  for (const mapping& one : process.maps[0].mappings) sum += one.resident_bytes;
  EXPECT_EQ(sum, process.maps[0].resident_bytes);
  EXPECT_TRUE(process.has_exit_map);
  EXPECT_FALSE(process.resident.empty());
}

// RSS stays up when blocks are freed: a later map that is a little greater says nothing of the peak.
TEST(Collector, KeepsTheMapOfThePeakWhenWhatWasInUseIsFreed) {
  constexpr std::uint64_t held_bytes = 48 << 20;
  const std::string held = std::to_string(held_bytes), more = std::to_string(held_bytes / 8);
  const recording seen = run({"in_use:" + held, "resident:" + held, "in_use:1000", "resident:" + more, "exit:0"});
  const process_record& process = seen.processes.at(0);
  ASSERT_EQ(process.maps.size(), 1u);
  EXPECT_EQ(process.maps[0].statistics.chunk_bytes, held_bytes);
  EXPECT_EQ(process.exit_map.statistics.chunk_bytes, 1000u);
}

TEST(Collector, TakesAMapThatIsClearlyGreaterWhateverIsInUse) {
  constexpr std::uint64_t held_bytes = 48 << 20;
  const std::string held = std::to_string(held_bytes);
  const recording seen = run({"in_use:" + held, "resident:" + held, "in_use:1000", "resident:" + held, "exit:0"});
  ASSERT_EQ(seen.processes.at(0).maps.size(), 1u);
  EXPECT_EQ(seen.processes[0].maps[0].statistics.chunk_bytes, 1000u);
}

TEST(HeapCounters, CountAsInUseWhatIsNotFree) {
  wire::heap_statistics counters{};
  counters.chunk_bytes = 1000;
  counters.free_clean_bytes = 300;
  counters.free_dirty_bytes = 200;
  counters.classes[1] = {16, 0, 0, 3, 2, 1, 0};
  EXPECT_EQ(bytes_in_use(counters), 500u - 6 * 16);
  counters.classes[2] = {8, 0, 0, ~std::uint64_t{0}, 0, 0, 0};  // nonsense
  EXPECT_EQ(bytes_in_use(counters), 500u - 6 * 16);
  counters.free_clean_bytes = 5000;
  EXPECT_EQ(bytes_in_use(counters), 0u);
}

TEST(Collector, FollowsForkAndExec) {
  const recording seen = run({"samples:10", "fork", "samples:20", "exec", "samples:30", "exit:5"});
  ASSERT_EQ(seen.processes.size(), 3u);
  EXPECT_EQ(seen.exit_code, 5);
  EXPECT_EQ(seen.processes[0].samples.size(), 10u);
  EXPECT_EQ(seen.processes[0].end, process_end::exited);
  EXPECT_EQ(seen.processes[1].samples.size(), 20u);
  EXPECT_EQ(seen.processes[1].origin, wire::origin::fork);
  EXPECT_EQ(seen.processes[1].end, process_end::replaced);
  EXPECT_EQ(seen.processes[2].samples.size(), 30u);
  EXPECT_EQ(seen.processes[2].pid, seen.processes[1].pid);
  EXPECT_EQ(seen.processes[2].end, process_end::exited);
}

TEST(Collector, DoesNotWaitForDaemons) {
  auto folder = session_folder::create();
  ASSERT_TRUE(folder);
  const std::filesystem::path flag = folder->path() / "go";
  const recording seen = run({"daemon", "samples:7", "wait:" + flag.string()});
  std::ofstream(flag) << "go";
  ASSERT_EQ(seen.processes.size(), 2u);
  EXPECT_EQ(seen.processes[1].end, process_end::running);
  // Leave nothing behind: the daemon has been adopted by this process, and ends when it sees the flag.
  EXPECT_EQ(::waitpid(static_cast<pid_t>(seen.processes[1].pid), nullptr, 0),
            static_cast<pid_t>(seen.processes[1].pid));
}

TEST(Collector, SaysWhyACommandCannotBeStarted) {
  auto session = session_folder::create();
  ASSERT_TRUE(session);
  collector_options options;
  options.session = session->path();
  options.command.program = "/nowhere/at/all";
  options.command.arguments = {"all"};
  const auto result = run_and_collect(options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), ENOENT);
}

}  // namespace
}  // namespace tenure::collect
