// NUMA placement: what the kernel is told (asked back with get_mempolicy), where pages lie, what is refused.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <tenure/arena.hpp>
#include <tenure/numa.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "support/sizes.h"

namespace tenure {
namespace {

// The policy of an address as the kernel has it: its mode and the first 64 nodes.
struct kernel_policy {
  int mode = -1;
  unsigned long nodes = 0;
};

kernel_policy policy_of(const void* address) {
  constexpr unsigned long of_address = 1ul << 1;  // MPOL_F_ADDR
  kernel_policy found;
  unsigned long words[1024 / (8 * sizeof(unsigned long))] = {};
  if (::syscall(SYS_get_mempolicy, &found.mode, words, 1024, address, of_address) != 0) found.mode = -1;
  found.nodes = words[0];
  return found;
}

bool kernel_has_numa() {
  int mode = 0;
  return ::syscall(SYS_get_mempolicy, &mode, nullptr, 0, nullptr, 0) == 0;
}

class Numa : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_has_numa()) GTEST_SKIP() << "the kernel has no NUMA, or the container forbids it";
  }
};

std::size_t sum_of(const std::vector<numa_share>& shares) {
  std::size_t sum = 0;
  for (const numa_share& one : shares) sum += one.bytes;
  return sum;
}

TEST_F(Numa, TellsTheKernelItsPolicyBeforeTheFirstTouch) {
  const unsigned node = numa::allowed_nodes().front();
  ASSERT_LT(node, 64u);
  const struct {
    numa_policy policy;
    int mode;
  } expected[] = {{numa_policy::preferred, 1}, {numa_policy::bind, 2}, {numa_policy::interleaved, 3}};
  for (const auto& one : expected) {
    numa memory({.name = "tested", .policy = one.policy, .nodes = {node}, .region_bytes = 2 * mebibyte});
    void* block = memory.allocate(8192);
    EXPECT_TRUE(memory.bytes_by_node().empty());
    const kernel_policy found = policy_of(block);
    EXPECT_EQ(found.mode, one.mode);
    EXPECT_EQ(found.nodes, 1ul << node);
    memory.deallocate(block, 8192);
  }
  numa local({.name = "tested", .region_bytes = 2 * mebibyte});
  EXPECT_EQ(policy_of(local.allocate(8192)).mode, 4);
}

TEST_F(Numa, TakesAllNodesThatItMayUseWhereNoneIsNamed) {
  unsigned long all = 0;
  for (const unsigned node : numa::allowed_nodes()) all |= node < 64 ? 1ul << node : 0;
  numa memory({.name = "tested", .policy = numa_policy::interleaved, .region_bytes = 2 * mebibyte});
  EXPECT_EQ(policy_of(memory.allocate(4096)).nodes, all);
}

TEST_F(Numa, KnowsWhereItsPagesAre) {
  const unsigned node = numa::allowed_nodes().front();
  numa memory({.name = "tested", .policy = numa_policy::bind, .nodes = {node}, .region_bytes = 2 * mebibyte});
  void* block = memory.allocate(mebibyte);
  std::memset(block, 1, 64 * 1024);
  const std::vector<numa_share> shares = memory.bytes_by_node();
  ASSERT_EQ(shares.size(), 1u);
  EXPECT_EQ(shares[0].node, node);
  // A huge page, where the kernel gives them unasked, counts as a whole.
  EXPECT_GE(shares[0].bytes, 64u * 1024);
  EXPECT_LE(shares[0].bytes, 2 * mebibyte);
}

TEST_F(Numa, MigratesAndKeepsWhatIsWritten) {
  const std::vector<unsigned> nodes = numa::allowed_nodes();
  numa memory({.name = "tested", .policy = numa_policy::bind, .nodes = {nodes.front()}, .region_bytes = 2 * mebibyte});
  auto* block = static_cast<unsigned char*>(memory.allocate(mebibyte));
  std::memset(block, 7, mebibyte);
  memory.migrate({nodes.back()});
  const std::vector<numa_share> shares = memory.bytes_by_node();
  ASSERT_EQ(shares.size(), 1u);
  EXPECT_EQ(shares[0].node, nodes.back());
  for (std::size_t i = 0; i < mebibyte; ++i) ASSERT_EQ(block[i], 7);
  EXPECT_EQ(sum_of(shares) / mebibyte, sum_of(memory.bytes_by_node()) / mebibyte);
  memory.check();
}

TEST_F(Numa, ServesAnArena) {
  numa memory({.name = "pages", .policy = numa_policy::interleaved});
  {
    arena objects(
        {.name = "nodes", .first_chunk_bytes = mebibyte, .checks = resource_checks::off, .upstream = &memory});
    std::memset(objects.allocate(100'000), 1, 100'000);
    EXPECT_GT(memory.statistics().used_bytes, 0u);
    EXPECT_FALSE(memory.bytes_by_node().empty());
  }
  EXPECT_EQ(memory.statistics().used_bytes, 0u);
  EXPECT_GT(memory.trim(), 0u);
}

TEST(NumaRefusals, NameTheNodeAndThoseThatThereAre) {
  try {
    numa memory({.name = "tested", .policy = numa_policy::bind, .nodes = {0, 900}});
    FAIL() << "node 900 was accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("node 900, but from 0"), std::string::npos) << error.what();
  }
  EXPECT_THROW(numa({.name = "tested", .policy = numa_policy::bind, .nodes = {100'000}}), std::invalid_argument);
  EXPECT_THROW(numa({.name = "tested", .region_bytes = 3 * mebibyte}), std::invalid_argument);
}

TEST(NumaRefusals, LeaveEverythingAsItWas) {
  numa local({.name = "tested"});
  EXPECT_THROW(local.migrate({0}), std::logic_error);
  if (!kernel_has_numa()) GTEST_SKIP() << "the kernel has no NUMA, or the container forbids it";
  numa memory({.name = "tested", .policy = numa_policy::bind, .nodes = {numa::allowed_nodes().front()}});
  void* block = memory.allocate(4096);
  EXPECT_THROW(memory.migrate({900}), std::invalid_argument);
  EXPECT_EQ(policy_of(block).mode, 2);
  memory.deallocate(block, 4096);
  memory.check();
}

// sysfs, which the resource does not read.
TEST(NumaTopology, IsThatOfTheSystem) {
  std::ifstream file("/sys/devices/system/node/has_memory");
  unsigned first = 0;
  if (!(file >> first)) GTEST_SKIP() << "no topology in sysfs";
  const std::vector<unsigned> allowed = numa::allowed_nodes();
  ASSERT_FALSE(allowed.empty());
  EXPECT_GE(allowed.front(), first);
  EXPECT_EQ(::access(("/sys/devices/system/node/node" + std::to_string(numa::current_node())).c_str(), F_OK), 0);
}

}  // namespace
}  // namespace tenure
