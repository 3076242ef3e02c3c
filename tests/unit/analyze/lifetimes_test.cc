// Lifetimes held against the blocks that were written, one by one: ages, survival, hand-overs and short lives by their
// definitions; reallocs against a program whose every call is known.
#include "instruments/analyze/lifetimes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>

#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using test::made_block;

constexpr std::uint64_t life_ns = 1'000'000'000'000;

struct life {
  std::uint64_t age = 0;
  std::uint64_t bytes = 0;
  bool is_freed = false;
};

// Kaplan and Meier by their formula, age by age: the share of bytes alive after each age at which some died.
std::map<std::uint64_t, double> survival_of(const std::vector<life>& lives) {
  std::map<std::uint64_t, double> result;
  for (const life& one : lives)
    if (one.is_freed) result[one.age] = 1;
  double alive = 1;
  for (auto& [age, share] : result) {
    double at_risk = 0, died = 0;
    for (const life& one : lives) {
      if (one.age >= age) at_risk += static_cast<double>(one.bytes);
      if (one.age == age && one.is_freed) died += static_cast<double>(one.bytes);
    }
    alive *= 1 - died / at_risk;
    share = alive;
  }
  return result;
}

std::vector<life> thrown_lives(std::uint32_t seed, std::size_t count) {
  test::dice thrown(seed);
  std::vector<life> lives;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t age = (std::uint64_t{thrown()} << 8) >> thrown.below(40);
    lives.push_back({age, 1 + thrown.below(5000), !thrown.one_in(4)});
  }
  return lives;
}

age_histogram histogram_of(const std::vector<life>& lives) {
  age_histogram result;
  for (const life& one : lives) result.add(one.age, one.bytes, one.is_freed);
  return result;
}

TEST(AgeHistogram, BucketsAreNarrowAndWithoutGaps) {
  std::uint64_t age = 0;
  for (std::uint32_t bucket = 0; age < ~std::uint64_t{0}; ++bucket) {
    EXPECT_EQ(age_bucket_of(age), bucket);
    const std::uint64_t last = age_bucket_end(bucket);
    ASSERT_GE(last, age);
    EXPECT_EQ(age_bucket_of(last), bucket);
    EXPECT_LE(last - age, age / 16);
    if (last == ~std::uint64_t{0}) break;
    age = last + 1;
  }
}

TEST(AgeHistogram, TheCurveIsThatOfTheFormula) {
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    std::vector<life> lives = thrown_lives(seed, 400);
    const age_histogram ages = histogram_of(lives);
    // What the histogram knows of an age is its bucket.
    for (life& one : lives) one.age = age_bucket_end(age_bucket_of(one.age));
    const auto expected = survival_of(lives);
    const auto curve = ages.curve();
    ASSERT_EQ(curve.size(), expected.size());
    for (const age_histogram::point& one : curve) EXPECT_NEAR(one.alive, expected.at(one.age), 1e-9) << one.age;
    for (const double fraction : {0.1, 0.5, 0.9}) {
      std::optional<std::uint64_t> gone;
      for (const auto& [age, alive] : expected)
        if (!gone && alive <= 1 - fraction) gone = age;
      EXPECT_EQ(age_when_gone(curve, fraction), gone) << fraction;
    }
  }
}

TEST(AgeHistogram, QuantilesAreNearTheExactOnes) {
  std::vector<life> lives = thrown_lives(9, 3000);
  for (life& one : lives) one.is_freed = true;
  const auto curve = histogram_of(lives).curve();
  std::sort(lives.begin(), lives.end(), [](auto& a, auto& b) { return a.age < b.age; });
  std::uint64_t all = 0;
  for (const life& one : lives) all += one.bytes;
  for (const double fraction : {0.25, 0.5, 0.75, 0.9}) {
    std::uint64_t gone = 0, exact = 0;
    for (const life& one : lives) {
      exact = one.age;
      if (static_cast<double>(gone += one.bytes) >= fraction * static_cast<double>(all)) break;
    }
    const auto told = age_when_gone(curve, fraction);
    ASSERT_TRUE(told);
    EXPECT_GE(*told, exact);
    EXPECT_LE(*told, exact + exact / 16);
  }
}

TEST(AgeHistogram, WhatNobodyReachedIsNotTold) {
  age_histogram ages;
  ages.add(100, 10, true);
  ages.add(1000, 10, false);
  const auto curve = ages.curve();
  EXPECT_EQ(age_when_gone(curve, 0.9), std::nullopt);
  EXPECT_EQ(alive_after(ages, curve, 50), 1.0);
  EXPECT_EQ(alive_after(ages, curve, 500), 0.5);
  EXPECT_EQ(alive_after(ages, curve, 5000), std::nullopt);
  age_histogram gone;
  gone.add(100, 10, true);
  EXPECT_EQ(alive_after(gone, gone.curve(), 5000), 0.0);
}

