// Borrow-checked handles: what the rules allow, beside a model of them; what they forbid ends with both places named.
#include <gtest/gtest.h>
#include <tenure/tenure.h>
#include <tenure/owned.hpp>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../support/dice.h"

namespace tenure {
namespace {

using numbers = std::vector<int>;

TEST(Owned, LendsToManyReadersOrOneWriter) {
  owned<numbers> list(numbers{1, 2, 3});
  {
    const auto one = list.borrow();
    const auto two = list.borrow();
    EXPECT_EQ(one->size(), 3u);
    EXPECT_EQ(&*one, &*two);
    EXPECT_FALSE(list.try_borrow_mut());
    EXPECT_TRUE(list.is_borrowed());
  }
  {
    auto writer = list.borrow_mut();
    writer->push_back(4);
    EXPECT_FALSE(list.try_borrow());
    EXPECT_FALSE(list.try_borrow_mut());
  }
  EXPECT_FALSE(list.is_borrowed());
  owned<numbers> moved(std::move(list));
  EXPECT_EQ(moved.borrow()->back(), 4);
  list = std::move(moved);
  EXPECT_EQ(std::move(list).take().size(), 4u);
}

// Borrows are made, copied, moved about and ended in any order; the model is the number of readers.
TEST(Owned, AgreesWithACount) {
  owned<std::string> text(std::string("text"));
  std::list<borrow<std::string>> readers;
  std::list<borrow_mut<std::string>> writers;
  test::dice random(2);
  const auto any = [&] {
    return std::next(readers.begin(),
                     static_cast<std::ptrdiff_t>(random.below(static_cast<std::uint32_t>(readers.size()))));
  };
  for (int i = 0; i < 20'000; ++i) {
    switch (random.below(6)) {
      case 0: {
        auto one = text.try_borrow();
        ASSERT_EQ(one.has_value(), writers.empty());
        if (one) readers.push_back(std::move(*one));
        break;
      }
      case 1: {
        auto one = text.try_borrow_mut();
        ASSERT_EQ(one.has_value(), writers.empty() && readers.empty());
        if (one) writers.push_back(std::move(*one));
        break;
      }
      case 2:
        if (!readers.empty()) readers.push_back(*any());
        break;
      case 3:
        if (readers.size() > 1) *any() = *any();
        break;
      case 4:
        if (!writers.empty()) writers.front() = borrow_mut<std::string>(std::move(writers.front()));
        writers.clear();
        break;
      default:
        for (int n = 0; n < 3 && !readers.empty(); ++n) readers.erase(any());
    }
    ASSERT_EQ(text.is_borrowed(), !readers.empty() || !writers.empty());
    for (const auto& one : readers) ASSERT_EQ(*one, "text");
  }
  readers.clear();
  writers.clear();
}

TEST(OwnedDeath, NamesBothPlaces) {
  owned<int> value(1);
  EXPECT_DEATH(
      {
        const auto reader = value.borrow();
        value.borrow_mut();
      },
      "mutable borrow of a value that is borrowed: 0x.*a value of 4 "
      "bytes(.|\n)*owned\n.*owned_test.cc:(.|\n)*borrowed mutably here\n"
      ".*owned_test.cc:[0-9]+ in (.|\n)*borrowed\n.*owned_test.cc:[0-9]+ in ");
  EXPECT_DEATH(
      {
        auto writer = value.borrow_mut();
        value.borrow();
      },
      "borrow of a value that is mutably borrowed(.|\n)*borrowed here\n.*owned_test.cc(.|\n)*borrowed "
      "mutably\n.*owned_");
  EXPECT_DEATH(
      {
        const auto reader = value.borrow();
        owned<int> thief(std::move(value));
      },
      "owner moved while its value is borrowed(.|\n)*here\n.*owned_test.cc(.|\n)*borrowed\n.*owned_test.cc");
  EXPECT_DEATH(
      {
        const auto reader = value.borrow();
        std::move(value).take();
      },
      "value taken while it is borrowed");
}

// A function's name may be as long as the message.
template <class... Types>
void borrow_in_a_long_name(owned<int>& value) {
  std::list<borrow<int>> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(value.borrow());
  value.borrow_mut();
}

TEST(OwnedDeath, ThePlaceOfTheMisuseIsNotCut) {
  using text = std::map<std::string, std::vector<std::pair<std::string, std::string>>>;
  owned<int> value(1);
  EXPECT_DEATH((borrow_in_a_long_name<text, text, text>(value)), "borrowed mutably here\n.*owned_test.cc");
}

TEST(OwnedDeath, AnOwnerThatEndsOrIsAssignedIsFoundOut) {
  EXPECT_DEATH(
      {
        auto value = std::make_unique<owned<int>>(1);
        const auto reader = value->borrow();
        value.reset();
      },
      "owner ended while its value is borrowed(.|\n)*here\n *at 0x(.|\n)*borrowed\n.*owned_test.cc");
  EXPECT_DEATH(
      {
        owned<int> value(1);
        const auto reader = value.borrow();
        value = owned<int>(2);
      },
      "owner assigned while its value is borrowed");
  EXPECT_DEATH(
      {
        owned<int> value(1);
        auto reader = value.borrow();
        const borrow<int> taken = std::move(reader);
        *reader;  // NOLINT(bugprone-use-after-move)
      },
      "use of a borrow that was moved from(.|\n)*borrowed\n.*owned_test.cc");
}

TEST(OwnedDeath, WithoutAnAbortTheMessageIsAll) {
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
  EXPECT_EXIT(
      {
        auto value = std::make_unique<owned<int>>(1);
        const auto reader = value->borrow();
        value->borrow_mut();
        value.reset();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "mutable borrow of(.|\n)*owner ended while");
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
}

}  // namespace
}  // namespace tenure
