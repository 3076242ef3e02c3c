// Programs under RLIMIT_AS and RLIMIT_DATA from their first instruction: malloc says no, and goes on.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace {

constexpr std::size_t mebibyte = 1024 * 1024;

// Exit code of the victim under the limit; 1000 and the signal when a signal ended it.
int run_victim(int resource, std::size_t limit_bytes, std::size_t least_bytes) {
  const std::string least = std::to_string(least_bytes);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{limit_bytes, limit_bytes};
    alarm(60);
    if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) _exit(97);
    execl(std::getenv("TENURE_TEST_VICTIM"), "limit_victim", least.c_str(), static_cast<char*>(nullptr));
    _exit(98);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class limits_test : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::getenv("TENURE_TEST_VICTIM"), nullptr); }
};

TEST_F(limits_test, of_the_address_space_at_256_mebibytes_leave_most_of_it_to_the_program) {
  EXPECT_EQ(run_victim(RLIMIT_AS, 256 * mebibyte, 150 * mebibyte), 0);
}

TEST_F(limits_test, of_the_address_space_at_64_mebibytes_leave_half_of_it_to_the_program) {
  EXPECT_EQ(run_victim(RLIMIT_AS, 64 * mebibyte, 24 * mebibyte), 0);
}

TEST_F(limits_test, of_the_address_space_at_a_gibibyte_leave_most_of_it_to_the_program) {
  EXPECT_EQ(run_victim(RLIMIT_AS, 1024 * mebibyte, 700 * mebibyte), 0);
}

// The kernel counts private writable mappings against it: the nearest thing to strict overcommit that one process can
// have for itself.
TEST_F(limits_test, of_private_writable_memory_leave_half_of_it_to_the_program) {
  EXPECT_EQ(run_victim(RLIMIT_DATA, 64 * mebibyte, 24 * mebibyte), 0);
  EXPECT_EQ(run_victim(RLIMIT_DATA, 256 * mebibyte, 128 * mebibyte), 0);
}

TEST_F(limits_test, so_small_that_the_program_cannot_start_end_without_a_crash) {
  for (std::size_t limit = 4 * mebibyte; limit <= 40 * mebibyte; limit += mebibyte) {
    const int code = run_victim(RLIMIT_AS, limit, 0);
    // 134 and above are shells; here 1006 would be abort and 1011 a segmentation fault. SIGKILL is the kernel's own
    // answer when it cannot even load the program.
    EXPECT_TRUE(code < 1000 || code == 1009 || (limit < 10 * mebibyte && code == 1011)) << limit << ": " << code;
  }
}

TEST(strict_overcommit, is_the_kernels_setting_here) {
  std::ifstream file("/proc/sys/vm/overcommit_memory");
  int mode = 0;
  file >> mode;
  if (mode != 2) {
    GTEST_SKIP() << "vm.overcommit_memory is " << mode
                 << "; it is a setting of the whole machine, which a test must not "
                 << "change. On a machine where it is 2, every test of this suite is the test.";
  }
}

}  // namespace
