// A thread's run of free cells, and a collector that reads it, as a model in every order in which x86-TSO lets
// processors show their stores.
//
//   block    [ cell 0 | cell 1 | cell 2 | cell 3 ]    1 is an object's that nothing leads to any more
//   thread   holds 0 as its run and 2 for later; hands out 0, goes on to 2, hands it out; takes 3 from the block and
//            hands that out, too. Each time: the cell into a slot, then the run begins behind it.
//   cycle    marks what is in the run and what comes later, then what is in slots
//
// A cell that was handed out has to be alive when the cycle is over, at whatever moment that was; so has one that has
// not been, for the thread hands it out without a look at the phase. Cell 1 may not come to life by it. The order of
// the thread's stores and of the collector's loads is that of src/library/gc/allocation.h; with each of them the other
// way round the search must find how a cell is lost.
#include <gtest/gtest.h>

#include <cstdint>

#include "tso_machine.h"

using namespace tenure::testing::tso;

namespace {

// Cells as bits, but for a run's.
enum : place { run_next, run_end, later, slots, born_alive, marked, taken, black, guard };

enum class flaw {
  none,
  slot_written_last,
  later_written_first,
  end_written_last,
  next_read_first,
  later_read_last,
  slots_read_first,
  no_guard
};

constexpr std::uint8_t cell(std::uint8_t number) { return static_cast<std::uint8_t>(1u << number); }

// The cell at `run_next` is handed out: r0.
program hand_out(flaw left_out) {
  const step into_slot = [](machine& of, std::size_t self) {
    const std::uint8_t filled = of.load(self, slots) | cell(in_register(of, self, 0));
    return of.store(self, slots, filled) ? next : not_yet;
  };
  const step advance = [](machine& of, std::size_t self) {
    const auto behind = static_cast<std::uint8_t>(in_register(of, self, 0) + 1);
    return of.store(self, run_next, behind) ? next : not_yet;
  };
  if (left_out == flaw::slot_written_last) return {load(0, run_next), advance, into_slot};
  return {load(0, run_next), into_slot, advance};
}

// next_run()
program go_on(flaw left_out) {
  if (left_out == flaw::later_written_first) return {store(later, 0), store(run_next, 2), store(run_end, 3)};
  if (left_out == flaw::end_written_last) return {store(run_next, 2), store(later, 0), store(run_end, 3)};
  return {store(run_next, 2), store(run_end, 3), store(later, 0)};
}

step acquire(bool is_guarded) {
  return [=](machine& of, std::size_t self) {
    if (of.all[self].pending != 0) return not_yet;
    if (is_guarded && of.memory[guard] != 0) return not_yet;
    of.memory[guard] = 1;
    return next;
  };
}

// take_cells(), with the list's lock.
program refill(flaw left_out) {
  program steps{acquire(left_out != flaw::no_guard), load(1, black)};
  steps.push_back([](machine& of, std::size_t self) {
    if (in_register(of, self, 1) == 0) return next;
    const std::uint8_t born = of.load(self, born_alive) | cell(3);
    return of.store(self, born_alive, born) ? next : not_yet;
  });
  steps.push_back([](machine& of, std::size_t self) {
    const std::uint8_t now = of.load(self, taken) | cell(3);
    return of.store(self, taken, now) ? next : not_yet;
  });
  add(steps, {store(run_next, 3), store(run_end, 4), store(later, 0), store(guard, 0)});
  return steps;
}

program thread_of(flaw left_out) {
  program steps = hand_out(left_out);
  add(steps, go_on(left_out));
  add(steps, hand_out(left_out));
  add(steps, refill(left_out));
  add(steps, hand_out(left_out));
  return steps;
}

// blacken_runs(), then the slots.
program cycle(flaw left_out) {
  program steps{locked([](machine& of, std::size_t) { of.memory[black] = 1; })};
  const step read_slots = [](machine& of, std::size_t) {
    of.memory[marked] |= of.memory[slots];
    return next;
  };
  if (left_out == flaw::slots_read_first) steps.push_back(read_slots);
  steps.push_back(acquire(left_out != flaw::no_guard));
  switch (left_out) {
    case flaw::next_read_first:
      add(steps, {load(2, run_next), load(0, later), load(1, run_end)});
      break;
    case flaw::later_read_last:
      add(steps, {load(1, run_end), load(2, run_next), load(0, later)});
      break;
    default:
      add(steps, {load(0, later), load(1, run_end), load(2, run_next)});
  }
  // Read and written apart, as it is done.
  steps.push_back([](machine& of, std::size_t self) {
    for (std::uint8_t at = in_register(of, self, 2); at < in_register(of, self, 1); ++at) {
      in_register(of, self, 0) |= cell(at);
    }
    in_register(of, self, 0) |= of.memory[born_alive];
    return next;
  });
  steps.push_back([](machine& of, std::size_t self) {
    of.memory[born_alive] = in_register(of, self, 0);
    return next;
  });
  steps.push_back(locked([](machine& of, std::size_t) { of.memory[guard] = 0; }));
  if (left_out != flaw::slots_read_first) steps.push_back(read_slots);
  return steps;
}

bool is_right(const machine& last) {
  const int alive = last.memory[born_alive] | last.memory[marked];
  return (last.memory[slots] & ~alive) == 0 && (alive & cell(1)) == 0;
}

std::uint64_t losses(flaw left_out) {
  search all;
  all.programs[0] = thread_of(left_out);
  all.programs[2] = cycle(left_out);
  all.is_right = is_right;
  machine start;
  start.memory[run_next] = 0;
  start.memory[run_end] = 1;
  start.memory[later] = cell(2);
  start.memory[taken] = cell(0) | cell(1) | cell(2);
  all.run(start);
  EXPECT_GT(all.ends, 0u);
  return all.losses;
}

TEST(gc_allocation_model, a_cell_is_in_the_run_or_in_a_slot) { EXPECT_EQ(losses(flaw::none), 0u); }

TEST(gc_allocation_model, in_another_order_a_cell_is_lost) {
  EXPECT_GT(losses(flaw::slot_written_last), 0u);
  EXPECT_GT(losses(flaw::later_written_first), 0u);
  EXPECT_GT(losses(flaw::end_written_last), 0u);
  EXPECT_GT(losses(flaw::next_read_first), 0u);
  EXPECT_GT(losses(flaw::later_read_last), 0u);
  EXPECT_GT(losses(flaw::slots_read_first), 0u);
}

TEST(gc_allocation_model, without_the_lock_a_cell_is_lost) { EXPECT_GT(losses(flaw::no_guard), 0u); }

// A child of a fork takes back what the forking process's other threads hold, at whatever instruction they are: each
// cell that none of them has handed out, and none that was.
TEST(gc_allocation_model, what_a_fork_leaves_is_told_apart) {
  search all;
  all.programs[0] = hand_out(flaw::none);
  add(all.programs[0], go_on(flaw::none));
  add(all.programs[0], hand_out(flaw::none));
  // The fork copies what is in memory; nobody is in a refill, for fork() has the locks.
  all.programs[2] = {locked([](machine& of, std::size_t) {
    std::uint8_t unused = of.memory[later];
    for (std::uint8_t at = of.memory[run_next]; at < of.memory[run_end]; ++at) unused |= cell(at);
    of.memory[taken] &= static_cast<std::uint8_t>(~unused);
    of.memory[marked] = of.memory[slots];  // as of the fork
  })};
  all.is_right = [](const machine& last) {
    // What is taken still is the object's, or was in a slot.
    const int left = last.memory[taken];
    return (left & cell(1)) != 0 && (left & ~(cell(1) | last.memory[marked])) == 0;
  };
  machine start;
  start.memory[run_end] = 1;
  start.memory[later] = cell(2);
  start.memory[taken] = cell(0) | cell(1) | cell(2);
  all.run(start);
  EXPECT_GT(all.ends, 0u);
  EXPECT_EQ(all.losses, 0u);
}

}  // namespace
