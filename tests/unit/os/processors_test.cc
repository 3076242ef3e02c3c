#include "core/os/processors.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>

namespace tenure::os {
namespace {

cpu_set_t allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

// The program anew, so that it asks for the first time, on the first `count` processors of those it has.
std::uint32_t count_when_on(int count) {
  const pid_t child = ::fork();
  if (child == 0) {
    const cpu_set_t all = allowed();
    cpu_set_t some;
    CPU_ZERO(&some);
    for (int i = 0, left = count; i < CPU_SETSIZE && left > 0; ++i) {
      if (!CPU_ISSET(i, &all)) continue;
      CPU_SET(i, &some);
      --left;
    }
    if (::sched_setaffinity(0, sizeof some, &some) != 0) ::_exit(0);
    ::_exit(static_cast<int>(processor_count()));
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return static_cast<std::uint32_t>(WEXITSTATUS(status));
}

TEST(processors, are_those_that_the_process_may_run_on) {
  const cpu_set_t all = allowed();
  const int count = CPU_COUNT(&all);
  EXPECT_EQ(count_when_on(1), 1u);
  EXPECT_EQ(count_when_on(count), static_cast<std::uint32_t>(count));
}

TEST(processors, are_those_of_the_first_question) {
  const std::uint32_t first = processor_count();
  EXPECT_GE(first, 1u);
  EXPECT_EQ(processor_count(), first);
}

TEST(processors, leave_errno_alone) {
  errno = ERANGE;
  processor_count();
  EXPECT_EQ(errno, ERANGE);
}

}  // namespace
}  // namespace tenure::os
