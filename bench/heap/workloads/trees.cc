// Trees built and dropped: many small nodes with operator new, one big tree that stays, many little ones that do not;
// and a tree that is pruned and grown again at random places, as documents and syntax trees are.
#include <iterator>
#include <memory>

#include "workload.h"

namespace tenure::bench {
namespace {

struct node {
  std::unique_ptr<node> left;
  std::unique_ptr<node> right;
  std::uint64_t weight = 1;
};

std::unique_ptr<node> build(unsigned depth) {
  auto root = std::make_unique<node>();
  if (depth > 0) {
    root->left = build(depth - 1);
    root->right = build(depth - 1);
  }
  return root;
}

std::uint64_t weigh(const node* root) {
  return root ? root->weight + weigh(root->left.get()) + weigh(root->right.get()) : 0;
}

// Walks down at random to a subtree of the given depth and builds it anew.
void regrow(node* root, unsigned depth_above, unsigned depth, random_source& random) {
  for (; depth_above > 1; --depth_above) {
    root = random.below(2) == 0 ? root->left.get() : root->right.get();
  }
  root->left.reset();
  root->left = build(depth);
}

constexpr unsigned stays_depth = 17;
constexpr unsigned little_depth = 9;
constexpr std::uint64_t turns_whole = 16'000;

std::uint64_t run_tree(std::uint64_t divisor) {
  random_source random(101);
  const std::unique_ptr<node> stays = build(stays_depth);
  std::uint64_t weight = weigh(stays.get());
  const std::uint64_t turns = turns_whole / divisor;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    weight += weigh(build(little_depth).get());
    regrow(stays.get(), stays_depth - little_depth, little_depth, random);
  }
  return weight;
}

constexpr workload all[] = {
    {"trees", "little trees built and dropped beside a big one that is pruned and regrown", run_tree},
};

}  // namespace

workload_list tree_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
