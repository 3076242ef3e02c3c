// GCBench (Ellis, Kovac, Boehm), scaled by the depth of its long-lived tree: trees made top-down and bottom-up beside a
// tree and an array of numbers that live.
#include "programs.h"

namespace tenure::bench {

namespace {

struct managed_node {
  gc::member<managed_node> left, right;
  int i = 0, j = 0;
};
struct unique_node {
  std::unique_ptr<unique_node> left, right;
  int i = 0, j = 0;
};
struct shared_node {
  std::shared_ptr<shared_node> left, right;
  int i = 0, j = 0;
};

struct managed {
  using pointer = gc::local<managed_node>;
  static pointer make() { return gc::make<managed_node>(); }
  static gc::local<gc::array<double>> numbers(std::size_t count) { return gc::make_array<double>(count); }
};
struct unique {
  using pointer = std::unique_ptr<unique_node>;
  static pointer make() { return std::make_unique<unique_node>(); }
  static auto numbers(std::size_t count) { return std::make_unique<std::unique_ptr<double[]>>(new double[count]()); }
};
struct shared {
  using pointer = std::shared_ptr<shared_node>;
  static pointer make() { return std::make_shared<shared_node>(); }
  static auto numbers(std::size_t count) { return std::make_shared<std::unique_ptr<double[]>>(new double[count]()); }
};
#ifdef TENURE_BENCH_BOEHM
struct raw_node {
  raw_node *left = nullptr, *right = nullptr;
  int i = 0, j = 0;
};
struct raw {
  using pointer = raw_node*;
  static pointer make() { return boehm_new<raw_node>(); }
  static double** numbers(std::size_t count) {
    auto** made = static_cast<double**>(GC_MALLOC(sizeof(double*)));
    *made = static_cast<double*>(GC_MALLOC_ATOMIC(count * sizeof(double)));
    return made;
  }
};
#endif

template <class Memory, class Node>
void populate(int depth, Node& at) {
  if (depth <= 0) return;
  at.left = Memory::make();
  at.right = Memory::make();
  populate<Memory>(depth - 1, *at.left);
  populate<Memory>(depth - 1, *at.right);
}
template <class Memory>
typename Memory::pointer build(int depth) {
  auto made = Memory::make();
  if (depth > 0) {
    made->left = build<Memory>(depth - 1);
    made->right = build<Memory>(depth - 1);
  }
  return made;
}
template <class Node>
std::uint64_t count(const Node& tree) {
  return tree.left ? 1 + count(*tree.left) + count(*tree.right) : 1;
}

template <class Memory>
std::uint64_t run(int depth) {
  std::uint64_t sum = count(*build<Memory>(depth + 2));
  const auto long_lived = Memory::make();
  populate<Memory>(depth, *long_lived);
  const std::size_t length = std::size_t{500'000} << (depth - 16);
  const auto numbers = Memory::numbers(length);
  for (std::size_t i = 0; i < length / 2; ++i) (*numbers)[i] = 1.0 / static_cast<double>(i + 1);
  const auto size_of = [](int d) { return (std::uint64_t{1} << (d + 1)) - 1; };
  for (int d = 4; d <= depth; d += 2) {
    const std::uint64_t rounds = 2 * size_of(depth + 2) / size_of(d);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      const auto top = Memory::make();
      populate<Memory>(d, *top);
      sum += top->left != nullptr;
    }
    for (std::uint64_t i = 0; i < rounds; ++i) sum += build<Memory>(d)->left != nullptr;
  }
  return sum + count(*long_lived) + ((*numbers)[1000] == 1.0 / 1001);
}

}  // namespace

std::uint64_t gcbench(memory kind, int depth) {
  switch (kind) {
    case memory::managed:
      return run<managed>(depth);
    case memory::unique:
      return run<unique>(depth);
#ifdef TENURE_BENCH_BOEHM
    case memory::boehm:
      return run<raw>(depth);
#endif
    default:
      return run<shared>(depth);
  }
}

}  // namespace tenure::bench
