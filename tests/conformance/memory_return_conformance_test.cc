// What a program frees goes back to the system without its help, also when it then does nothing at all.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "support/memory_probe.h"
#include "support/sizes.h"

namespace {

using tenure::mebibyte;
using tenure::testing::opaque;
using tenure::testing::resident_bytes;

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

// Blocks of 64 bytes to 64 KiB, as many in each doubling, until they sum to this much.
std::vector<char*> assorted(std::size_t total, std::mt19937_64& random) {
  std::vector<char*> blocks;
  for (std::size_t sum = 0; sum < total;) {
    const std::size_t doubling = std::size_t{64} << random() % 10;
    const std::size_t size = doubling + random() % doubling;
    blocks.push_back(static_cast<char*>(std::malloc(opaque(size))));
    std::memset(blocks.back(), 1, size);
    sum += size;
  }
  return blocks;
}

TEST(a_burst_of_a_gibibyte, leaves_a_tenth_more_than_what_lives) {
  const std::size_t before = resident_bytes();
  std::mt19937_64 random(7);
  std::vector<char*> kept = assorted(64 * mebibyte, random);
  std::size_t live = 0;
  for (char* block : kept) live += malloc_usable_size(block);
  for (char* block : assorted(1024 * mebibyte, random)) std::free(block);
  const std::size_t wanted = before + live + live / 10;
  EXPECT_LE(resident_after_sleeping(wanted), wanted) << live << " bytes live";
  for (char* block : kept) std::free(block);
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