class LifetimesTest : public ::testing::Test {
 protected:
  life_process analyze(const selection& selected) {
    auto reader = collect::recording_reader::open(file.path());
    EXPECT_TRUE(reader) << reader.error();
    symbols::symbolizer symbolizer;
    life_report report = analyze_lifetimes(*reader, symbolizer, {.selected = selected});
    EXPECT_EQ(report.processes.size(), 1u);
    return std::move(report.processes.at(0));
  }
  void SetUp() override { test::write_recording(file.path(), blocks, test::made_process(), life_ns); }

  std::uint64_t allocated_between(std::uint64_t from_ns, std::uint64_t to_ns) const {
    std::uint64_t bytes = 0;
    for (const made_block& one : blocks)
      if (one.from_ns > from_ns && one.from_ns < to_ns) bytes += one.bytes;
    return bytes;
  }
  // With the blocks that go at that moment.
  std::uint64_t live_before(std::uint64_t ns) const {
    std::uint64_t bytes = 0;
    for (const made_block& one : blocks)
      if (one.from_ns < ns && one.to_ns >= ns) bytes += one.bytes;
    return bytes;
  }
  static std::uint64_t written(std::uint64_t ns) {
    return test::made_start_ns / record::event_time_unit_ns * record::event_time_unit_ns + ns;
  }

  // Of the blocks that are counted: everything by its definition.
  void expect(const life_totals& totals, const std::function<bool(const made_block&)>& is_counted) {
    exact_amount freed, elsewhere, short_lived, left;
    std::vector<life> by_time, by_bytes;
    for (const made_block& one : blocks) {
      if (!is_counted(one)) continue;
      const exact_amount amount{1, one.bytes};
      const bool is_freed = one.to_ns != ~0ull;
      const std::uint64_t age_bytes = allocated_between(one.from_ns, one.to_ns);
      (is_freed ? freed : left) += amount;
      if (is_freed && one.freer != one.thread) elsewhere += amount;
      if (is_freed && age_bytes * 10 <= live_before(one.to_ns)) short_lived += amount;
      const std::uint64_t last_ns = is_freed ? written(one.to_ns) : test::made_start_ns + life_ns;
      by_time.push_back({last_ns - written(one.from_ns), one.bytes, is_freed});
      by_bytes.push_back({age_bytes, one.bytes, is_freed});
    }
    exact_amount allocated = freed;
    allocated += left;
    ASSERT_NE(short_lived.blocks, 0u);
    ASSERT_LT(short_lived.blocks, freed.blocks);
    EXPECT_EQ(totals.allocated, allocated);
    EXPECT_EQ(totals.freed, freed);
    EXPECT_EQ(totals.freed_elsewhere, elsewhere);
    EXPECT_EQ(totals.short_lived, short_lived);
    EXPECT_EQ(totals.left, left);
    expect_same(totals.by_time, histogram_of(by_time));
    expect_same(totals.by_bytes, histogram_of(by_bytes));
  }
  static void expect_same(const age_histogram& left, const age_histogram& right) {
    ASSERT_EQ(left.buckets().size(), right.buckets().size());
    for (std::size_t i = 0; i < left.buckets().size(); ++i) {
      EXPECT_EQ(left.buckets()[i].number, right.buckets()[i].number);
      EXPECT_EQ(left.buckets()[i].freed_bytes, right.buckets()[i].freed_bytes);
      EXPECT_EQ(left.buckets()[i].left_bytes, right.buckets()[i].left_bytes);
    }
  }

  test::made_file file;
  std::vector<made_block> blocks = test::thrown_blocks(11, 2000);
};

TEST_F(LifetimesTest, FiguresAreThoseOfTheBlocks) {
  const life_process process = analyze({});
  expect(process.totals, [](auto&) { return true; });
  // app+0x10, app+0x20, plug+0x30, plug+0x40: a stack each.
  ASSERT_EQ(process.by_function.size(), 4u);
  for (const life_group& group : process.by_function)
    expect(group.totals, [&](auto& one) { return one.stack == group.stack; });
}

TEST_F(LifetimesTest, AgesAndTheHeapAreOfTheWholeProcessWhateverIsSelected) {
  expect(analyze({.thread = "worker-1"}).totals, [](auto& one) { return one.thread == 1; });
  expect(analyze({.least_bytes = 500}).totals, [](auto& one) { return one.bytes >= 500; });
}

