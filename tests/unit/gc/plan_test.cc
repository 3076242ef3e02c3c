// The conformance of plans: each against the shadow graph, in each mode, on the same seeds.
#include "support/rounds.h"
#include "unit/gc/graph.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_plan_tests {
namespace {

struct setting {
  const char* name;
  gc::plan plan;
  unsigned every;
  bool verify;
  bool poison;
  bool always_evacuate = true;
};

void PrintTo(const setting& of, std::ostream* out) { *out << of.name; }

class plan_conformance : public ::testing::TestWithParam<setting> {
 protected:
  gc::heap_options options() const {
    return {.name = GetParam().name,
            .plan = GetParam().plan,
            .collect_every_allocations = GetParam().every,
            .verify = GetParam().verify,
            .poison = GetParam().poison,
            .always_evacuate = GetParam().always_evacuate};
  }
  int steps() const { return GetParam().every != 0 ? 1500 : 6000; }
};

template <bool counted>
void run(const gc::heap_options& options, std::uint32_t seed, int steps) {
  test::any_heap heap(options);
  test::graph<counted> graph(heap, seed, 4000);
  for (int i = 0; i < steps; ++i) {
    graph.step();
    if (i % 100 == 37) heap.collect_young();
    if (i % 700 != 699) continue;
    graph.check_reachable();
    graph.settle();
    graph.check_exact();
    heap.check();
    if (::testing::Test::HasFatalFailure()) return;
  }
  graph.forget_all();
  graph.settle();
  graph.check_exact();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
  EXPECT_TRUE(heap.objects().empty());
}

TEST_P(plan_conformance, keeps_what_the_shadow_reaches_and_nothing_else) {
  for (std::uint32_t seed = 1; seed <= test::rounds(4u); ++seed) {
    run<false>(options(), seed, steps());
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

TEST_P(plan_conformance, runs_each_destructor_once_when_the_shadow_says_so) {
  for (std::uint32_t seed = 11; seed < 11 + test::rounds(3u); ++seed) {
    run<true>(options(), seed, steps());
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

// A chain far longer than any stack, made back to front and front to back.
TEST_P(plan_conformance, marks_what_is_deep) {
  constexpr std::uint32_t length = 30'000;
  test::any_heap heap({.plan = GetParam().plan, .verify = GetParam().verify, .poison = GetParam().poison});
  gc::local<test::thing<false>> first;
  for (std::uint32_t i = 0; i < length; ++i) {
    auto next = heap.make<test::thing<false>>();
    next->id = i;
    next->links[0] = first;
    first = next;
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, length);
  std::uint32_t expected = length;
  for (gc::local<test::thing<false>> at = first; at; at = at->links[0]) ASSERT_EQ(at->id, --expected);
  first = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    plans, plan_conformance,
    ::testing::Values(setting{"mark_sweep", gc::plan::mark_sweep, 0, true, false},
                      setting{"mark_sweep_every_third", gc::plan::mark_sweep, 3, true, true},
                      setting{"mark_sweep_lazy", gc::plan::mark_sweep_lazy, 0, true, true},
                      setting{"mark_sweep_lazy_every_third", gc::plan::mark_sweep_lazy, 3, true, true},
                      setting{"sticky_concurrent", gc::plan::sticky_concurrent, 0, false, false},
                      setting{"sticky_concurrent_verified", gc::plan::sticky_concurrent, 0, true, true},
                      setting{"sticky_concurrent_every_third", gc::plan::sticky_concurrent, 3, true, true},
                      setting{"mark_compact", gc::plan::mark_compact, 0, true, true},
                      setting{"mark_compact_every_third", gc::plan::mark_compact, 3, true, true},
                      setting{"semispace", gc::plan::semispace, 0, true, true},
                      setting{"semispace_every_third", gc::plan::semispace, 3, true, true},
                      setting{"immix", gc::plan::immix, 0, true, true, false},
                      setting{"immix_every_third", gc::plan::immix, 3, true, true},
                      setting{"refcount", gc::plan::refcount, 0, true, true},
                      setting{"refcount_every_third", gc::plan::refcount, 3, true, true}),
    [](const testing::TestParamInfo<setting>& of) { return std::string(of.param.name); });

TEST(plan, nogc_never_frees) {
  gc::heap heap({.name = "nogc", .plan = gc::plan::nogc});
  for (int i = 0; i < 1000; ++i) heap.make<test::thing<false>>();
  heap.collect();
  EXPECT_EQ(heap.statistics().cycles, 0u);
  EXPECT_EQ(heap.objects().size(), 1000u);
}

// Everything is alive: whoever waits for an end is never told.
TEST(plan, nogc_ends_nothing) {
  gc::heap heap({.name = "nogc", .plan = gc::plan::nogc, .soft_ms_per_free_mib = 0});
  using object = test::thing<false>;
  gc::phantom_queue<int> queue;
  gc::guardian<object> guardian;
  gc::local<object> made = heap.make<object>();
  const gc::weak<object> weakly(made);
  const gc::soft<object> softly(made);
  const gc::phantom<object> end(made, queue, 1);
  guardian.guard(made);
  made = nullptr;
  for (int i = 0; i < 3; ++i) heap.collect();
  EXPECT_TRUE(weakly.lock() == softly.lock() && weakly.lock());
  EXPECT_FALSE(end.is_over());
  EXPECT_EQ(queue.take(), std::nullopt);
  EXPECT_EQ(guardian.take(), nullptr);
}

// An old object that is stored to is looked at by a young cycle; one that is not is not, and garbage among the old
// waits for a full one.
TEST(plan, young_cycles_look_at_what_is_new_and_at_what_was_stored_to) {
  gc::heap heap({.name = "generations", .plan = gc::plan::sticky_concurrent, .verify = true});
  using object = test::thing<false>;
  gc::local<object> old = heap.make<object>();
  old->links[0] = heap.make<object>();
  heap.collect();
  const gc::weak<object> old_garbage(old->links[0]);
  old->links[0] = nullptr;
  old->links[1] = heap.make<object>();
  const gc::weak<object> young(old->links[1]);
  const gc::weak<object> young_garbage(heap.make<object>());
  const std::uint64_t marked_before = heap.statistics().marked_objects;
  heap.collect_young();
  EXPECT_FALSE(young.expired());
  EXPECT_TRUE(young_garbage.expired());
  EXPECT_FALSE(old_garbage.expired());
  EXPECT_EQ(heap.statistics().marked_objects - marked_before, 1u);
  heap.collect();
  EXPECT_FALSE(young.expired());
  EXPECT_TRUE(old_garbage.expired());
}

struct slots {
  gc::member<slots> all[64];
};
// More marked cards than are looked at at once.
TEST(plan, young_cycles_look_at_every_card_that_was_stored_to) {
  gc::heap heap({.name = "cards", .verify = true, .poison = true});
  constexpr std::size_t size = test::rounds(std::size_t{5000});
  const gc::local<gc::array<slots>> old = heap.make_array<slots>(size);
  heap.collect();
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < size; ++i) (*old)[i].all[i % 64] = heap.make<slots>();
    heap.collect_young();
    EXPECT_EQ(heap.statistics().live_objects, 1 + size * (round + 1));
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 1 + size);
}

TEST(plan, a_heap_that_grows_collects_by_itself) {
  for (const gc::plan plan : {gc::plan::mark_sweep, gc::plan::mark_sweep_lazy, gc::plan::sticky_concurrent}) {
    gc::heap heap({.name = "paced", .plan = plan, .least_growth_bytes = 1 << 20});
    gc::root<test::thing<false>> kept(heap.make<test::thing<false>>());
    for (int i = 0; i < test::rounds(1'000'000); ++i) kept->links[i % 3] = heap.make<test::thing<false>>();
    const gc::heap_statistics after = heap.statistics();
    EXPECT_GE(after.cycles, 2u);
    EXPECT_LT(after.block_bytes, after.allocated_bytes / 2);
  }
}

}  // namespace
}  // namespace gc_plan_tests
