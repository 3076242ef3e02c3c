// What single operations cost, with no cycle under way.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "programs.h"

namespace tenure::bench {

namespace {

struct thirty_two {
  std::uint64_t words[4] = {1, 2, 3, 4};
};
struct node {
  gc::member<node> link;
};

// Best of seven, in nanoseconds.
template <class Body>
double best(int count, Body body) {
  double least = 1e9;
  for (int round = 0; round < 7; ++round) {
    const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < count; ++i) body(i);
    least = std::min(least, (seconds(CLOCK_THREAD_CPUTIME_ID) - before) * 1e9 / count);
  }
  return least;
}

void keep(const void* value) { asm volatile("" : : "r"(value) : "memory"); }

}  // namespace

void primitives() {
  constexpr int count = 2'000'000;
  std::printf("allocate and initialise 32 bytes, managed    %.2f ns\n",
              best(count, [](int) { keep(gc::make<thirty_two>().get()); }));
  std::printf("allocate and initialise 32 bytes, new/delete %.2f ns\n", best(count, [](int) {
                auto* made = new thirty_two;
                keep(made);
                delete made;
              }));

  constexpr std::size_t mask = 4095;
  const auto table = gc::make_array<gc::member<node>>(mask + 1);
  std::vector<gc::root<node>> targets;
  for (int i = 0; i < 64; ++i) targets.emplace_back(gc::make<node>());
  std::vector<node*> raw_targets;
  for (const auto& target : targets) raw_targets.push_back(target.get());
  std::vector<node*> raw_table(mask + 1);
  node** raw = raw_table.data();
  gc::member<node>* members = table->data();
  node* const* from = raw_targets.data();
  std::printf("store, raw pointer                           %.2f ns\n", best(count, [&](int i) {
                raw[static_cast<std::size_t>(i) * 97 & mask] = from[i & 63];
                keep(raw);
              }));
  std::printf("store, member                                %.2f ns\n", best(count, [&](int i) {
                members[static_cast<std::size_t>(i) * 97 & mask] = from[i & 63];
                keep(members);
              }));
  std::printf("pass a raw pointer                           %.2f ns\n",
              best(count, [&](int i) { keep(from[i & 63]); }));
  std::printf("pass by way of a local                       %.2f ns\n", best(count, [&](int i) {
                const gc::local<node> held(from[i & 63]);
                keep(held.get());
              }));
}

}  // namespace tenure::bench
