#include "core/telemetry/stack_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "support/dice.h"

namespace tenure::telemetry {
namespace {

constexpr auto not_kept = static_cast<std::uint32_t>(wire::stack_root::not_kept);

std::uint32_t modules_told = 0;
std::uint32_t announce(std::uint64_t) noexcept { return modules_told; }

struct kept_trie {
  explicit kept_trie(std::uint32_t capacity) : nodes(capacity) {
    trie.attach(&header, nodes.data(), capacity, nullptr, announce);
  }
  ~kept_trie() { trie.detach(); }
  wire::tape_header header{};
  std::vector<wire::stack_node> nodes;
  stack_trie trie;
};

TEST(stack_trie, gives_one_number_to_each_pair_of_caller_and_address) {
  kept_trie kept(1 << 18);
  test::dice dice(7);
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint32_t> expected;
  std::vector<std::uint32_t> parents{0, 1, 2};
  for (int i = 0; i < 200'000; ++i) {
    const std::uint32_t parent = parents[dice.below(static_cast<std::uint32_t>(parents.size()))];
    const std::uint64_t address = 0x7f0000001000 + dice.below(500) * 3;
    const std::uint32_t number = kept.trie.child(parent, address);
    const auto [place, is_new] = expected.emplace(std::pair{parent, address}, number);
    ASSERT_EQ(place->second, number);
    if (is_new) parents.push_back(number);
  }
  EXPECT_EQ(kept.header.node_count, expected.size() + wire::stack_root_count);
  for (const auto& [pair, number] : expected) {
    EXPECT_EQ(kept.nodes[number].parent, pair.first);
    EXPECT_EQ(kept.nodes[number].address, pair.second);
  }
  kept.trie.check();
}

TEST(stack_trie, refuses_and_counts_what_it_has_no_room_for) {
  kept_trie kept(wire::stack_root_count + 2);
  const std::uint32_t first = kept.trie.child(0, 100);
  const std::uint32_t second = kept.trie.child(first, 200);
  EXPECT_EQ(kept.trie.child(second, 300), not_kept);
  EXPECT_EQ(kept.trie.child(not_kept, 300), not_kept);
  EXPECT_EQ(kept.trie.child(first, 200), second);
  EXPECT_EQ(kept.header.refused_nodes, 1u);
  EXPECT_EQ(kept.header.node_count, wire::stack_root_count + 2);
}

TEST(stack_trie, gives_new_numbers_when_addresses_mean_something_else) {
  kept_trie kept(1 << 16);
  modules_told = 3;
  const std::uint32_t before = kept.trie.child(0, 100);
  kept.trie.forget();
  modules_told = 4;
  const std::uint32_t after = kept.trie.child(0, 100);
  EXPECT_NE(before, after);
  EXPECT_EQ(kept.trie.child(0, 100), after);
  EXPECT_EQ(kept.nodes[before].modules_told, 3u);
  EXPECT_EQ(kept.nodes[after].modules_told, 4u);
}

TEST(stack_trie, is_whole_when_threads_add_to_it_at_once) {
  kept_trie kept(1 << 20);
  constexpr int thread_count = 4;
  constexpr std::uint64_t stacks = 30'000;
  std::vector<std::vector<std::uint32_t>> leaves(thread_count);
  std::vector<std::thread> threads;
  for (int t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < stacks; ++i) {
        std::uint32_t node = 0;
        for (const std::uint64_t part : {i / 1000, i / 10, i}) node = kept.trie.child(node, 0x1000 + part);
        leaves[static_cast<std::size_t>(t)].push_back(node);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  kept.trie.check();
  // Whatever number a thread got, it says what the thread put in.
  for (const auto& of_thread : leaves) {
    for (std::uint64_t i = 0; i < stacks; ++i) {
      std::uint32_t node = of_thread[i];
      for (const std::uint64_t part : {i, i / 10, i / 1000}) {
        ASSERT_GE(node, wire::stack_root_count);
        ASSERT_EQ(kept.nodes[node].address, 0x1000 + part);
        node = kept.nodes[node].parent;
      }
      ASSERT_EQ(node, 0u);
    }
  }
  // Doubles are the exception: nodes for one thread's stacks, and a few more.
  const std::uint64_t needed = stacks + stacks / 10 + stacks / 1000;
  EXPECT_GE(kept.header.node_count, needed);
  EXPECT_LT(kept.header.node_count, needed * 2);
}

}  // namespace
}  // namespace tenure::telemetry
