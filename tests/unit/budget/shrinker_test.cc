// Shrinkers: in which order they are asked, for how much, by whose limit, and that none is left running.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/budget/charge.h"
#include "core/budget/shrinker.h"

using namespace tenure;
using budget::account;
using budget::pressure;
using budget::pressure_level;

namespace {

// A holder of memory that gives back what it is asked for, and says in which order it was asked.
struct holder {
  holder(account* charged, std::string called, std::vector<std::string>& order)
      : of(charged), name(std::move(called)), log(order) {}

  void hold(std::uint64_t bytes) {
    ASSERT_TRUE(budget::charge(of, bytes, 0));
    held += bytes;
  }
  static std::uint64_t shrink(void* context, const pressure& why) {
    auto& self = *static_cast<holder*>(context);
    self.log.push_back(self.name + ":" + std::to_string(why.wanted_bytes));
    self.last = why;
    const std::uint64_t given = std::min(self.held, why.wanted_bytes);
    budget::release(self.of, given, 0);
    self.held -= given;
    return given;
  }

  account* of;
  std::string name;
  std::vector<std::string>& log;
  std::uint64_t held = 0;
  pressure last{};
};

TEST(shrinker, is_asked_by_priority_until_enough_came_back) {
  std::vector<std::string> log;
  account* top = budget::open("top", "application", nullptr);
  account* other = budget::open("other", "cache", nullptr);
  holder dear(budget::open("dear", "cache", top), "dear", log);
  holder cheap(budget::open("cheap", "cache", top), "cheap", log);
  holder foreign(other, "foreign", log);
  dear.hold(500);
  cheap.hold(300);
  foreign.hold(900);
  budget::set_limits(top, wire::no_limit, 1000);
  const std::uint32_t handles[] = {budget::register_shrinker(dear.of, 10, holder::shrink, &dear),
                                   budget::register_shrinker(cheap.of, -1, holder::shrink, &cheap),
                                   budget::register_shrinker(other, -9, holder::shrink, &foreign)};
  EXPECT_FALSE(budget::close(cheap.of));
  EXPECT_TRUE(budget::charge(top, 150, 0));
  EXPECT_TRUE(log.empty());
  // 950 of 1000 are held: 350 more have to come back, 300 of them from the cheaper one.
  EXPECT_TRUE(budget::charge(top, 400, 0));
  EXPECT_EQ(log, (std::vector<std::string>{"cheap:350", "dear:50"}));
  EXPECT_EQ(dear.last.level, pressure_level::hard_limit);
  EXPECT_EQ(dear.last.origin, top);
  EXPECT_EQ(top->held_bytes, 1000u);
  // More than there is: everything is asked for, and it is refused.
  log.clear();
  EXPECT_FALSE(budget::charge(top, 900, 0));
  EXPECT_EQ(top->refusals, 1u);
  EXPECT_EQ(foreign.held, 900u);
  // What can never fit asks nobody.
  log.clear();
  EXPECT_FALSE(budget::charge(top, 1001, 0));
  EXPECT_TRUE(log.empty());
  // When the process is short, all are asked.
  EXPECT_EQ(budget::run_shrinkers(nullptr, 800, pressure_level::process), 800u);
  EXPECT_EQ(foreign.held, 100u);
  for (const std::uint32_t handle : handles) budget::unregister_shrinker(handle);
  for (account* one : {dear.of, cheap.of, other, top}) EXPECT_TRUE(budget::close(one));
}

TEST(shrinker, is_asked_at_the_soft_limit_and_the_charge_stands) {
  std::vector<std::string> log;
  holder one(budget::open("soft", "cache", nullptr), "one", log);
  const std::uint32_t handle = budget::register_shrinker(one.of, 0, holder::shrink, &one);
  budget::set_limits(one.of, 1000, 5000);
  one.hold(900);
  EXPECT_TRUE(budget::charge(one.of, 400, 0));
  EXPECT_EQ(log, (std::vector<std::string>{"one:300"}));
  EXPECT_EQ(one.last.level, pressure_level::soft_limit);
  EXPECT_EQ(one.of->held_bytes, 1000u);
  budget::unregister_shrinker(handle);
  EXPECT_TRUE(budget::close(one.of));
}

TEST(shrinker, starts_no_other_within_itself) {
  struct state {
    account* of;
    int calls = 0;
    bool was_refused = false;
  } now{budget::open("nested", "cache", nullptr)};
  budget::set_limits(now.of, wire::no_limit, 100);
  const auto shrink = [](void* context, const pressure&) -> std::uint64_t {
    auto& self = *static_cast<state*>(context);
    ++self.calls;
    self.was_refused = !budget::charge(self.of, 50, 0);
    return 0;
  };
  const std::uint32_t handle = budget::register_shrinker(now.of, 0, shrink, &now);
  EXPECT_TRUE(budget::charge(now.of, 90, 0));
  EXPECT_FALSE(budget::charge(now.of, 50, 0));
  EXPECT_EQ(now.calls, 1);
  EXPECT_TRUE(now.was_refused);
  budget::unregister_shrinker(handle);
  EXPECT_DEATH(budget::unregister_shrinker(handle), "function != nullptr");
  EXPECT_TRUE(budget::close(now.of));
}

TEST(shrinker, has_no_more_than_its_table) {
  std::vector<std::uint32_t> handles;
  const auto none = [](void*, const pressure&) -> std::uint64_t { return 0; };
  while (const std::uint32_t handle = budget::register_shrinker(nullptr, 0, none, nullptr)) handles.push_back(handle);
  EXPECT_EQ(handles.size(), budget::shrinker_capacity);
  for (const std::uint32_t handle : handles) budget::unregister_shrinker(handle);
}

// Contexts die right after they were unregistered, while other threads keep asking.
TEST(shrinker, is_never_called_after_it_was_unregistered) {
  struct context {
    std::atomic<bool> alive = true;
    std::atomic<std::uint64_t>* calls;
  };
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<bool> late = false;
  static std::atomic<bool>* late_flag;
  late_flag = &late;
  const auto shrink = [](void* at, const pressure&) -> std::uint64_t {
    auto* self = static_cast<context*>(at);
    ++*self->calls;
    std::this_thread::yield();
    if (!self->alive) *late_flag = true;
    return 1;
  };
  account* of = budget::open("busy", "cache", nullptr);
  std::atomic<bool> done = false;
  std::vector<std::thread> askers;
  for (int i = 0; i < 3; ++i) {
    askers.emplace_back([&] {
      while (!done) budget::run_shrinkers(of, 1'000'000, pressure_level::hard_limit);
    });
  }
  while (calls < 3000) {
    auto one = std::make_unique<context>();
    one->calls = &calls;
    const std::uint32_t handle = budget::register_shrinker(of, 0, shrink, one.get());
    const std::uint64_t before = calls;
    while (calls < before + 3) std::this_thread::yield();
    budget::unregister_shrinker(handle);
    one->alive = false;
  }
  done = true;
  for (std::thread& one : askers) one.join();
  EXPECT_FALSE(late);
  EXPECT_TRUE(budget::close(of));
}

}  // namespace
