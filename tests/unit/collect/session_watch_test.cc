// Programs that become others, as their region files tell it.
#include "instruments/collect/session_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/region_writer.h"

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

}  // namespace
}  // namespace tenure::collect
