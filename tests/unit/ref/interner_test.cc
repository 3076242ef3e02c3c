// Interners beside a std::set: the same strings, each once; counted ones go when they should, also among threads.
#include <gtest/gtest.h>
#include <tenure/tenure.h>
#include <tenure/flyweight.hpp>
#include <tenure/interner.hpp>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../../support/dice.h"
#include "library/ref/string_table.h"

namespace tenure {
namespace {

// Of lengths on both sides of every limit there is, with all bytes.
std::string random_text(test::dice& random) {
  static constexpr std::uint32_t lengths[] = {0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 100, 486, 487, 488, 2000};
  std::string text(lengths[random.below(std::size(lengths))], 'x');
  for (std::size_t i = 0; i < std::min<std::size_t>(text.size(), 2); ++i) text[i] = static_cast<char>(random.below(64));
  if (!text.empty() && random.one_in(2)) text.back() = static_cast<char>(random.below(4));
  return text;
}

TEST(Interner, GivesTheSameWordForTheSameString) {
  interner strings({.name = "test"});
  std::map<std::string, symbol> model;
  test::dice random(3);
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = random_text(random);
    const auto known = model.find(text);
    ASSERT_EQ(static_cast<bool>(strings.find(text)), known != model.end());
    const symbol one = strings.intern(text);
    ASSERT_EQ(one.view(), text);
    ASSERT_EQ(one.c_str()[text.size()], 0);
    if (known != model.end()) {
      ASSERT_EQ(one, known->second);
    } else {
      model[text] = one;
    }
  }
  EXPECT_EQ(strings.statistics().strings, model.size());
  std::set<std::string> seen;
  strings.for_each([&](symbol one) { EXPECT_TRUE(seen.emplace(one.view()).second); });
  EXPECT_EQ(seen.size(), model.size());
  EXPECT_FALSE(symbol());
  EXPECT_EQ(symbol().view(), "");
  EXPECT_NE(strings.intern(""), symbol());
  interner others;
  EXPECT_NE(others.intern("a"), strings.intern("a"));
  strings.check();
}

TEST(Interner, IsInTheLedgerToTheByte) {
  interner strings({.name = "words"});
  for (int i = 0; i < 10'000; ++i) strings.intern("word " + std::to_string(i));
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(strings.account(), &figures), 1);
  EXPECT_STREQ(figures.name, "words");
  EXPECT_STREQ(figures.kind, "interner");
  EXPECT_EQ(figures.held_bytes, strings.statistics().held_bytes);
  EXPECT_GE(figures.held_bytes, strings.statistics().text_bytes + 10'000 * 17u);
}

TEST(Interner, AHardLimitHolds) {
  account parent("limited");
  parent.set_limits({.hard_bytes = 100'000});
  counted_interner strings({.name = "limited strings", .parent = &parent});
  std::vector<counted_symbol> all;
  const auto fill = [&] {
    for (int i = 0;; ++i) all.push_back(strings.intern(std::string(500, 'x') + std::to_string(i)));
  };
  EXPECT_THROW(fill(), std::bad_alloc);
  EXPECT_GT(all.size(), 100u);
  EXPECT_LE(parent.statistics().peak_held_bytes, 100'000u);
  strings.check();
  all.clear();
  EXPECT_NO_THROW(strings.intern(std::string(500, 'y')));
}

// What would be 0 in the hash if the seed stood on one side of it alone.
TEST(Interner, NoStringsMeetWhateverTheSeed) {
  const std::string begin = "\x03\xed\x92\xd1\x32\x4a\xb5\xd1";
  for (const std::size_t behind : {8u, 24u}) {
    for (std::uint64_t seed = 1; seed < 5; ++seed) {
      std::set<std::uint64_t> hashes;
      for (int i = 10; i < 99; ++i) {
        std::string text = begin + "behind" + std::to_string(i);
        text.resize(8 + behind, 'x');
        hashes.insert(detail::hash_of(text, seed));
      }
      EXPECT_EQ(hashes.size(), 89u) << "seed " << seed;
    }
  }
}

// Whoever looks for memory within the limit may do with the interner what everybody may.
TEST(Interner, ShrinkersMayUseIt) {
  account parent("limited");
  counted_interner strings({.name = "limited strings", .grace = std::chrono::hours(1), .parent = &parent});
  interner names({.name = "limited names", .parent = &parent});
  std::vector<counted_symbol> spare;
  for (int i = 0; i < 50; ++i) spare.push_back(strings.intern(std::string(1000, 'x') + std::to_string(i)));
  for (int i = 0; i < 50; ++i) names.intern("name " + std::to_string(i));
  int calls = 0;
  const shrinker give_back(parent, 0, [&](const tenure_pressure&) -> std::uint64_t {
    ++calls;
    const std::uint64_t before = parent.statistics().held_bytes;
    spare.clear();
    strings.sweep();
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(strings.find(std::string(1000, 'x') + std::to_string(i)));
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(names.find("name " + std::to_string(i)));
    strings.check();
    names.check();
    return before - parent.statistics().held_bytes;
  });
  parent.set_limits({.hard_bytes = parent.statistics().held_bytes + 1000});
  const auto fill = [&](auto& in) {
    for (int i = 0; i < 10'000; ++i) static_cast<void>(in.intern(std::string(700, 'y') + std::to_string(i)));
  };
  EXPECT_THROW(fill(strings), std::bad_alloc);
  EXPECT_GT(calls, 0);
  calls = 0;
  EXPECT_THROW(fill(names), std::bad_alloc);
  EXPECT_GT(calls, 0);
}

TEST(CountedInterner, StringsGoWithTheirLastSymbol) {
  counted_interner strings({.name = "test"});
  std::map<std::string, std::vector<counted_symbol>> model;
  test::dice random(4);
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = random_text(random);
    switch (random.below(4)) {
      case 0: {
        const counted_symbol one = strings.intern(text);
        ASSERT_EQ(one.view(), text);
        ASSERT_EQ(one.c_str()[text.size()], 0);
        if (const auto known = model.find(text); known != model.end()) {
          ASSERT_EQ(one, known->second.front());
        }
        model[text].push_back(one);
        break;
      }
      case 1:
        ASSERT_EQ(static_cast<bool>(strings.find(text)), model.contains(text));
        break;
      default:
        if (const auto known = model.find(text); known != model.end()) {
          known->second.pop_back();
          if (known->second.empty()) model.erase(known);
        }
    }
    ASSERT_EQ(strings.statistics().strings, model.size());
  }
  strings.check();
  std::set<std::string, std::less<>> seen;
  strings.for_each([&](std::string_view one) { EXPECT_TRUE(seen.emplace(one).second); });
  EXPECT_EQ(seen.size(), model.size());
  for (const auto& [text, symbols] : model) EXPECT_TRUE(seen.contains(text));
  model.clear();
  EXPECT_EQ(strings.statistics().strings, 0u);
  EXPECT_EQ(strings.statistics().text_bytes, 0u);
}

TEST(CountedInterner, ComingAndGoingTakesNoMore) {
  counted_interner strings({.name = "test"});
  std::uint64_t held = 0;
  for (int i = 0; i < 50'000; ++i) {
    strings.intern("passing " + std::to_string(i % 1000));
    if (i == 2000) held = strings.statistics().held_bytes;
  }
  EXPECT_EQ(strings.statistics().held_bytes, held);
}

TEST(CountedInterner, KeepsStringsForTheirGrace) {
  counted_interner strings({.name = "test", .grace = std::chrono::hours(1)});
  const char* const where = strings.intern("seldom").c_str();
  EXPECT_EQ(strings.sweep(), 0u);
  EXPECT_EQ(strings.find("seldom").c_str(), where);
  EXPECT_EQ(strings.statistics().strings, 1u);

  counted_interner brief({.name = "brief", .grace = std::chrono::milliseconds(1)});
  const counted_symbol kept = brief.intern("kept");
  for (int i = 0; i < 100; ++i) brief.intern(std::to_string(i));
  while (brief.statistics().strings != 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    brief.sweep();
  }
  EXPECT_TRUE(brief.find("kept"));
  EXPECT_FALSE(brief.find("7"));
  // In passing, too. A look for one would begin its grace anew.
  for (int i = 0; i < 100; ++i) brief.intern(std::to_string(i));
  const auto is_there = [&](std::string_view text) {
    bool found = false;
    brief.for_each([&](std::string_view one) { found = found || one == text; });
    return found;
  };
  for (int i = 0; is_there("7"); ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    brief.intern("other " + std::to_string(i));
  }
  brief.check();
}

// The entry that a symbol has, with its count and the time since when nobody has it.
detail::counted_string* entry_of(const counted_symbol& of) {
  static_assert(sizeof of == sizeof(detail::counted_string*));
  detail::counted_string* entry = nullptr;
  std::memcpy(&entry, &of, sizeof entry);
  return entry;
}

TEST(CountedInterner, SweepsAllThatIsOverItsGrace) {
  counted_interner strings({.name = "test", .grace = std::chrono::hours(24)});
  const counted_symbol kept = strings.intern("kept");
  std::vector<detail::counted_string*> entries;
  for (int i = 0; i < 3000; ++i) entries.push_back(entry_of(strings.intern(std::to_string(i))));
  for (std::size_t i = 0; i < entries.size(); i += i % 3 + 1) entries[i]->idle_since_ms -= 25 * 3'600'000;
  std::uint64_t over = 0;
  for (std::size_t i = 0; i < entries.size(); i += i % 3 + 1) ++over;
  EXPECT_EQ(strings.sweep(), over);
  EXPECT_EQ(strings.statistics().strings, 3001 - over);
  strings.check();
  EXPECT_EQ(strings.sweep(), 0u);
}

// In their grace too; of what somebody has nothing goes.
TEST(CountedInterner, TrimFreesWhatNobodyHas) {
  counted_interner strings({.name = "test", .grace = std::chrono::hours(24)});
  const counted_symbol kept = strings.intern(std::string(3000, 'k'));
  for (int i = 0; i < 10; ++i) strings.intern(std::string(5000, static_cast<char>('a' + i)));
  strings.intern("short");
  const std::uint64_t held = strings.statistics().held_bytes;
  EXPECT_EQ(strings.trim(), 10u * 5001);
  EXPECT_EQ(strings.statistics().held_bytes, held - 10u * 5001);
  EXPECT_EQ(strings.statistics().strings, 1u);
  EXPECT_EQ(strings.find(std::string(3000, 'k')), kept);
  EXPECT_FALSE(strings.find("short"));
  EXPECT_EQ(strings.trim(), 0u);
  strings.check();
}

TEST(CountedInterner, HasALimitOfItsOwn) {
  counted_interner strings({.name = "test"});
  strings.set_limits({.hard_bytes = strings.statistics().held_bytes + 100'000});
  std::vector<counted_symbol> all;
  EXPECT_THROW(for (int i = 0;; ++i) all.push_back(strings.intern(std::to_string(i) + std::string(1000, 'x'))),
               std::bad_alloc);
  EXPECT_GT(all.size(), 30u);
  EXPECT_EQ(strings.intern(all[0].view()), all[0]) << "what is there needs nothing";
  strings.set_limits({});
  EXPECT_TRUE(strings.intern(std::string(20'000, 'y')));
  interner names({.name = "names"});
  names.set_limits({.hard_bytes = names.statistics().held_bytes + 20'000});
  EXPECT_THROW(for (int i = 0;; ++i) names.intern(std::to_string(i) + std::string(1000, 'x')), std::bad_alloc);
  EXPECT_EQ(names.trim(), 0u);
}

TEST(CountedInterner, AGraceBeyondWhatIsCountedIsTheLongest) {
  for (const std::int64_t grace : {std::int64_t{1} << 32, std::int64_t{1} << 40, (std::int64_t{1} << 32) - 1}) {
    counted_interner strings({.name = "test", .grace = std::chrono::milliseconds(grace)});
    strings.intern("idle");
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    EXPECT_EQ(strings.sweep(), 0u);
    EXPECT_EQ(strings.statistics().strings, 1u) << grace;
  }
  counted_interner none({.name = "none", .grace = std::chrono::milliseconds(-1)});
  none.intern("idle");
  EXPECT_EQ(none.statistics().strings, 0u);
}

constexpr std::uint32_t most_references = 0x7fff'ffff;

// Ways to one reference more, each with the count at its limit before.
void pass_the_limit(counted_interner& strings, const counted_symbol& one, int way) {
  entry_of(one)->references = most_references;
  if (way == 0) {
    const counted_symbol copy = one;  // NOLINT(performance-unnecessary-copy-initialization)
  } else {
    static_cast<void>(strings.intern("one"));
  }
}

TEST(CountedInternerDeath, CountsSaturate) {
  for (int way = 0; way < 2; ++way) {
    // Neither is destroyed: what has saturated stays.
    auto* const strings = new counted_interner({.name = "test"});
    auto* const one = new counted_symbol(strings->intern("one"));
    EXPECT_DEATH(pass_the_limit(*strings, *one, way), "more references than 2147483647");
    const auto body = [&] {
      pass_the_limit(*strings, *one, way);
      const std::uint32_t stays = entry_of(*one)->references;
      for (int i = 0; i < 5000; ++i) detail::release_counted(entry_of(*one));
      std::exit(entry_of(*one)->references == stays && strings->find("one") == *one ? 0 : 1);
    };
    ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
    EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "more references than 2147483647");
    ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
    delete one;
    delete strings;
  }
}

TEST(CountedInterner, ASymbolThatIsLeftEndsInAMessage) {
  auto strings = std::make_unique<counted_interner>(interner_options{.name = "gone"});
  counted_symbol left = strings->intern("still here");
  EXPECT_DEATH(strings.reset(),
               "interner destroyed while 1 symbols of \"still here\" are there: .*interner \"gone\"(.|\n)*ended "
               "here\n(.|\n)*at 0x");
}

TEST(InternerStress, ThreadsAgree) {
  interner strings({.name = "stress"});
  constexpr std::uint32_t words = 2000;
  std::vector<std::vector<symbol>> seen(4, std::vector<symbol>(words));
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      test::dice random(number);
      for (int i = 0; i < 20'000; ++i) {
        const std::uint32_t word = random.below(words);
        const symbol one = strings.intern("word " + std::to_string(word));
        if (seen[number][word] && seen[number][word] != one) std::abort();
        seen[number][word] = one;
      }
    });
  }
  for (std::thread& one : threads) one.join();
  for (std::uint32_t word = 0; word < words; ++word) {
    const symbol one = strings.intern("word " + std::to_string(word));
    for (const auto& mine : seen) {
      if (mine[word]) {
        ASSERT_EQ(mine[word], one);
      }
    }
  }
  EXPECT_EQ(strings.statistics().strings, words);
  strings.check();
}

void churn(counted_interner& strings, std::atomic<int>& clashes) {
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      test::dice random(number);
      std::vector<counted_symbol> kept(8);
      for (int i = 0; i < 20'000; ++i) {
        // Few strings of the same sizes, so that entries change hands all the time.
        const std::string text = "text " + std::to_string(random.below(64));
        counted_symbol one = strings.intern(text);
        if (one.view() != text) ++clashes;
        counted_symbol& place = kept[random.below(8)];
        place = one;
        if (strings.intern(text) != place) ++clashes;
      }
    });
  }
  for (std::thread& one : threads) one.join();
}

TEST(CountedInternerStress, WhatAThreadHasIsWhatItAskedFor) {
  std::atomic<int> clashes = 0;
  counted_interner strings({.name = "stress"});
  churn(strings, clashes);
  EXPECT_EQ(clashes, 0);
  strings.check();
  EXPECT_EQ(strings.statistics().strings, 0u);
  counted_interner weak({.name = "weak stress", .grace = std::chrono::milliseconds(1)});
  churn(weak, clashes);
  EXPECT_EQ(clashes, 0);
  weak.check();
}

struct point {
  int x = 0;
  int y = 0;
  bool operator==(const point&) const = default;
};
struct point_hash {
  // Bad on purpose: equality has to decide.
  std::size_t operator()(const point& of) const noexcept { return static_cast<std::size_t>(of.x % 7); }
};
struct points_tag {
  static constexpr const char* name = "points";
};
using shared_point = flyweight<point, point_hash, points_tag>;

TEST(Flyweight, KeepsEachValueOnce) {
  std::vector<shared_point> all;
  test::dice random(9);
  std::set<std::pair<int, int>> different;
  for (int i = 0; i < 2000; ++i) {
    const point one{static_cast<int>(random.below(20)), static_cast<int>(random.below(20))};
    all.emplace_back(one);
    different.emplace(one.x, one.y);
    ASSERT_EQ(*all.back(), one);
  }
  EXPECT_EQ(shared_point::statistics().values, different.size());
  for (const shared_point& a : all) ASSERT_EQ(a == all.front(), *a == *all.front());
  std::size_t visited = 0;
  shared_point::for_each([&](const point&) { ++visited; });
  EXPECT_EQ(visited, different.size());
  EXPECT_EQ(shared_point::account().statistics().held_bytes, shared_point::statistics().held_bytes);
  EXPECT_STREQ(shared_point::account().statistics().name, "points");
  all.resize(1, all.front());
  EXPECT_EQ(shared_point::statistics().values, 1u);
  all[0] = point{100, 100};
  EXPECT_EQ(all[0]->x, 100);
  all.clear();
  EXPECT_EQ(shared_point::statistics().values, 0u);
  EXPECT_EQ(shared_point::statistics().held_bytes, 0u);
}

TEST(Flyweight, HasALimitAndTablesThatShrink) {
  EXPECT_STREQ(shared_point::name(), "points");
  std::vector<shared_point> all;
  for (int i = 0; i < 10'000; ++i) all.emplace_back(point{i, -i});
  all.resize(1, all.front());
  EXPECT_GT(shared_point::trim(), 10'000u * sizeof(void*) / 2);
  EXPECT_EQ(shared_point::trim(), 0u);
  EXPECT_EQ(shared_point(point{0, 0}), all.front());
  shared_point::set_limits({.hard_bytes = shared_point::statistics().held_bytes});
  EXPECT_THROW(shared_point(point{1, 1}), std::bad_alloc);
  EXPECT_EQ(shared_point(point{0, 0}), all.front()) << "what is there needs nothing";
  shared_point::set_limits({});
  EXPECT_EQ(shared_point(point{1, 1})->x, 1);
}

// Whoever looks for memory at the limit may take values and let go of them, and so may constructors of values.
TEST(Flyweight, ShrinkersAndConstructorsMayTakeOthers) {
  std::vector<shared_point> spare;
  for (int i = 0; i < 300; ++i) spare.emplace_back(point{i, 1});
  int calls = 0;
  const shrinker give_back(shared_point::account(), 0, [&](const tenure_pressure&) -> std::uint64_t {
    ++calls;
    const std::uint64_t before = shared_point::statistics().held_bytes;
    spare.resize(spare.size() / 2, spare.front());
    for (const shared_point& one : spare) EXPECT_EQ(shared_point(*one), one);
    return before - shared_point::statistics().held_bytes;
  });
  shared_point::account().set_limits({.hard_bytes = shared_point::statistics().held_bytes});
  for (int i = 0; i < 100; ++i) {
    const shared_point one(point{i, 2});
    EXPECT_EQ(one->y, 2);
  }
  shared_point::account().set_limits({});
  EXPECT_GT(calls, 0);
  spare.clear();
  EXPECT_EQ(shared_point::statistics().values, 0u);
}

TEST(FlyweightDeath, CountsSaturate) {
  auto* const one = new shared_point(point{1, 2});
  detail::flyweight_value<point>* node = nullptr;
  std::memcpy(&node, one, sizeof node);
  const auto pass_the_limit = [&] {
    node->references = most_references;
    const shared_point copy(*one);  // NOLINT(performance-unnecessary-copy-initialization)
  };
  EXPECT_DEATH(pass_the_limit(), "more references than 2147483647");
  const auto body = [&] {
    pass_the_limit();
    const std::uint32_t stays = node->references;
    for (int i = 0; i < 5000; ++i) std::destroy_at(one);
    std::exit(node->references == stays && shared_point(point{1, 2})->x == 1 ? 0 : 1);
  };
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "more references than 2147483647");
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
  delete one;
}

TEST(FlyweightStress, ThreadsShareValues) {
  std::vector<std::thread> threads;
  std::atomic<int> clashes = 0;
  for (std::uint32_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      test::dice random(number);
      std::vector<flyweight<std::string>> kept(4);
      for (int i = 0; i < 10'000; ++i) {
        const std::string text = std::to_string(random.below(16));
        const flyweight<std::string> one(text);
        if (*one != text) ++clashes;
        kept[random.below(4)] = one;
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(flyweight<std::string>::statistics().values, 0u);
}

}  // namespace
}  // namespace tenure
