// What a program frees goes back to the system without its help, also when it then does nothing at all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::opaque;
using tenure::testing::resident_bytes;

constexpr std::size_t mebibyte = 1024 * 1024;

// The promise is ten seconds; a busy machine is given three times that before the test says that it is broken.
std::size_t resident_after_sleeping(std::size_t wanted) {
  for (int tenth = 0; tenth < 300 && resident_bytes() > wanted; ++tenth) usleep(100000);
  return resident_bytes();
}

std::vector<char*> burst(std::size_t total, std::size_t size) {
  std::vector<char*> blocks(total / size);
  for (char*& block : blocks) {
    block = static_cast<char*>(std::malloc(opaque(size)));
    std::memset(block, 1, size);
  }
  return blocks;
}

void expect_return(std::size_t size) {
  const std::size_t before = resident_bytes();
  {
    const std::vector<char*> blocks = burst(1024 * mebibyte, size);
    ASSERT_GE(resident_bytes(), before + 1000 * mebibyte);
    for (char* block : blocks) std::free(block);
  }
  const std::size_t wanted = before + before / 10 + 8 * mebibyte;
  EXPECT_LE(resident_after_sleeping(wanted), wanted) << "blocks of " << size;
}

TEST(a_burst_of_a_gibibyte, goes_back_while_the_program_sleeps) {
  for (const std::size_t size : {200ul, 5000ul, 100000ul, 4000000ul}) expect_return(size);
}

TEST(a_burst_of_a_gibibyte, goes_back_when_a_thread_frees_it_that_then_sleeps) {
  const std::size_t before = resident_bytes();
  std::vector<char*> blocks = burst(512 * mebibyte, 1000);
  std::thread freeing([&] {
    for (char* block : blocks) std::free(block);
    const std::size_t wanted = before + before / 10 + 16 * mebibyte;
    EXPECT_LE(resident_after_sleeping(wanted), wanted);
  });
  freeing.join();
}

}  // namespace
