// The managed heap step by step: mutators and a cycle stop between any two steps of the barrier, the phase, the
// handshake, marking, the weak gate and sweeping, as a seed says. The verifier traces again at the end of marking, what
// is freed is overwritten, and each scenario knows what must be left.
//
// One thread runs at a time, so the order in which processors show their stores is not what this covers; the membarrier
// argument for that stands in docs/library/gc.md.
#include <gtest/gtest.h>

#include <array>
#include <utility>

#include <tenure/gc.hpp>

#include "core/base/yield_point.h"
#include "rounds.h"
#include "systematic.h"

namespace {

// A whole cycle at one step of the calling thread, counted from 0; in an operation, for which a cycle waits, at the
// next step that is in none.
struct cycle_at_step {
  tenure::gc::heap* heap = nullptr;
  std::uint64_t steps_before = 0;
  void step() noexcept {
    if (heap == nullptr) return;
    if (steps_before != 0) return void(--steps_before);
    if (tenure::gc::detail::current_thread->operations.load() % 2 == 0) std::exchange(heap, nullptr)->collect();
  }
};
thread_local cycle_at_step cycle_here;

}  // namespace

namespace tenure::core {
void yield_point() noexcept {
  cycle_here.step();
  testing::systematic::yield();
}
}  // namespace tenure::core

using namespace tenure;
using tenure::testing::systematic;

namespace {

constexpr std::uint64_t intact = 0x1234567890abcdef;

struct node {
  gc::member<node> a;
  gc::member<node> b;
  std::uint64_t value = intact;
};
struct pairs {
  gc::ephemeron<node, node> each[2];
};
struct shared {
  gc::atomic_member<node> places[2];
};

gc::heap_options options() {
  return {.name = "systematic",
          .plan = gc::plan::sticky_concurrent,
          .least_growth_bytes = std::size_t{1} << 30,
          .verify = true,
          .poison = true};
}

void collect_twice(gc::heap& heap, bool young_first) {
  if (young_first) {
    heap.collect_young();
    heap.collect();
  } else {
    heap.collect();
    heap.collect_young();
  }
}

// A mutator moves the only reference to an object from place to place, in objects that the marker has and has not
// passed; it is in one place less than the marker would like, and in a local only for a moment.
TEST(gc_systematic, an_object_that_is_moved_about_is_never_lost) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<node> left(heap.make<node>());
    const gc::root<node> right(heap.make<node>());
    left->a = heap.make<node>();
    left->a->a = heap.make<node>();
    if (seed % 2 == 0) heap.collect();
    systematic threads(seed);
    threads.add([&] {
      for (int i = 0; i < 6; ++i) {
        right->b = std::move(left->a);
        swap(left->a, right->b);
        gc::local<node> held = left->a;
        left->a = nullptr;
        right->a = held;
        held = nullptr;
        left->a = std::move(right->a);
      }
    });
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    ASSERT_EQ(left->a->value, intact) << "seed " << seed;
    ASSERT_EQ(left->a->a->value, intact) << "seed " << seed;
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 4u) << "seed " << seed;
  }
}

// Objects are made while a cycle begins, marks and sweeps, and are given the only reference to an old one.
TEST(gc_systematic, objects_born_at_any_moment_keep_what_they_are_given) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<node> top(heap.make<node>());
    top->a = heap.make<node>();
    if (seed % 2 == 0) heap.collect();
    systematic threads(seed);
    for (int thread = 0; thread < 2; ++thread) {
      threads.add([&, thread] {
        for (int i = 0; i < 4; ++i) {
          gc::local<node> made = heap.make<node>();
          if (thread == 0) {
            made->b = top->a;
            top->a = nullptr;
            top->a = made;
          } else {
            made->a = top->b;
            top->b = made;
          }
        }
      });
    }
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    int length = 0;
    for (gc::local<node> at = top->a; at; at = at->b) {
      ASSERT_EQ(at->value, intact) << "seed " << seed;
      ++length;
    }
    ASSERT_EQ(length, 5) << "seed " << seed;
    length = 0;
    for (gc::local<node> at = top->b; at; at = at->a) {
      ASSERT_EQ(at->value, intact) << "seed " << seed;
      ++length;
    }
    ASSERT_EQ(length, 4) << "seed " << seed;
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 10u) << "seed " << seed;
  }
}

