// Cycle collection beside a naive oracle: after a collection those objects are alive that can be reached from a root.
#include <gtest/gtest.h>
#include <tenure/tenure.h>
#include <tenure/cyclic_rc.hpp>
#include <tenure/rc.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../../support/dice.h"

namespace tenure {
namespace {

std::set<int> alive;

struct node {
  explicit node(int of) : number(of) { alive.insert(number); }
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  ~node() { alive.erase(number); }
  void trace(cycle_visitor& visit) const {
    visit(edges);
    visit(first);
    visit(named);
  }
  int number;
  std::vector<cyclic_rc<node>> edges;
  std::optional<cyclic_rc<node>> first;
  std::map<std::string, cyclic_rc<node>> named;
};

// The graph once more, as numbers.
struct model {
  std::map<int, std::multiset<int>> edges;
  std::set<int> reachable(const std::map<int, cyclic_rc<node>>& roots) const {
    std::set<int> found;
    std::vector<int> open;
    for (const auto& [number, root] : roots) open.push_back(number);
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      if (!found.insert(at).second) continue;
      for (const int to : edges.at(at)) open.push_back(to);
    }
    return found;
  }
};

// A root is dropped, made, or connected; edges are only changed on objects that can be reached.
void change(model& graph, std::map<int, cyclic_rc<node>>& roots, int fresh, test::dice& random) {
  const auto any = [&] { return std::next(roots.begin(), random.below(static_cast<std::uint32_t>(roots.size()))); };
  const std::uint32_t what = random.below(8);
  if (roots.size() < 2 || what == 0) {
    roots[fresh] = make_cyclic<node>(fresh);
    graph.edges[fresh];
  } else if (what == 1) {
    roots.erase(any());
  } else if (what == 2) {
    // A child becomes a root.
    const auto from = any();
    if (from->second->edges.empty()) return;
    const cyclic_rc<node> child =
        from->second->edges[random.below(static_cast<std::uint32_t>(from->second->edges.size()))];
    roots[child->number] = child;
  } else if (what == 3) {
    auto& [number, from] = *any();
    if (from->edges.empty()) return;
    graph.edges[number].erase(graph.edges[number].find(from->edges.back()->number));
    from->edges.pop_back();
  } else {
    auto& [number, from] = *any();
    auto& [to_number, to] = *any();
    graph.edges[number].insert(to_number);
    if (what == 4 && !from->first) {
      from->first = to;
    } else if (what == 5 && !from->named.contains("x")) {
      from->named["x"] = to;
    } else {
      from->edges.push_back(to);
    }
  }
}

TEST(CyclicRc, KeepsExactlyWhatCanBeReached) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    test::dice random(seed);
    model graph;
    std::map<int, cyclic_rc<node>> roots;
    for (int step = 0; step < 600; ++step) {
      change(graph, roots, step, random);
      if (random.one_in(25)) {
        collect_cycles();
        ASSERT_EQ(alive, graph.reachable(roots)) << "seed " << seed << ", step " << step;
      } else {
        const std::set<int> wanted = graph.reachable(roots);
        ASSERT_TRUE(std::includes(alive.begin(), alive.end(), wanted.begin(), wanted.end())) << "seed " << seed;
      }
    }
    roots.clear();
    collect_cycles();
    ASSERT_TRUE(alive.empty()) << "seed " << seed;
    ASSERT_EQ(cycles_of_this_thread().candidates, 0u);
  }
}

TEST(CyclicRc, WhatIsInNoCycleEndsAtOnce) {
  auto one = make_cyclic<node>(1);
  one->edges.push_back(make_cyclic<node>(2));
  auto shared = one->edges[0];
  one.reset();
  EXPECT_EQ(alive, (std::set<int>{2}));
  shared.reset();
  EXPECT_TRUE(alive.empty());
}

TEST(CyclicRc, AnObjectThatHoldsItself) {
  auto one = make_cyclic<node>(1);
  for (int i = 0; i < 5; ++i) one->edges.push_back(one);
  const auto weak = one.get();
  one.reset();
  EXPECT_EQ(weak->number, 1);
  EXPECT_EQ(collect_cycles(), 1u);
  EXPECT_TRUE(alive.empty());
}

