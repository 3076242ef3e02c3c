// The barrier, the change of the phase, the cleaning of cards and the handshake of the managed heap as a model, in
// every order in which x86-TSO lets processors show their stores.
//
//   memory   phase, a member S of an object, locals, a card, what is shaded and marked of the one object X
//
// What gc_systematic_test runs is the code, one thread at a time; what this runs is the argument of docs/library/gc.md,
// "The protocol", with the processor's freedom. Each part of the protocol is left out once as well, and then the search
// must find how X is lost: what cannot fail proves nothing.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "tso_machine.h"

using namespace tenure::testing::tso;

namespace {

enum : place {
  phase,
  member_s,
  local_1,
  local_2,
  atomic_a,
  card,
  shaded,
  marked,
  alive,  // born while a cycle marks: neither shaded nor marked for that
  black,  // what is born from now on is alive
  count,
  operation_1,
  operation_2
};

// What is left out of the protocol.
enum class flaw {
  none,
  phase_read_first,
  no_barrier_behind_phase,
  no_barrier_behind_card,
  no_barrier_at_all,
  no_last_handshake,
  no_operation,
  no_card
};

// published(): the phase decides whether the register's object is shaded. `here`: how many steps come before.
program shade_if_marking(std::size_t here, flaw left_out) {
  const int end = static_cast<int>(here) + 4;
  program steps;
  steps.push_back(left_out == flaw::phase_read_first ? step([](machine&, std::size_t) { return next; })
                                                     : load(1, phase));
  steps.push_back([=](machine& of, std::size_t self) {
    return in_register(of, self, 1) != 1 || in_register(of, self, 0) == 0 ? end : next;
  });
  steps.push_back([=](machine& of, std::size_t self) {
    // Known before: no locked instruction, and no store comes to memory for it.
    if (of.memory[shaded] != 0 || of.memory[marked] != 0 || of.memory[alive] != 0) return end;
    if (of.all[self].pending != 0) return not_yet;
    of.memory[shaded] = 1;
    return next;
  });
  steps.push_back(locked([](machine& of, std::size_t) { ++of.memory[count]; }));
  return steps;
}

// After `steps`: moves X from the local to S, and drops the local.
program mover(place local, place operation, flaw left_out, program steps = {}) {
  steps.push_back(load(0, local));
  if (left_out == flaw::phase_read_first) steps.push_back(load(1, phase));
  steps.push_back(store_register(member_s, 0));
  // published_slow() is in an operation; whether it will be is known when the phase was read.
  steps.push_back(store(operation, 1));
  add(steps, shade_if_marking(steps.size(), left_out));
  steps.push_back(store(operation, 2));
  if (left_out != flaw::no_card) {
    steps.push_back(load(2, card));
    const int end = static_cast<int>(steps.size()) + 2;
    steps.push_back([=](machine& of, std::size_t self) { return in_register(of, self, 2) != 0 ? end : next; });
    steps.push_back(store(card, 1));
  }
  steps.push_back(store(local, 0));
  return steps;
}

// Reads the atomic member into its local.
program reader(flaw left_out) {
  program steps;
  if (left_out != flaw::no_operation) steps.push_back(store(operation_1, 1));
  steps.push_back(load(0, atomic_a));
  steps.push_back(store_register(local_1, 0));
  add(steps, shade_if_marking(steps.size(), left_out));
  if (left_out != flaw::no_operation) steps.push_back(store(operation_1, 2));
  return steps;
}

// The membarrier: at some moment of the call each thread's stores are in memory.
program process_barrier() {
  program steps;
  for (std::size_t thread = 0; thread + 1 < threads; ++thread) {
    steps.push_back([=](machine& of, std::size_t) {
      of.flush(thread);
      return next;
    });
  }
  return steps;
}
program handshake() {
  program steps = process_barrier();
  for (const place each : {operation_1, operation_2}) {
    steps.push_back([=](machine& of, std::size_t) { return of.memory[each] % 2 == 0 ? next : not_yet; });
  }
  return steps;
}
step mark_what_is_in(place where) {
  return [=](machine& of, std::size_t) {
    if (of.memory[where] != 0) of.memory[marked] = 1;
    return next;
  };
}
step set_phase(std::uint8_t to) {
  return locked([=](machine& of, std::size_t) { of.memory[phase] = to; });
}

// A cycle; `order`: what it looks at, one after the other. A young one looks at S only where the card is marked.
program cycle(const std::vector<place>& order, bool is_young, flaw left_out) {
  program steps{set_phase(1)};
  const bool has_none = left_out == flaw::no_barrier_at_all;
  if (left_out != flaw::no_barrier_behind_phase && !has_none) add(steps, handshake());
  steps.push_back(locked([](machine& of, std::size_t) { of.memory[black] = 1; }));
  if (left_out != flaw::no_barrier_behind_phase && !has_none) add(steps, handshake());
  for (const place each : order) steps.push_back(mark_what_is_in(each));
  if (is_young) {
    const std::size_t length = left_out == flaw::no_barrier_behind_card || has_none ? 0 : process_barrier().size();
    const int end = static_cast<int>(steps.size() + 1 + length + 1);
    steps.push_back([=](machine& of, std::size_t) {
      if (of.memory[card] == 0) return end;
      of.memory[card] = 0;
      return next;
    });
    if (length != 0) add(steps, process_barrier());
    steps.push_back(mark_what_is_in(member_s));
  }
  const int again = static_cast<int>(steps.size());
  const step take = mark_what_is_in(shaded);
  steps.push_back(load(0, count));
  steps.push_back(take);
  if (left_out != flaw::no_last_handshake) add(steps, handshake());
  steps.push_back(take);
  steps.push_back(
      [=](machine& of, std::size_t self) { return of.memory[count] != in_register(of, self, 0) ? again : next; });
  steps.push_back(set_phase(2));
  steps.push_back([](machine& of, std::size_t) {
    of.memory[shaded] = 0;
    return next;
  });
  add(steps, handshake());
  steps.push_back(set_phase(0));
  return steps;
}

bool leads_to_x(const machine& of) {
  return of.memory[member_s] != 0 || of.memory[local_1] != 0 || of.memory[local_2] != 0 || of.memory[atomic_a] != 0;
}

// X is in the local of thread 1, which moves it to S; thread 2 empties S, or has X in its own local and moves it too.
std::uint64_t losses_of_a_move(flaw left_out, bool second_moves) {
  std::uint64_t losses = 0;
  for (const std::vector<place>& order :
       {std::vector<place>{local_1, local_2, member_s}, std::vector<place>{member_s, local_2, local_1}}) {
    search all;
    all.programs[0] = mover(local_1, operation_1, left_out);
    all.programs[1] = second_moves ? mover(local_2, operation_2, left_out) : program{store(member_s, 0)};
    all.programs[2] = cycle(order, false, left_out);
    all.is_right = [](const machine& last) { return !leads_to_x(last) || last.memory[marked] != 0; };
    machine start;
    start.memory[local_1] = 1;
    start.memory[local_2] = second_moves ? 1 : 0;
    all.run(start);
    EXPECT_GT(all.ends, 0u);
    losses += all.losses;
  }
  return losses;
}

TEST(gc_barrier_model, a_pointer_that_is_moved_is_marked) {
  EXPECT_EQ(losses_of_a_move(flaw::none, false), 0u);
  EXPECT_EQ(losses_of_a_move(flaw::none, true), 0u);
}
TEST(gc_barrier_model, without_its_parts_a_pointer_is_lost) {
  EXPECT_GT(losses_of_a_move(flaw::phase_read_first, false), 0u);
  EXPECT_GT(losses_of_a_move(flaw::no_barrier_behind_phase, false), 0u);
}

// Thread 1 reads X from an atomic member that thread 2 empties: it is in the hand of one thread alone.
std::uint64_t losses_of_a_read(flaw left_out) {
  std::uint64_t losses = 0;
  for (const std::vector<place>& order :
       {std::vector<place>{local_1, atomic_a}, std::vector<place>{atomic_a, local_1}}) {
    search all;
    all.programs[0] = reader(left_out);
    all.programs[1] = {locked([](machine& of, std::size_t) { of.memory[atomic_a] = 0; })};
    all.programs[2] = cycle(order, false, left_out);
    all.is_right = [](const machine& last) { return !leads_to_x(last) || last.memory[marked] != 0; };
    machine start;
    start.memory[atomic_a] = 1;
    all.run(start);
    losses += all.losses;
  }
  return losses;
}

TEST(gc_barrier_model, what_is_in_the_hand_of_a_thread_is_waited_for) {
  EXPECT_EQ(losses_of_a_read(flaw::none), 0u);
  EXPECT_GT(losses_of_a_read(flaw::no_operation), 0u);
  EXPECT_GT(losses_of_a_read(flaw::no_last_handshake), 0u);
}

// A young X is moved to a member of an old object while a young cycle cleans the card. What this cycle has not marked
// is found by its card in the next.
std::uint64_t losses_of_a_card(flaw left_out) {
  std::uint64_t losses = 0;
  for (const std::uint8_t marked_before : {std::uint8_t{0}, std::uint8_t{1}}) {
    search all;
    all.programs[0] = mover(local_1, operation_1, left_out);
    all.programs[2] = cycle({local_1}, true, left_out);
    all.is_right = [](const machine& last) {
      return last.memory[member_s] == 0 || last.memory[marked] != 0 || last.memory[card] != 0;
    };
    machine start;
    start.memory[local_1] = 1;
    start.memory[card] = marked_before;
    all.run(start);
    losses += all.losses;
  }
  return losses;
}

TEST(gc_barrier_model, a_card_that_is_cleaned_hides_no_store) {
  EXPECT_EQ(losses_of_a_card(flaw::none), 0u);
  EXPECT_GT(losses_of_a_card(flaw::no_card), 0u);
}

// X is born while the cycle marks and stays young: it is not shaded, so only the card tells of it, unless the marker
// comes to it.
std::uint64_t losses_of_the_born(flaw left_out) {
  search all;
  const step be_born = [](machine& of, std::size_t) {
    if (of.memory[black] == 0) return not_yet;
    of.memory[alive] = 1;
    return next;
  };
  all.programs[0] = mover(local_1, operation_1, left_out, {be_born, store(local_1, 1)});
  all.programs[2] = cycle({local_1}, true, left_out);
  all.is_right = [](const machine& last) {
    return last.memory[member_s] == 0 || last.memory[marked] != 0 || last.memory[card] != 0;
  };
  machine start;
  start.memory[card] = 1;
  all.run(start);
  EXPECT_GT(all.ends, 0u);
  return all.losses;
}

TEST(gc_barrier_model, what_is_born_is_found_by_its_card) {
  EXPECT_EQ(losses_of_the_born(flaw::none), 0u);
  EXPECT_GT(losses_of_the_born(flaw::no_card), 0u);
  EXPECT_GT(losses_of_the_born(flaw::no_barrier_behind_card), 0u);
  EXPECT_GT(losses_of_the_born(flaw::no_barrier_at_all), 0u);
}

}  // namespace