// Between objects that live cells are free one by one: a thread goes on from hole to hole while cycles begin, read what
// it holds, and sweep the block. Each object that is made has the only reference to the one before.
TEST(gc_systematic, objects_born_in_holes_are_seen_in_a_run_or_in_a_slot) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<gc::array<gc::member<node>>> kept(heap.make_array<gc::member<node>>(20));
    const gc::root<node> tops[2] = {gc::root<node>(heap.make<node>()), gc::root<node>(heap.make<node>())};
    for (std::size_t i = 0; i < 40; ++i) {
      const gc::local<node> made = heap.make<node>();
      if (i % 2 == 0) (*kept)[i / 2] = made;
    }
    heap.collect();
    systematic threads(seed);
    for (const gc::root<node>& top : tops) {
      threads.add([&] {
        for (int i = 0; i < 6; ++i) {
          const gc::local<node> made = heap.make<node>();
          made->b = top->a;
          top->a = nullptr;
          top->a = made;
        }
      });
    }
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    for (const gc::root<node>& top : tops) {
      int length = 0;
      for (gc::local<node> at = top->a; at; at = at->b) {
        ASSERT_EQ(at->value, intact) << "seed " << seed;
        ++length;
      }
      ASSERT_EQ(length, 6) << "seed " << seed;
    }
    for (const gc::member<node>& each : *kept) ASSERT_EQ(each->value, intact) << "seed " << seed;
    heap.check();
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 20u + 1 + 2 + 12) << "seed " << seed;
  }
}

// Threads give back what they hold of a block, take of it again and make objects there, while another's cycle reads
// their runs and sweeps it.
TEST(gc_systematic, a_run_is_given_back_at_any_moment) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<node> top(heap.make<node>());
    systematic threads(seed);
    for (int thread = 0; thread < 2; ++thread) {
      threads.add([&, thread] {
        gc::member<node> node::*const place = thread == 0 ? &node::a : &node::b;
        for (int i = 0; i < 3; ++i) {
          const gc::local<node> made = heap.make<node>();
          made->a = (*top).*place;
          (*top).*place = made;
          if ((seed + static_cast<std::uint64_t>(i)) % 2 == 0) {
            heap.collect_young();
          } else {
            heap.collect();
          }
        }
      });
    }
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    for (const gc::member<node>* list : {&top->a, &top->b}) {
      int length = 0;
      for (gc::local<node> at = *list; at; at = at->a) {
        ASSERT_EQ(at->value, intact) << "seed " << seed;
        ++length;
      }
      ASSERT_EQ(length, 3) << "seed " << seed;
    }
    heap.check();
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 7u) << "seed " << seed;
  }
}

// Two threads exchange objects through atomic members: what one takes out is in its hand alone.
TEST(gc_systematic, what_an_atomic_member_gives_is_alive) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<shared> meeting(heap.make<shared>());
    systematic threads(seed);
    for (int thread = 0; thread < 2; ++thread) {
      threads.add([&, thread] {
        for (int i = 0; i < 4; ++i) {
          gc::local<node> made = heap.make<node>();
          made->a = heap.make<node>();
          const gc::local<node> taken = meeting->places[thread].exchange(made);
          if (taken) {
            ASSERT_EQ(taken->value, intact);
            ASSERT_EQ(taken->a->value, intact);
          }
          const gc::local<node> seen = meeting->places[1 - thread].load();
          if (seen) {
            ASSERT_EQ(seen->a->value, intact);
          }
        }
      });
    }
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 5u) << "seed " << seed;
  }
}

