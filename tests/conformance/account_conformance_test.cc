// Accounts and shrinkers as include/tenure/tenure.h and account.hpp promise them.
#include <gtest/gtest.h>
#include <tenure/account.hpp>
#include <tenure/heap.hpp>

#include <memory_resource>
#include <string>
#include <vector>

namespace {

TEST(account, holds_what_is_charged_to_it_and_below) {
  tenure::account server("server", "application");
  {
    tenure::account images("images", "cache", &server);
    ASSERT_TRUE(images.is_counted());
    tenure::charge held(images, 1000);
    const tenure::charge moved(std::move(held));
    EXPECT_EQ(images.statistics().held_bytes, 1000u);
    EXPECT_EQ(server.statistics().held_bytes, 1000u);
    EXPECT_EQ(server.statistics().held_blocks, 1u);
    EXPECT_EQ(images.statistics().parent, server.handle());
    EXPECT_STREQ(images.statistics().kind, "cache");
  }
  EXPECT_EQ(server.statistics().held_bytes, 0u);
  EXPECT_EQ(server.statistics().peak_held_bytes, 1000u);
}

TEST(account, refuses_beyond_its_hard_limit_after_it_has_asked) {
  tenure::account one("bounded", "cache");
  one.set_limits({.hard_bytes = 100});
  std::uint64_t asked = 0;
  {
    tenure::shrinker never(one, 0, [&](const tenure_pressure& why) -> std::uint64_t {
      EXPECT_EQ(why.level, TENURE_PRESSURE_HARD_LIMIT);
      EXPECT_EQ(why.origin, one.handle());
      asked += why.wanted_bytes;
      return 0;
    });
    EXPECT_TRUE(one.try_charge(80));
    EXPECT_THROW(tenure::charge(one, 50), std::bad_alloc);
    EXPECT_EQ(asked, 30u);
    EXPECT_EQ(tenure_account_destroy(one.handle()), 0) << "a shrinker is registered";
  }
  EXPECT_FALSE(one.try_charge(50));
  EXPECT_EQ(asked, 30u) << "the shrinker is gone";
  EXPECT_EQ(one.statistics().refusals, 2u);
  one.release(80);
}

TEST(account, is_visited_while_it_is_open) {
  struct seen {
    std::vector<std::string> names;
    static int visit(void* context, tenure_account*, const tenure_account_stats* statistics) {
      static_cast<seen*>(context)->names.emplace_back(statistics->name);
      return static_cast<seen*>(context)->names.size() < 2 ? 1 : 0;
    }
  };
  tenure::account first("first"), second("second"), third("third");
  seen all;
  tenure_account_visit(seen::visit, &all);
  EXPECT_EQ(all.names, (std::vector<std::string>{"first", "second"}));
}

TEST(account, takes_null_for_an_account_that_is_not_counted) {
  EXPECT_EQ(tenure_account_charge(nullptr, 10, 1), 1);
  tenure_account_release(nullptr, 10, 1);
  EXPECT_EQ(tenure_account_publish_use(nullptr), nullptr);
  EXPECT_EQ(tenure_account_destroy(nullptr), 1);
  tenure_account_stats figures{};
  EXPECT_EQ(tenure_account_statistics(nullptr, &figures), 0);
}

TEST(account, bounds_a_first_class_heap) {
  tenure_heap* heap = tenure_heap_create("bounded heap");
  tenure_account* account = tenure_heap_account(heap);
  tenure_account_set_limits(account, TENURE_NO_LIMIT, 1 << 20);
  std::uint64_t bytes = 0;
  while (tenure_heap_allocate(heap, 1000, 8) != nullptr) bytes += 1000;
  EXPECT_LE(bytes, 1u << 20);
  EXPECT_GT(bytes, 900'000u);
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(account, &figures), 1);
  EXPECT_GE(figures.used_bytes, bytes);
  EXPECT_LE(figures.peak_held_bytes, 1u << 20);
  EXPECT_EQ(figures.used_blocks, bytes / 1000);
  tenure_heap_destroy(heap);
}

[[gnu::noinline]] std::uint32_t outer(std::uint64_t* frames, std::uint32_t capacity) {
  const std::uint32_t count = tenure_stack_capture(frames, capacity);
  asm volatile("" ::: "memory");  // a call in this place, and no jump
  return count;
}

TEST(stack, begins_with_the_caller) {
  std::uint64_t frames[16] = {};
  ASSERT_GE(outer(frames, 16), 3u);
  // The first lies in the function that asked.
  const auto begin = reinterpret_cast<std::uint64_t>(&outer);
  EXPECT_GT(frames[0], begin);
  EXPECT_LT(frames[0], begin + 200);
  EXPECT_EQ(outer(frames, 1), 1u);
}

TEST(pressure, asks_everybody_when_the_process_is_short) {
  tenure::account one("some", "cache");
  int calls = 0;
  tenure::shrinker give(one, 0, [&](const tenure_pressure& why) -> std::uint64_t {
    ++calls;
    EXPECT_EQ(why.level, TENURE_PRESSURE_PROCESS);
    EXPECT_EQ(why.origin, nullptr);
    return why.wanted_bytes / 2;
  });
  EXPECT_EQ(tenure_relieve_pressure(1000), 500u);
  EXPECT_EQ(calls, 1);
}

}  // namespace
