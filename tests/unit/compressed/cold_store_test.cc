// The store of compressed pages against a map of what was put into it.
#include "library/compressed/cold_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace tenure::resources {
namespace {

TEST(ColdStore, KeepsEachPieceApart) {
  struct entry {
    cold_store::piece piece;
    std::string content;
  };
  cold_store store(std::size_t{64} << 20);
  std::mt19937_64 dice(3);
  std::vector<entry> all;
  for (int step = 0; step < 40'000; ++step) {
    if (all.size() < 200 || (all.size() < 6000 && dice() % 5 < 3)) {
      entry made{{}, std::string(1 + dice() % 3072, static_cast<char>(dice()))};
      ASSERT_TRUE(store.add(made.content.data(), made.content.size(), made.piece));
      all.push_back(std::move(made));
    } else {
      std::swap(all[dice() % all.size()], all.back());
      const entry& one = all.back();
      ASSERT_EQ(one.piece.bytes, one.content.size());
      ASSERT_EQ(std::memcmp(store.content(one.piece), one.content.data(), one.content.size()), 0);
      store.remove(one.piece);
      all.pop_back();
    }
    if (step % 5000 == 0) {
      ASSERT_TRUE(store.is_sound());
    }
  }
  std::size_t sum = 0;
  for (const entry& one : all) sum += one.content.size();
  EXPECT_GE(store.taken_bytes(), sum);
  for (const entry& one : all) {
    ASSERT_EQ(std::memcmp(store.content(one.piece), one.content.data(), one.content.size()), 0);
    store.remove(one.piece);
  }
  EXPECT_EQ(store.taken_bytes(), 0u);
  EXPECT_TRUE(store.is_sound());
}

TEST(ColdStore, IsFullAtItsEnd) {
  cold_store store(0);  // what is left alone may take
  const std::string content(2000, 'x');
  std::vector<cold_store::piece> all;
  cold_store::piece made{};
  while (store.add(content.data(), content.size(), made)) all.push_back(made);
  EXPECT_GT(all.size(), 1000u);
  EXPECT_TRUE(store.is_sound());
  store.remove(all.back());
  EXPECT_TRUE(store.add(content.data(), content.size(), made));
  EXPECT_FALSE(store.add(content.data(), 0, made));
  EXPECT_FALSE(store.add(content.data(), cold_store::bin_bytes, made));
}

}  // namespace
}  // namespace tenure::resources