// A weak reference is locked while its target is dropped and collected: what lock() gives is whole, and after null
// comes null.
TEST(gc_systematic, a_weak_reference_gives_a_living_object_or_null_for_ever) {
  std::uint64_t alive = 0;
  std::uint64_t dead = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(400u); ++seed) {
    gc::heap heap(options());
    gc::root<node> strong(heap.make<node>());
    strong->a = heap.make<node>();
    const gc::weak<node> outer{gc::local<node>(strong)};
    const gc::weak<node> inner(strong->a);
    systematic threads(seed);
    threads.add([&] {
      bool was_null = false;
      gc::local<node> kept;
      for (int i = 0; i < 12; ++i) {
        const gc::local<node> found = outer.lock();
        if (found) {
          ASSERT_FALSE(was_null) << "seed " << seed;
          ASSERT_EQ(found->a->value, intact) << "seed " << seed;
          kept = found->a;
          ++alive;
        } else {
          was_null = true;
          ++dead;
          if (!kept) {
            ASSERT_EQ(inner.lock(), nullptr) << "seed " << seed;
          }
        }
        if (kept) {
          ASSERT_EQ(kept->value, intact) << "seed " << seed;
        }
      }
    });
    threads.add([&] { strong = nullptr; });
    threads.add([&] { collect_twice(heap, false); });
    threads.run();
    heap.collect();
    ASSERT_TRUE(outer.expired() && inner.expired()) << "seed " << seed;
    ASSERT_EQ(heap.statistics().live_objects, 0u) << "seed " << seed;
  }
  EXPECT_GT(alive, test::rounds(50u));
  EXPECT_GT(dead, test::rounds(50u));
}

// A guardian brings an object back while a weak reference to it is locked: the reference gives a living object or null
// for ever, and what the guardian gives is whole.
TEST(gc_systematic, a_guardian_brings_back_no_weak_reference) {
  std::uint64_t given = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(300u); ++seed) {
    gc::heap heap(options());
    gc::root<node> strong(heap.make<node>());
    strong->a = heap.make<node>();
    const gc::weak<node> outer{gc::local<node>(strong)};
    const gc::weak<node> inner(strong->a);
    gc::guardian<node> guardian;
    guardian.guard(gc::local<node>(strong));
    systematic threads(seed);
    threads.add([&] {
      bool was_null[2] = {};
      for (int i = 0; i < 4; ++i) {
        const gc::local<node> found = (i % 2 == 0 ? outer : inner).lock();
        if (found) {
          ASSERT_FALSE(was_null[i % 2]) << "seed " << seed;
          ASSERT_EQ(found->value, intact) << "seed " << seed;
        }
        was_null[i % 2] = was_null[i % 2] || !found;
      }
    });
    threads.add([&] {
      strong = nullptr;
      for (int i = 0; i < 6; ++i) {
        const gc::local<node> back = guardian.take();
        if (!back) continue;
        ++given;
        ASSERT_EQ(back->a->value, intact) << "seed " << seed;
        ASSERT_TRUE(outer.expired()) << "seed " << seed;
      }
    });
    threads.add([&] { collect_twice(heap, false); });
    threads.run();
    heap.collect();
    while (guardian.take()) ++given;
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 0u) << "seed " << seed;
  }
  EXPECT_EQ(given, test::rounds(300u));
}

// A pair is read, and set again when it is empty, while its key is dropped and cycles resolve pairs: a key that is read
// has its value, whole, and what was set stays.
TEST(gc_systematic, an_ephemeron_gives_a_key_with_its_value_or_nothing) {
  std::uint64_t found = 0;
  std::uint64_t set_again = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(400u); ++seed) {
    gc::heap heap(options());
    const gc::root<pairs> holder(heap.make<pairs>());
    gc::root<node> strong(heap.make<node>());
    {
      // The second pair hangs on the first: value and key of it are only reachable through the key of the first.
      const gc::local<node> value = heap.make<node>();
      value->a = strong.get();
      holder->each[0].set(gc::local<node>(strong), value);
      holder->each[1].set(value, heap.make<node>());
    }
    if (seed % 2 == 0) heap.collect();
    systematic threads(seed);
    threads.add([&] {
      gc::local<node> made;
      for (int i = 0; i < 4; ++i) {
        // Time passes: as long as somebody reads the key, it lives.
        for (int pause = 0; pause < 30; ++pause) heap.make<node>();
        const gc::local<node> key = holder->each[0].key();
        if (key) {
          const gc::local<node> value = holder->each[0].value_of(key);
          ASSERT_EQ(value->value, intact) << "seed " << seed;
          ASSERT_EQ(holder->each[1].value_of(made ? made : value)->value, intact) << "seed " << seed;
          ++found;
          continue;
        }
        made = heap.make<node>();
        holder->each[0].set(made, heap.make<node>());
        holder->each[1].set(made, heap.make<node>());
        ++set_again;
      }
      if (made) {
        ASSERT_EQ(holder->each[0].key(), made) << "seed " << seed;
      }
    });
    threads.add([&] { strong = nullptr; });
    threads.add([&] { collect_twice(heap, seed % 3 == 0); });
    threads.run();
    heap.collect();
    ASSERT_EQ(holder->each[0].key(), nullptr) << "seed " << seed;
    ASSERT_EQ(holder->each[1].key(), nullptr) << "seed " << seed;
    ASSERT_EQ(heap.statistics().live_objects, 1u) << "seed " << seed;
  }
  EXPECT_GT(found, test::rounds(100u));
  EXPECT_GT(set_again, test::rounds(20u));
}