// The garbage leads to objects in use, whose counts have to be right afterwards.
TEST(CyclicRc, WhatGarbageLeadsToKeepsItsCount) {
  auto used = make_cyclic<node>(1);
  auto leaf = make_cyclic<int>(7);
  {
    auto a = make_cyclic<node>(2);
    auto b = make_cyclic<node>(3);
    a->edges = {b, used, used};
    b->edges = {a, used};
    used->edges = {};
  }
  EXPECT_EQ(used.use_count(), 4);
  EXPECT_EQ(collect_cycles(), 2u);
  EXPECT_EQ(used.use_count(), 1);
  EXPECT_EQ(*leaf, 7);
  used.reset();
  EXPECT_TRUE(alive.empty());
}

TEST(CyclicRc, LongChainsAndRingsNeedNoDepth) {
  cyclic_rc<node> head = make_cyclic<node>(0);
  const cyclic_rc<node> last = head;
  for (int i = 1; i < 100'000; ++i) {
    auto fresh = make_cyclic<node>(i);
    fresh->edges.push_back(std::move(head));
    head = std::move(fresh);
  }
  last->edges.push_back(head);
  const_cast<cyclic_rc<node>&>(last).reset();
  head.reset();
  EXPECT_EQ(alive.size(), 100'000u);
  EXPECT_EQ(collect_cycles(), 100'000u);
  for (int i = 0; i < 100'000; ++i) {
    auto fresh = make_cyclic<node>(i);
    fresh->edges.push_back(std::move(head));
    head = std::move(fresh);
  }
  head.reset();
  EXPECT_TRUE(alive.empty());
}

TEST(CyclicRc, MakingMoreCollectsInPassing) {
  std::size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto a = make_cyclic<node>(2 * i);
    auto b = make_cyclic<node>(2 * i + 1);
    a->edges.push_back(b);
    b->edges.push_back(a);
    most = std::max(most, alive.size());
  }
  EXPECT_LT(most, 5000u);
  collect_cycles();
  EXPECT_TRUE(alive.empty());
}

TEST(CyclicRc, AThreadThatEndsCollects) {
  std::thread([] {
    auto one = make_cyclic<node>(1);
    one->edges.push_back(one);
  }).join();
  EXPECT_TRUE(alive.empty());
}

// The thread_local object is older than the first candidate, so it ends later than what belongs to that.
TEST(CyclicRc, AThreadCollectsWhatItsThreadLocalObjectsLetGoOf) {
  std::thread([] {
    thread_local cyclic_rc<node> kept;
    kept = make_cyclic<node>(1);
    kept->edges.push_back(kept);
    auto other = make_cyclic<node>(2);
    other->edges.push_back(other);
  }).join();
  EXPECT_TRUE(alive.empty());
}

struct collector {
  explicit collector(int& of) : ended(of) {}
  collector(const collector&) = delete;
  collector& operator=(const collector&) = delete;
  ~collector() {
    ++ended;
    collected += collect_cycles();
  }
  void trace(cycle_visitor& visit) const { visit(next); }
  int& ended;
  std::vector<cyclic_rc<collector>> next;
  inline static std::uint64_t collected = 0;
};

TEST(CyclicRc, ADestructorThatCollectsCollectsNothing) {
  int ended = 0;
  collector::collected = 0;
  auto one = make_cyclic<collector>(ended);
  { const auto candidate = one; }
  one.reset();
  EXPECT_EQ(ended, 1);
  // Deeper than ends go inside of one another, each a candidate.
  for (int i = 0; i < 300; ++i) {
    auto fresh = make_cyclic<collector>(ended);
    { const auto candidate = fresh; }
    if (one) fresh->next.push_back(std::move(one));
    one = std::move(fresh);
  }
  one.reset();
  EXPECT_EQ(ended, 301);
  // In the middle of a change to a container that trace() reads.
  one = make_cyclic<collector>(ended);
  for (int i = 0; i < 10; ++i) one->next.push_back(make_cyclic<collector>(ended));
  { const auto candidate = one; }
  one->next.clear();
  EXPECT_EQ(ended, 311);
  one->next.push_back(one);
  one.reset();
  EXPECT_EQ(collector::collected, 0u);
  EXPECT_EQ(collect_cycles(), 1u);
  EXPECT_EQ(ended, 312);
  EXPECT_EQ(cycles_of_this_thread().candidates, 0u);
}

// References inside of what lies inside of containers.
struct nested {
  explicit nested(int of) : number(of) { alive.insert(number); }
  nested(const nested&) = delete;
  nested& operator=(const nested&) = delete;
  ~nested() { alive.erase(number); }
  void trace(cycle_visitor& visit) const {
    visit(lists);
    visit(keys);
    visit(maybe);
    visit(deep);
    visit(paths);
  }
  int number;
  std::map<std::string, std::vector<cyclic_rc<nested>>> lists;
  std::map<cyclic_rc<nested>, int> keys;
  std::optional<std::vector<cyclic_rc<nested>>> maybe;
  std::vector<std::pair<int, std::optional<std::vector<cyclic_rc<nested>>>>> deep;
  std::vector<std::filesystem::path> paths = {"a/b"};
};

TEST(CyclicRc, FindsReferencesInContainersOfContainers) {
  const std::vector<void (*)(nested&, const cyclic_rc<nested>&)> ways = {
      [](nested& from, const cyclic_rc<nested>& to) { from.lists["x"].push_back(to); },
      [](nested& from, const cyclic_rc<nested>& to) { from.keys[to] = 1; },
      [](nested& from, const cyclic_rc<nested>& to) { from.maybe.emplace().push_back(to); },
      [](nested& from, const cyclic_rc<nested>& to) { from.deep.emplace_back(1, std::vector{to}); }};
  for (std::size_t way = 0; way < ways.size(); ++way) {
    auto one = make_cyclic<nested>(1);
    ways[way](*one, one);
    one.reset();
    EXPECT_EQ(collect_cycles(), 1u) << "way " << way;
    EXPECT_TRUE(alive.empty()) << "way " << way;
  }
}

struct base {
  virtual ~base() = default;
};
struct derived : base {
  explicit derived(std::shared_ptr<int> of) : held(std::move(of)) {}
  void trace(cycle_visitor& visit) const { visit(other); }
  std::shared_ptr<int> held;
  cyclic_rc<base> other;
};

TEST(CyclicRc, ReferencesToBasesTraceTheWholeObject) {
  const auto witness = std::make_shared<int>(1);
  {
    auto a = make_cyclic<derived>(witness);
    auto b = make_cyclic<derived>(witness);
    a->other = b;
    b->other = a;
  }
  EXPECT_EQ(witness.use_count(), 3);
  collect_cycles();
  EXPECT_EQ(witness.use_count(), 1);
}

struct liar {
  void trace(cycle_visitor& visit) const {
    visit(other);
    visit(other);
  }
  cyclic_rc<liar> other;
};
struct keeper {
  void trace(cycle_visitor& visit) const { visit(other); }
  ~keeper() {
    ++ended;
    kept = other;
  }
  cyclic_rc<keeper> other;
  inline static cyclic_rc<keeper> kept;
  inline static int ended = 0;
};
struct holder {
  void trace(cycle_visitor& visit) const {
    visit(self);
    visit(kept);
  }
  cyclic_rc<holder> self;
  cyclic_rc<keeper> kept;
};

// What a destructor has kept is not ended twice, and is not looked into.
[[noreturn]] void keep_what_has_ended() {
  auto one = make_cyclic<keeper>();
  one->other = one;
  one.reset();
  collect_cycles();
  auto of = make_cyclic<holder>();
  of->self = of;
  of->kept = keeper::kept;
  of.reset();
  if (collect_cycles() != 1 || keeper::kept.use_count() != 1) std::exit(1);
  keeper::kept.reset();
  collect_cycles();
  std::exit(keeper::ended == 1 ? 0 : 2);
}

TEST(CyclicRcDeath, MisuseEndsInAMessage) {
  EXPECT_DEATH(
      {
        auto one = make_cyclic<liar>();
        one->other = one;
        one.reset();
        collect_cycles();
      },
      "trace\\(\\) visits more references than there are");
  EXPECT_DEATH(
      {
        auto one = make_cyclic<keeper>();
        one->other = one;
        one.reset();
        collect_cycles();
      },
      "a destructor has kept a reference to an object of its cycle");
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
  EXPECT_EXIT(keep_what_has_ended(), ::testing::ExitedWithCode(0), "a destructor has kept a reference");
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
}

}  // namespace
}  // namespace tenure