TEST_F(LifetimesTest, HandOversAreByTheThreadsNames) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, exact_amount> expected;
  for (const made_block& one : blocks)
    if (one.to_ns != ~0ull) expected[{one.thread, one.freer}] += {1, one.bytes};
  const auto threads = test::made_process().threads;
  const life_process process = analyze({});
  EXPECT_EQ(process.hand_overs.size(), expected.size());
  for (const hand_over& one : process.hand_overs) {
    const auto number = [&](const std::string& name) {
      for (std::uint32_t i = 0; i < threads.size(); ++i)
        if (threads[i].name == name) return i;
      return no_index;
    };
    EXPECT_EQ(one.is_same_thread, one.from == one.to);
    EXPECT_EQ(one.amount, (expected[{number(one.from), number(one.to)}])) << one.from << " " << one.to;
  }
}

TEST_F(LifetimesTest, NothingIsSaidOfFreeSitesThatWereNotRecorded) {
  const life_process process = analyze({});
  EXPECT_FALSE(process.knows_free_stacks);
  EXPECT_TRUE(process.free_sites.empty());
}

TEST_F(LifetimesTest, FreeSitesAreByTheFunctionsOfBothStacks) {
  test::dice thrown(5);
  // Of made_process()'s stacks, and of those that were not told.
  const std::array<std::string, 4> names = {"app+0x10", "app+0x20", "libplug.so+0x30", "libplug.so+0x40"};
  std::map<std::tuple<std::string, std::string, bool>, exact_amount> expected;
  for (made_block& one : blocks) {
    if (!thrown.one_in(6)) one.free_stack = thrown.below(4);
    if (one.to_ns == ~0ull) continue;
    const std::string freed_in = one.free_stack == record::no_stack ? "[not told]" : names[one.free_stack];
    expected[{names[one.stack], freed_in, one.thread == one.freer}] += {1, one.bytes};
  }
  test::write_recording(file.path(), blocks, test::made_process(), life_ns);
  const life_process process = analyze({});
  EXPECT_TRUE(process.knows_free_stacks);
  EXPECT_EQ(process.free_sites.size(), expected.size());
  std::uint64_t last_bytes = ~0ull;
  for (const free_site& one : process.free_sites) {
    EXPECT_EQ(one.amount, (expected[{one.allocated_in, one.freed_in, one.is_same_thread}]))
        << one.allocated_in << " " << one.freed_in;
    EXPECT_LE(one.amount.bytes, last_bytes);
    last_bytes = one.amount.bytes;
    if (one.freed_in == "[not told]") continue;
    ASSERT_FALSE(one.chain.empty());
    EXPECT_EQ(one.chain.front().function, one.freed_in);
  }
  // Of selected blocks alone.
  exact_amount freed, told;
  for (const made_block& one : blocks)
    if (one.bytes >= 500 && one.to_ns != ~0ull) freed += {1, one.bytes};
  for (const free_site& one : analyze({.least_bytes = 500}).free_sites) told += one.amount;
  EXPECT_EQ(told, freed);
}

// A program of several threads on a heap that resizes as Tenure's does. Every call of realloc is an owner of its own.
class resizing_program {
 public:
  struct call {
    bool is_moved = false;
    std::uint64_t old_bytes = 0, bytes = 0, resizes = 0;
  };

  resizing_program(std::uint32_t seed, bool frees_beside) : thrown_(seed), frees_beside_(frees_beside) {}

  void run(std::size_t steps) {
    std::vector<std::deque<step>> queues(3);
    for (std::size_t i = 0; i < steps; ++i) {
      // Each thread does one thing after the other; what several threads do mixes.
      const std::uint32_t thread = thrown_.below(3);
      if (queues[thread].empty()) plan(thread, queues[thread]);
      if (!queues[thread].empty()) {
        tell(thread, queues[thread].front());
        queues[thread].pop_front();
      }
    }
    for (std::uint32_t thread = 0; thread < queues.size(); ++thread)
      for (const step& one : queues[thread]) tell(thread, one);
    chains.finish();
  }

  realloc_chains chains;
  std::vector<call> calls;

 private:
  struct block {
    std::uint64_t bytes = 0, resizes = 0;
    std::uint32_t slot = 0;
  };
  struct step {
    bool is_free = false, is_realloc = false;
    std::size_t block = 0;
    std::uint32_t call = no_index;
  };

  static std::uint64_t usable(std::uint64_t bytes) {
    const std::uint64_t step = bytes <= 128 ? 16 : std::bit_floor(bytes - 1) / 8;
    return (bytes + step - 1) / step * step;
  }
  std::uint64_t thrown_bytes() { return 1 + thrown_.below(2u << thrown_.below(12)); }

  std::size_t make(std::uint64_t bytes, std::uint64_t resizes) {
    blocks_.push_back({bytes, resizes, 0});
    return blocks_.size() - 1;
  }