// A cycle begins and ends at each step of a swap in turn: only the pairs lead to the values.
TEST(gc_systematic, ephemerons_that_change_places_lose_nothing) {
  bool over = false;
  for (std::uint64_t at = 0; !over; ++at) {
    gc::heap heap(options());
    const gc::root<pairs> holder(heap.make<pairs>());
    const gc::local<node> keys[2] = {heap.make<node>(), heap.make<node>()};
    for (int i = 0; i < 2; ++i) holder->each[i].set(keys[i], heap.make<node>());
    if (at % 2 == 0) heap.collect();
    cycle_here = {&heap, at / 2};
    {
      using std::swap;
      swap(holder->each[0], holder->each[1]);
    }
    over = std::exchange(cycle_here.heap, nullptr) != nullptr;  // there are no more steps
    for (int i = 0; i < 2; ++i) {
      const gc::local<node> value = holder->each[1 - i].value_of(keys[i]);
      ASSERT_TRUE(value) << "step " << at / 2;
      ASSERT_EQ(value->value, intact) << "step " << at / 2;
    }
    heap.collect();
    ASSERT_EQ(heap.statistics().live_objects, 5u) << "step " << at / 2;
  }
}

// Stores into old objects at every moment of a young cycle: what they lead to survives this one and the next.
TEST(gc_systematic, a_young_cycle_misses_no_store_to_an_old_object) {
  for (std::uint64_t seed = 0; seed < test::rounds(250u); ++seed) {
    gc::heap heap(options());
    const gc::root<node> old(heap.make<node>());
    old->a = heap.make<node>();
    heap.collect();
    systematic threads(seed);
    threads.add([&] {
      for (int i = 0; i < 4; ++i) {
        gc::local<node> young = heap.make<node>();
        young->b = old->a->a;
        old->a->a = young;
      }
    });
    threads.add([&] {
      for (int i = 0; i < 3; ++i) heap.collect_young();
    });
    threads.run();
    heap.collect_young();
    int length = 0;
    for (gc::local<node> at = old->a->a; at; at = at->b) {
      ASSERT_EQ(at->value, intact) << "seed " << seed;
      ++length;
    }
    ASSERT_EQ(length, 4) << "seed " << seed;
  }
}

// --- A stepper. The cycle stops before each of its steps in turn, and there a mutator does all it has to do; where
// that has to wait for the cycle, both go on in turns. So each place in a cycle is a gate at which every race is
// replayed.

struct scene {
  explicit scene(gc::heap& in) : heap(in), left(heap.make<node>()), right(heap.make<node>()) {
    left->a = heap.make<node>();
    left->a->a = heap.make<node>();
  }
  virtual ~scene() = default;
  virtual void mutate() = 0;
  // True when all is as it should be; and how many objects live.
  virtual bool is_right() const { return right->b->value == intact && right->b->a->value == intact; }
  virtual std::size_t living() const { return 4; }

  gc::heap& heap;
  gc::root<node> left;
  gc::root<node> right;
};

