// Which node every way from the root to another leads through: Lengauer and Tarjan's algorithm, without recursion, with
// links compressed as they are walked. O(edges x log(nodes)), whatever the shape: iteration over the nodes' order takes
// the square of a list that is linked both ways, which is what caches are made of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tenure::gc {

inline constexpr std::uint32_t no_node = ~std::uint32_t{0};

// Edges of node n: targets[first[n]] to targets[first[n + 1]], without it.
struct flow_graph {
  std::span<const std::uint32_t> first;  // one more than there are nodes
  std::span<const std::uint32_t> targets;

  std::size_t size() const noexcept { return first.size() - 1; }
};

struct dominator_tree {
  std::vector<std::uint32_t> parents;  // of each node; of the root, 0, and of what it does not lead to: no_node
  std::vector<std::uint32_t> order;    // nodes that it leads to; each comes behind its parent
};

// Throws std::bad_alloc.
dominator_tree find_dominators(const flow_graph& graph);

}  // namespace tenure::gc
