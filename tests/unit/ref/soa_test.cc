// soa beside a std::vector of tuples: the same rows after the same operations.
#include <gtest/gtest.h>
#include <tenure/soa.hpp>

#include <map>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "../../support/dice.h"

namespace tenure {
namespace {

enum row_field { number, text, weight };
using table = soa<int, std::string, double>;
using row = std::tuple<int, std::string, double>;

void expect_same(table& ours, const std::vector<row>& theirs) {
  ASSERT_EQ(ours.size(), theirs.size());
  std::size_t at = 0;
  for (auto [n, t, w] : ours) {
    ASSERT_EQ(std::tie(n, t, w), theirs[at]);
    ASSERT_EQ(&n, &ours.field<number>()[at]);
    ASSERT_EQ(&t, &std::get<text>(ours[at]));
    ++at;
  }
  ASSERT_EQ(at, theirs.size());
  const table& constant = ours;
  if (!theirs.empty()) {
    ASSERT_EQ(constant.field<weight>().back(), std::get<weight>(theirs.back()));
    ASSERT_EQ(constant.end() - constant.begin(), static_cast<std::ptrdiff_t>(theirs.size()));
    ASSERT_EQ(*(constant.begin() + (constant.end() - constant.begin()) - 1), theirs.back());
  }
}

TEST(Soa, AgreesWithAVectorOfTuples) {
  test::dice random(6);
  table ours;
  std::vector<row> theirs;
  for (int step = 0; step < 6000; ++step) {
    const std::uint32_t count = static_cast<std::uint32_t>(theirs.size());
    switch (random.below(10)) {
      case 0:
        if (count == 0) break;
        ours.pop_back();
        theirs.pop_back();
        break;
      case 1: {
        if (count == 0) break;
        const std::uint32_t gone = random.below(count);
        ours.erase_unordered(gone);
        theirs[gone] = theirs.back();
        theirs.pop_back();
        break;
      }
      case 2: {
        if (count == 0) break;
        const std::uint32_t a = random.below(count);
        const std::uint32_t b = random.below(count);
        ours.swap_rows(a, b);
        std::swap(theirs[a], theirs[b]);
        break;
      }
      case 3: {
        // A copy and back, and a move.
        table copy(ours);
        expect_same(ours, theirs);
        ours = std::move(copy);
        copy = ours;
        table moved(std::move(copy));
        ours = moved;
        break;
      }
      case 4:
        if (!random.one_in(20)) break;
        ours.resize(count / 2 + random.below(100));
        theirs.resize(ours.size());
        break;
      case 5:
        if (random.one_in(10)) ours.shrink_to_fit();
        break;
      default: {
        const row fresh(step, "row number " + std::to_string(step), step / 2.0);
        ours.push_back(step, std::get<text>(fresh), step / 2.0);
        theirs.push_back(fresh);
      }
    }
    if (step % 50 == 0) expect_same(ours, theirs);
    if (HasFatalFailure()) return;
  }
  ours.clear();
  theirs.clear();
  expect_same(ours, theirs);
  EXPECT_THROW(ours.at(0), std::out_of_range);
}

TEST(Soa, RowsMayBeMadeOfRowsThatAreThere) {
  table ours;
  ours.push_back(1, "a text that is too long for the string itself", 2.0);
  for (int i = 0; i < 1000; ++i) {
    ours.push_back(ours.field<number>()[0], ours.field<text>()[0], ours.field<weight>()[0]);
  }
  for (const std::string& one : ours.field<text>()) ASSERT_EQ(one, ours.field<text>()[0]);
}

// Every block with its size and alignment.
struct strict_resource final : std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    live[memory] = {bytes, alignment};
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    EXPECT_EQ(live.at(memory), std::pair(bytes, alignment));
    live.erase(memory);
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
  std::map<void*, std::pair<std::size_t, std::size_t>> live;
};

TEST(Soa, LiesInOneAlignedBlockOfItsResource) {
  const std::pmr::string long_text(100, 'y');
  strict_resource memory;
  strict_resource other;
  {
    soa<char, double, std::pmr::string> ours(&memory);
    for (int i = 0; i < 100; ++i) ours.push_back('x', i, "short");
    EXPECT_EQ(memory.live.size(), 1u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ours.field<0>().data()) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ours.field<1>().data()) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ours.field<2>().data()) % 64, 0u);
    ours.push_back('y', 1, std::string_view(long_text));
    EXPECT_EQ(memory.live.size(), 2u) << "the text lies in the same resource";
    soa<char, double, std::pmr::string> elsewhere(&other);
    elsewhere.push_back('z', 0, "z");
    elsewhere = std::move(ours);
    EXPECT_EQ(elsewhere.size(), 101u);
    EXPECT_EQ(std::get<2>(elsewhere.back()), long_text);
    EXPECT_EQ(other.live.size(), 2u);
  }
  EXPECT_TRUE(memory.live.empty());
  EXPECT_TRUE(other.live.empty());
}

struct fourth_fails {
  fourth_fails() {
    if (alive == 3) throw std::runtime_error("no");
    ++alive;
  }
  fourth_fails(fourth_fails&&) noexcept { ++alive; }
  fourth_fails& operator=(fourth_fails&&) = default;
  ~fourth_fails() { --alive; }
  inline static int alive = 0;
};

TEST(Soa, AResizeThatThrowsMakesNoRows) {
  {
    soa<int, fourth_fails> ours;
    ours.resize(2);
    EXPECT_THROW(ours.resize(6), std::runtime_error);
    EXPECT_EQ(ours.size(), 2u);
    EXPECT_EQ(fourth_fails::alive, 2);
  }
  EXPECT_EQ(fourth_fails::alive, 0);
}

struct moody {
  explicit moody(int of) : value(of) {
    if (of < 0) throw std::runtime_error("no");
    ++alive;
  }
  moody(const moody& other) : moody(other.value) {}
  moody(moody&& other) noexcept : value(other.value) { ++alive; }
  moody& operator=(const moody&) = default;
  ~moody() { --alive; }
  int value;
  inline static int alive = 0;
};

TEST(Soa, ARowThatThrowsLeavesNothingBehind) {
  {
    soa<moody, moody> ours;
    for (int i = 0; i < 100; ++i) {
      EXPECT_THROW(ours.push_back(1, -1), std::runtime_error);
      ASSERT_EQ(moody::alive, 2 * i);
      ours.push_back(i, i);
      ASSERT_EQ(ours.field<1>()[static_cast<std::size_t>(i)].value, i);
    }
    ours.field<1>()[50].value = -1;
    using rows = soa<moody, moody>;
    EXPECT_THROW(rows copy(ours), std::runtime_error);
    EXPECT_EQ(moody::alive, 200);
  }
  EXPECT_EQ(moody::alive, 0);
  EXPECT_THROW(table().reserve(table::max_size() + 1), std::length_error);
}

}  // namespace
}  // namespace tenure