template <class Scene>
void play_at_every_gate() {
  constexpr std::uint64_t patience = 400;  // steps; a mutator that has nobody to wait for needs fewer
  for (const bool is_young : {false, true}) {
    for (std::uint64_t gate = 0;; ++gate) {
      gc::heap heap(options());
      Scene played(heap);
      if (is_young) heap.collect();
      systematic threads([&](const systematic::steps_of_threads& steps) -> std::size_t {
        if (steps[1] < gate) return 1;
        return steps[0] < patience ? 0 : (steps[0] + steps[1]) % 2;
      });
      threads.add([&] { played.mutate(); });
      threads.add([&] { is_young ? heap.collect_young() : heap.collect(); });
      threads.run();
      ASSERT_TRUE(played.is_right()) << (is_young ? "young cycle, gate " : "full cycle, gate ") << gate;
      heap.check();
      heap.collect();
      ASSERT_TRUE(played.is_right()) << (is_young ? "after a young cycle, gate " : "after a full cycle, gate ") << gate;
      ASSERT_EQ(heap.statistics().live_objects, played.living()) << (is_young ? "young, " : "full, ") << gate;
      if (threads.steps_of(1) >= gate) continue;
      EXPECT_GT(gate, 10u);
      break;
    }
  }
}

// The only reference to an object goes from one that is traced early to one that is traced late, or the other way.
struct moved : scene {
  using scene::scene;
  void mutate() override {
    right->b = std::move(left->a);
    swap(left->a, right->b);
    right->b = std::move(left->a);
  }
};
TEST(gc_stepper, a_moved_object_lives_at_every_gate) { play_at_every_gate<moved>(); }

struct held : scene {
  using scene::scene;
  void mutate() override {
    const gc::local<node> object = left->a;
    left->a = nullptr;
    right->b = object;
  }
};
TEST(gc_stepper, an_object_that_only_a_local_holds_lives_at_every_gate) { play_at_every_gate<held>(); }

struct born : scene {
  using scene::scene;
  void mutate() override {
    const gc::local<node> made = heap.make<node>();
    made->a = left->a;
    left->a = nullptr;
    right->b = made;
  }
  std::size_t living() const override { return 5; }
  bool is_right() const override { return scene::is_right() && right->b->a->a->value == intact; }
};
TEST(gc_stepper, what_an_object_born_at_any_gate_is_given_lives) { play_at_every_gate<born>(); }

struct exchanged : scene {
  explicit exchanged(gc::heap& in) : scene(in), meeting(heap.make<shared>()) {
    meeting->places[0].store(gc::local<node>(left->a));
  }
  void mutate() override {
    left->a = nullptr;
    const gc::local<node> taken = meeting->places[0].exchange(nullptr);
    meeting->places[1].store(taken);
    right->b = meeting->places[1].exchange(nullptr);
  }
  std::size_t living() const override { return 5; }
  gc::root<shared> meeting;
};
TEST(gc_stepper, what_is_taken_out_of_an_atomic_member_lives_at_every_gate) { play_at_every_gate<exchanged>(); }

struct locked : scene {
  explicit locked(gc::heap& in) : scene(in), outer(gc::local<node>(left->a)), inner(left->a->a) {}
  void mutate() override {
    left->a = nullptr;
    was_alive = false;
    if (const gc::local<node> found = outer.lock()) {
      was_alive = true;
      right->b = found;
    } else {
      was_right = inner.lock() == nullptr;  // they die together
    }
  }
  bool is_right() const override {
    if (was_alive) return scene::is_right() && outer.lock().get() == right->b.get() && !inner.expired();
    return was_right && right->b == nullptr && outer.expired() && inner.expired();
  }
  std::size_t living() const override { return was_alive ? 4 : 2; }
  gc::weak<node> outer;
  gc::weak<node> inner;
  bool was_alive = false;
  bool was_right = true;
};
TEST(gc_stepper, a_weak_reference_gives_all_or_nothing_at_every_gate) { play_at_every_gate<locked>(); }

struct paired : scene {
  explicit paired(gc::heap& in) : scene(in), holder(heap.make<pairs>()) {
    holder->each[0].set(gc::local<node>(right), left->a);
    left->a = nullptr;
  }
  void mutate() override {
    const gc::local<node> value = holder->each[0].value();
    holder->each[1].set(value, heap.make<node>());
    right->b = value;
    holder->each[0].set(gc::local<node>(left), heap.make<node>());
  }
  bool is_right() const override {
    const gc::local<node> first = holder->each[0].value();
    const gc::local<node> second = holder->each[1].value();
    return scene::is_right() && first && first->value == intact && second && second->value == intact;
  }
  std::size_t living() const override { return 7; }
  gc::root<pairs> holder;
};
TEST(gc_stepper, a_pair_is_whole_at_every_gate) { play_at_every_gate<paired>(); }

}  // namespace
