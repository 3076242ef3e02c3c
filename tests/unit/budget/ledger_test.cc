// Accounts as records: names, parents, closing, reopening, a full table.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/budget/charge.h"
#include "core/budget/ledger.h"

using namespace tenure;
using budget::account;

namespace {

TEST(ledger, opens_an_account_that_holds_nothing) {
  account* made = budget::open("sessions", "heap", nullptr);
  ASSERT_NE(made, nullptr);
  EXPECT_STREQ(made->name, "sessions");
  EXPECT_STREQ(made->kind, "heap");
  EXPECT_EQ(made->held_bytes, 0u);
  EXPECT_EQ(made->hard_limit_bytes, wire::no_limit);
  EXPECT_EQ(made->openings, 1u);
  EXPECT_TRUE(budget::is_open(made));
  EXPECT_EQ(budget::parent_of(made), nullptr);
  EXPECT_TRUE(budget::close(made));
  EXPECT_FALSE(budget::is_open(made));
  budget::check();
}

TEST(ledger, cuts_what_is_too_long) {
  const std::string name(200, 'n');
  const std::string kind(200, 'k');
  account* made = budget::open(name.c_str(), kind.c_str(), nullptr);
  EXPECT_EQ(std::string(made->name), std::string(sizeof made->name - 1, 'n'));
  EXPECT_EQ(std::string(made->kind), std::string(sizeof made->kind - 1, 'k'));
  EXPECT_TRUE(budget::close(made));
  account* again = budget::open(name.c_str(), kind.c_str(), nullptr);
  EXPECT_EQ(again, made);
  EXPECT_TRUE(budget::close(again));
}

TEST(ledger, keeps_peaks_of_a_name_that_opens_again) {
  account* first = budget::open("request", "arena", nullptr);
  ASSERT_TRUE(budget::charge(first, 5000, 2));
  EXPECT_TRUE(budget::close(first));
  EXPECT_EQ(first->held_bytes, 0u);
  account* second = budget::open("request", "arena", nullptr);
  EXPECT_EQ(second, first);
  EXPECT_EQ(second->openings, 2u);
  EXPECT_EQ(second->peak_held_bytes, 5000u);
  EXPECT_EQ(second->held_bytes, 0u);
  // Two at a time are two records.
  account* beside = budget::open("request", "arena", nullptr);
  EXPECT_NE(beside, second);
  EXPECT_TRUE(budget::close(second));
  EXPECT_TRUE(budget::close(beside));
  budget::check();
}

TEST(ledger, does_not_close_what_others_stand_below) {
  account* above = budget::open("server", "application", nullptr);
  account* below = budget::open("cache", "cache", above);
  EXPECT_EQ(budget::parent_of(below), above);
  EXPECT_TRUE(budget::is_at_or_below(below, above));
  EXPECT_FALSE(budget::is_at_or_below(above, below));
  EXPECT_FALSE(budget::close(above));
  EXPECT_TRUE(budget::is_open(above));
  ASSERT_TRUE(budget::charge(below, 700, 1));
  EXPECT_EQ(above->held_bytes, 700u);
  EXPECT_TRUE(budget::close(below));
  EXPECT_EQ(above->held_bytes, 0u);
  EXPECT_EQ(above->held_blocks, 0u);
  EXPECT_EQ(above->peak_held_bytes, 700u);
  budget::check();
  EXPECT_TRUE(budget::close(above));
}

TEST(ledger, knows_its_records_from_other_addresses) {
  account* made = budget::open("mine", "heap", nullptr);
  account elsewhere = *made;
  EXPECT_FALSE(budget::is_open(nullptr));
  EXPECT_FALSE(budget::is_open(&elsewhere));
  EXPECT_FALSE(budget::is_open(reinterpret_cast<account*>(reinterpret_cast<std::uintptr_t>(made) + 64)));
  EXPECT_FALSE(budget::is_open(made + wire::account_capacity));
  EXPECT_FALSE(budget::is_open(made - wire::account_capacity));
  EXPECT_TRUE(budget::close(made));
  EXPECT_DEATH(budget::close(made), "is_open");
  EXPECT_DEATH(budget::charge(made, 1, 0), "account_state::open");
}

TEST(ledger, refuses_when_every_record_is_open_and_counts_it) {
  std::vector<account*> all;
  while (account* made = budget::open(("n" + std::to_string(all.size())).c_str(), "heap", nullptr)) {
    all.push_back(made);
    ASSERT_LE(all.size(), wire::account_capacity);
  }
  // Records that earlier tests have closed were taken too, once none was unused.
  EXPECT_EQ(all.size(), wire::account_capacity);
  EXPECT_EQ(budget::refused_accounts(), 1u);
  budget::check();
  EXPECT_TRUE(budget::close(all[7]));
  account* other = budget::open("another", "pool", nullptr);
  EXPECT_EQ(other, all[7]);
  EXPECT_STREQ(other->name, "another");
  EXPECT_EQ(other->openings, 1u);
  all[7] = other;
  for (account* one : all) EXPECT_TRUE(budget::close(one));
  budget::check();
}

}  // namespace
