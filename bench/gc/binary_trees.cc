// The benchmarks game's binary-trees: many short-lived trees beside one that lives.
#include "programs.h"

namespace tenure::bench {

namespace {

struct managed_node {
  gc::member<managed_node> left, right;
};
struct unique_node {
  std::unique_ptr<unique_node> left, right;
};
struct shared_node {
  std::shared_ptr<shared_node> left, right;
};

gc::local<managed_node> make_managed(int depth) {
  gc::local<managed_node> made = gc::make<managed_node>();
  if (depth > 0) {
    made->left = make_managed(depth - 1);
    made->right = make_managed(depth - 1);
  }
  return made;
}
std::unique_ptr<unique_node> make_unique_tree(int depth) {
  auto made = std::make_unique<unique_node>();
  if (depth > 0) {
    made->left = make_unique_tree(depth - 1);
    made->right = make_unique_tree(depth - 1);
  }
  return made;
}
std::shared_ptr<shared_node> make_shared_tree(int depth) {
  auto made = std::make_shared<shared_node>();
  if (depth > 0) {
    made->left = make_shared_tree(depth - 1);
    made->right = make_shared_tree(depth - 1);
  }
  return made;
}
#ifdef TENURE_BENCH_BOEHM
struct raw_node {
  raw_node *left = nullptr, *right = nullptr;
};
raw_node* make_raw(int depth) {
  auto* made = boehm_new<raw_node>();
  if (depth > 0) {
    made->left = make_raw(depth - 1);
    made->right = make_raw(depth - 1);
  }
  return made;
}
#endif

template <class Node>
std::uint64_t count(const Node& tree) {
  return tree.left ? 1 + count(*tree.left) + count(*tree.right) : 1;
}

template <class Make>
std::uint64_t run(int most, Make make) {
  std::uint64_t sum = count(*make(most + 1));
  const auto long_lived = make(most);
  for (int depth = 4; depth <= most; depth += 2) {
    const int rounds = 1 << (most - depth + 4);
    for (int i = 0; i < rounds; ++i) sum += count(*make(depth));
  }
  return sum + count(*long_lived);
}

}  // namespace

std::uint64_t binary_trees(memory kind, int depth) {
  switch (kind) {
    case memory::managed:
      return run(depth, make_managed);
    case memory::unique:
      return run(depth, make_unique_tree);
#ifdef TENURE_BENCH_BOEHM
    case memory::boehm:
      return run(depth, make_raw);
#endif
    default:
      return run(depth, make_shared_tree);
  }
}

}  // namespace tenure::bench
