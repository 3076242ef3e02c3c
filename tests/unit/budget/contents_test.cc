// Contents of accounts: samples that come and go, records that are taken anew, a full table.
#include "core/budget/contents.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

using namespace tenure;

namespace {

constexpr std::uint64_t here[] = {0x1000, 0x2000};

budget::content content_of(const std::string& type, const std::vector<std::uint64_t>& frames = {here, here + 2}) {
  return {type.data(), type.size(), frames.data(), static_cast<std::uint32_t>(frames.size())};
}

const wire::content_record& record(std::uint32_t number) { return budget::content_records()[number - 1]; }

class contents : public ::testing::Test {
 protected:
  ~contents() override {
    budget::check();
    EXPECT_TRUE(budget::close(heap_));
  }
  budget::account* heap_ = budget::open("documents", "managed heap", nullptr);
};

TEST_F(contents, add_up_by_type_and_stack) {
  const std::string page = "page", note = "note";
  const std::vector<std::uint64_t> there = {0x1000, 0x3000};
  const std::uint32_t first = budget::add_content(heap_, content_of(page), {100, 1500});
  EXPECT_EQ(budget::add_content(heap_, content_of(page), {50, 1000}), first);
  const std::uint32_t other = budget::add_content(heap_, content_of(page, there), {7, 1000});
  const std::uint32_t another = budget::add_content(heap_, content_of(note), {9, 1000});
  EXPECT_NE(other, first);
  EXPECT_NE(another, first);
  EXPECT_NE(another, other);
  EXPECT_EQ(record(first).bytes, 150u);
  EXPECT_EQ(record(first).object_thousandths, 2500u);
  EXPECT_EQ(record(first).samples, 2u);
  EXPECT_STREQ(record(first).type, "page");
  EXPECT_EQ(record(other).frame_count, 2u);
  EXPECT_EQ(record(other).frames[1], 0x3000u);
  EXPECT_STREQ(record(another).type, "note");
  budget::remove_content(first, {100, 1500});
  EXPECT_EQ(record(first).bytes, 50u);
  EXPECT_EQ(record(first).object_thousandths, 1000u);
  EXPECT_EQ(record(first).samples, 1u);
}

TEST_F(contents, of_two_accounts_are_apart) {
  budget::account* other = budget::open("other", "managed heap", nullptr);
  const std::string type = "page";
  const std::uint32_t one = budget::add_content(heap_, content_of(type), {1, 1000});
  const std::uint32_t two = budget::add_content(other, content_of(type), {2, 1000});
  EXPECT_NE(one, two);
  EXPECT_NE(record(one).account, record(two).account);
  EXPECT_TRUE(budget::close(other));
  EXPECT_EQ(record(two).samples, 0u) << "they go with the account";
  EXPECT_EQ(record(one).samples, 1u);
}

TEST_F(contents, are_cut_to_what_there_is_room_for) {
  const std::string type(500, 't');
  const std::vector<std::uint64_t> frames(40, 0x4000);
  const std::uint32_t made = budget::add_content(heap_, content_of(type, frames), {1, 1000});
  EXPECT_EQ(::strnlen(record(made).type, sizeof record(made).type), sizeof record(made).type);
  EXPECT_EQ(record(made).frame_count, wire::content_frames);
}

TEST_F(contents, that_are_gone_make_room) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < wire::content_capacity; ++i) {
    numbers.push_back(budget::add_content(heap_, content_of("t" + std::to_string(i)), {1, 1000}));
    ASSERT_NE(numbers.back(), 0u);
  }
  const std::uint32_t refused_before = budget::table_header().refused_contents;
  EXPECT_EQ(budget::add_content(heap_, content_of("late"), {1, 1000}), 0u);
  EXPECT_EQ(budget::table_header().refused_contents, refused_before + 1);
  budget::remove_content(numbers[70], {1, 1000});
  const std::uint32_t changes_before = record(numbers[70]).changes;
  EXPECT_EQ(budget::add_content(heap_, content_of("late"), {1, 1000}), numbers[70]);
  EXPECT_STREQ(record(numbers[70]).type, "late");
  EXPECT_EQ(record(numbers[70]).changes, changes_before + 2) << "a reader that was at it sees that";
}

TEST_F(contents, are_exact_with_many_threads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5000; ++i) {
        const std::uint32_t made = budget::add_content(heap_, content_of(i % 2 == 0 ? "a" : "b"), {10, 1000});
        if (i % 10 != t) budget::remove_content(made, {10, 1000});
      }
    });
  }
  for (std::thread& one : threads) one.join();
  std::uint64_t bytes = 0, samples = 0;
  for (std::uint32_t i = 1; i <= budget::table_header().content_count; ++i) {
    bytes += record(i).bytes;
    samples += record(i).samples;
  }
  EXPECT_EQ(samples, 4u * 500);
  EXPECT_EQ(bytes, 4u * 5000);
}

}  // namespace
