// Dominators, against what the word means: without the dominator, there is no way.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "library/gc/dominators.h"
#include "support/dice.h"
#include "support/rounds.h"

using namespace tenure;

namespace gc_dominators_tests {
namespace {

using edges = std::vector<std::vector<std::uint32_t>>;

gc::dominator_tree dominators_of(const edges& graph) {
  std::vector<std::uint32_t> first{0};
  std::vector<std::uint32_t> targets;
  for (const auto& each : graph) {
    targets.insert(targets.end(), each.begin(), each.end());
    first.push_back(static_cast<std::uint32_t>(targets.size()));
  }
  return gc::find_dominators({first, targets});
}

// What node 0 leads to, with one node taken away.
std::vector<bool> reached_without(const edges& graph, std::uint32_t removed) {
  std::vector<bool> reached(graph.size());
  if (removed == 0) return reached;
  std::vector<std::uint32_t> waiting{0};
  reached[0] = true;
  while (!waiting.empty()) {
    const std::uint32_t at = waiting.back();
    waiting.pop_back();
    for (const std::uint32_t to : graph[at]) {
      if (to == removed || reached[to]) continue;
      reached[to] = true;
      waiting.push_back(to);
    }
  }
  return reached;
}

bool is_above(const gc::dominator_tree& tree, std::uint32_t above, std::uint32_t node) {
  while (node != above && node != 0) node = tree.parents[node];
  return node == above;
}

void expect_dominators(const edges& graph) {
  const gc::dominator_tree tree = dominators_of(graph);
  const std::vector<bool> reached = reached_without(graph, gc::no_node);
  std::vector<std::size_t> place(graph.size(), graph.size());
  for (std::size_t i = 0; i < tree.order.size(); ++i) place[tree.order[i]] = i;
  for (std::uint32_t node = 1; node < graph.size(); ++node) {
    ASSERT_EQ(tree.parents[node] != gc::no_node, reached[node]);
    if (reached[node]) {
      ASSERT_LT(place[tree.parents[node]], place[node]);
    }
  }
  for (std::uint32_t removed = 1; removed < graph.size(); ++removed) {
    if (!reached[removed]) continue;
    const std::vector<bool> left = reached_without(graph, removed);
    for (std::uint32_t node = 1; node < graph.size(); ++node) {
      if (reached[node]) {
        ASSERT_EQ(is_above(tree, removed, node), !left[node]) << removed << " " << node;
      }
    }
  }
}

TEST(dominators, are_what_every_way_leads_through) {
  test::dice dice(7);
  for (int round = 0; round < test::rounds(400); ++round) {
    const std::uint32_t size = 1 + dice.below(40);
    edges graph(size);
    const std::uint32_t count = dice.below(3 * size);
    for (std::uint32_t i = 0; i < count; ++i) graph[dice.below(size)].push_back(dice.below(size));
    expect_dominators(graph);
  }
}

// Deep, and linked both ways: what recursion or iteration in order would not get through.
TEST(dominators, of_a_million_nodes_linked_both_ways_are_found) {
  constexpr std::uint32_t size = test::rounds(1'000'000u);
  edges graph(size);
  graph[0] = {1, size - 1};
  for (std::uint32_t node = 1; node + 1 < size; ++node) {
    graph[node].push_back(node + 1);
    graph[node + 1].push_back(node);
  }
  const gc::dominator_tree tree = dominators_of(graph);
  for (std::uint32_t node = 1; node < size; ++node) ASSERT_EQ(tree.parents[node], 0u);
}

}  // namespace
}  // namespace gc_dominators_tests
