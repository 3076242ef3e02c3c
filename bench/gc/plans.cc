// Each plan on the same work: what it gives and what it costs, as a table.
#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "programs.h"

namespace tenure::bench {

namespace {

struct node {
  gc::member<node> left;
  gc::member<node> right;
  std::uint64_t value = 0;
};

template <class Heap>
gc::local<node> make_tree(Heap& heap, int depth) {
  gc::local<node> made = heap.template make<node>();
  if (depth == 0) return made;
  made->left = make_tree(heap, depth - 1);
  made->right = make_tree(heap, depth - 1);
  return made;
}

// A list in random order of one in eight objects, the others dead. Nothing but the result leads to it.
template <class Heap>
[[gnu::noinline]] gc::root<node> make_sparse_list(Heap& heap, std::size_t count) {
  std::vector<gc::root<node>> kept;
  for (std::size_t i = 0; i < count * 8; ++i) {
    const gc::local<node> made = heap.template make<node>();
    if (i % 8 == 0) kept.emplace_back(made);
  }
  std::shuffle(kept.begin(), kept.end(), std::mt19937(1));
  for (std::size_t i = 0; i + 1 < count; ++i) kept[i]->left = kept[i + 1].get();
  return kept[0];
}

double walk_ns(const gc::root<node>& first, std::size_t count) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double before = seconds(CLOCK_MONOTONIC);
    std::uint64_t sum = 0;
    for (const node* at = first.get(); at != nullptr; at = at->left.get()) sum += at->value + 1;
    if (sum != count) std::abort();
    best = std::min(best, (seconds(CLOCK_MONOTONIC) - before) * 1e9 / static_cast<double>(count));
  }
  return best;
}

double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

template <class Heap>
void measure(const char* name, Heap& heap) {
  const double wall = seconds(CLOCK_MONOTONIC);
  double trees_s;
  std::size_t most_bytes = 0;
  {
    const gc::local<node> old = make_tree(heap, 16);
    for (int i = 0; i < 2000; ++i) {
      make_tree(heap, 10);
      if (i % 16 == 0) most_bytes = std::max(most_bytes, heap.statistics().block_bytes);
    }
    trees_s = seconds(CLOCK_MONOTONIC) - wall;
  }
  const gc::heap_statistics trees = heap.statistics();
  for (int i = 0; i < 2; ++i) heap.collect();
  constexpr std::size_t count = 200'000;
  const gc::root<node> list = make_sparse_list(heap, count);
  for (int i = 0; i < 2; ++i) heap.collect();
  const gc::heap_statistics sparse = heap.statistics();
  std::printf("| `%s` | %.2f | %.2f | %llu | %.1f | %.0f | %.1f | %.1f | %llu |\n", name, trees_s,
              static_cast<double>(trees.collector_ns) / 1e9, static_cast<unsigned long long>(trees.cycles),
              static_cast<double>(trees.longest_stop_ns) / 1e6, mib(most_bytes), mib(sparse.block_bytes),
              walk_ns(list, count), static_cast<unsigned long long>(sparse.moved_objects));
}

void measure_heap(const char* name, gc::plan plan) {
  gc::heap heap({.name = name, .plan = plan});
  measure(name, heap);
}
template <gc::plan plan>
void measure_heap_of(const char* name) {
  gc::heap_of<plan> heap({.name = name});
  measure(name, heap);
}

}  // namespace

void plans() {
  std::printf(
      "| plan | trees, s | collector, s | cycles | longest stop, ms | most blocks, MiB | sparse list, MiB | walk, "
      "ns/object | moved |\n|---|---|---|---|---|---|---|---|---|\n");
  measure_heap("nogc", gc::plan::nogc);
  measure_heap("mark_sweep", gc::plan::mark_sweep);
  measure_heap("mark_sweep_lazy", gc::plan::mark_sweep_lazy);
  measure_heap("sticky_concurrent", gc::plan::sticky_concurrent);
  measure_heap("immix", gc::plan::immix);
  measure_heap_of<gc::plan::semispace>("semispace");
  measure_heap_of<gc::plan::mark_compact>("mark_compact");
  measure_heap("refcount", gc::plan::refcount);
}

}  // namespace tenure::bench