  void plan(std::uint32_t thread, std::deque<step>& queue) {
    std::vector<std::size_t>& mine = mine_[thread];
    const std::uint32_t what = thrown_.below(10);
    if (mine.size() < 5 || what < 3) {
      mine.push_back(make(thrown_bytes(), 0));
      queue.push_back({false, false, mine.back(), no_index});
      return;
    }
    std::size_t& chosen = mine[thrown_.below(static_cast<std::uint32_t>(mine.size()))];
    if (what < 5) {
      queue.push_back({true, false, chosen, no_index});
      chosen = mine.back();
      mine.pop_back();
      if (!frees_beside_) {  // nothing that a realloc could be mistaken for stands beside it
        mine.push_back(make(thrown_bytes(), 0));
        queue.push_back({false, false, mine.back(), no_index});
      }
      return;
    }
    if (!frees_beside_) {
      mine.push_back(make(thrown_bytes(), 0));
      queue.push_back({false, false, mine.back(), no_index});
    }
    resize(mine[thrown_.below(static_cast<std::uint32_t>(mine.size()))], queue);
    if (!frees_beside_) {
      mine.push_back(make(thrown_bytes(), 0));
      queue.push_back({false, false, mine.back(), no_index});
    }
  }

  void resize(std::size_t& which, std::deque<step>& queue) {
    const block old = blocks_[which];
    const std::uint64_t bytes = thrown_.one_in(2) ? old.bytes + thrown_.below(64) : thrown_bytes();
    const std::uint64_t room = usable(old.bytes);
    call one{!(bytes <= room && (bytes >= room / 2 || room <= 32)), old.bytes, bytes, old.resizes + 1};
    const std::size_t made = make(bytes, one.resizes);
    const step goes{true, false, which, no_index};
    const step comes{false, true, made, static_cast<std::uint32_t>(calls.size())};
    if (!one.is_moved) queue.push_back(goes);
    queue.push_back(comes);
    if (one.is_moved) queue.push_back(goes);
    calls.push_back(one);
    which = made;
  }

  void tell(std::uint32_t thread, const step& one) {
    block& of = blocks_[one.block];
    if (one.is_free) {
      chains.free(of.slot, thread, of.bytes);
      slots_.give(of.slot);
      return;
    }
    of.slot = slots_.take();
    chains.allocate(of.slot, thread, of.bytes, one.is_realloc, one.call);
  }

  test::dice thrown_;
  bool frees_beside_;
  record::slot_table slots_;
  std::vector<block> blocks_;
  std::vector<std::size_t> mine_[3];
};

TEST(ReallocChains, CallsApartAreAllTold) {
  resizing_program program(21, false);
  program.run(20'000);
  ASSERT_GT(program.calls.size(), 2000u);
  std::uint64_t longest = 0, moved = 0;
  for (std::uint32_t i = 0; i < program.calls.size(); ++i) {
    const resizing_program::call& call = program.calls[i];
    realloc_figures expected;
    expected.calls = 1;
    (call.is_moved ? expected.moved : expected.in_place) = 1;
    expected.shrinks = call.bytes < call.old_bytes;
    expected.moved_bytes = call.is_moved ? std::min(call.bytes, call.old_bytes) : 0;
    expected.chains = call.resizes == 1;
    expected.longest = call.resizes;
    EXPECT_EQ(program.chains.of(i), expected) << i;
    longest = std::max(longest, call.resizes);
    moved += call.is_moved;
  }
  EXPECT_GT(longest, 3u);
  EXPECT_GT(moved, 100u);
  EXPECT_LT(moved, program.calls.size() - 100);
}

TEST(ReallocChains, WhatCannotBeToldIsNotGuessed) {
  resizing_program program(22, true);
  program.run(50'000);
  std::uint64_t uncertain = 0;
  for (std::uint32_t i = 0; i < program.calls.size(); ++i) {
    const resizing_program::call& call = program.calls[i];
    const realloc_figures told = program.chains.of(i);
    EXPECT_EQ(told.calls, 1u);
    EXPECT_EQ(told.unmatched, 0u);
    uncertain += told.uncertain;
    if (told.uncertain != 0) continue;
    EXPECT_EQ(told.moved, call.is_moved ? 1u : 0u) << i;
    EXPECT_EQ(told.moved_bytes, call.is_moved ? std::min(call.bytes, call.old_bytes) : 0) << i;
    EXPECT_LE(told.longest, call.resizes);
  }
  EXPECT_GT(uncertain, 0u);
  EXPECT_LT(uncertain, program.calls.size() / 4);
}

TEST(ReallocChains, ABlockFromBeforeTheRecordingIsUnmatched) {
  realloc_chains chains;
  chains.allocate(0, 0, 100, true, 0);
  chains.free_unknown(0);
  chains.free_unknown(1);
  chains.allocate(1, 1, 100, true, 1);
  chains.finish();
  EXPECT_EQ(chains.of(0).unmatched, 1u);
  EXPECT_EQ(chains.of(1).unmatched, 1u);
  EXPECT_EQ(chains.of(1).calls, 1u);
}

}  // namespace
}  // namespace tenure::analyze
