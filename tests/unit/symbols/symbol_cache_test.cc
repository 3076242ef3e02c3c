#include "instruments/symbols/symbol_cache.h"

#include <gtest/gtest.h>

#include <chrono>

#include "../../support/shell.h"

namespace tenure::symbols {
namespace {

using testing::temporary_folder;

symbol_cache::table table_of(std::size_t entries, const std::string& name) {
  symbol_cache::table result;
  for (std::size_t i = 0; i < entries; ++i) {
    frame one;
    one.function = name + std::to_string(i);
    one.file = "file.cc";
    one.line = static_cast<std::uint32_t>(i);
    one.is_named = true;
    result[i * 7] = {one};
  }
  return result;
}

std::uint64_t folder_bytes(const std::filesystem::path& folder) {
  std::uint64_t total = 0;
  for (const auto& found : std::filesystem::directory_iterator(folder)) total += found.file_size();
  return total;
}

TEST(SymbolCache, KeepsTheFolderBelowItsLimit) {
  const temporary_folder folder;
  constexpr std::uint64_t limit_bytes = 100'000;
  const auto then = std::filesystem::file_time_type::clock::now() - std::chrono::hours(10);
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "abcdef" + std::to_string(1000 + i);
    ASSERT_TRUE(symbol_cache::save(folder.path(), id, 1, table_of(300, "function"), limit_bytes));
    std::filesystem::last_write_time(folder / (id + ".symbols"), then + std::chrono::minutes(i));
    EXPECT_LE(folder_bytes(folder.path()), limit_bytes);
    ids.push_back(id);
    // One that is used again and again stays, however old it is.
    symbol_cache::touch(folder.path(), ids.front());
  }
  EXPECT_TRUE(symbol_cache::load(folder.path(), ids.front(), 1));
  EXPECT_TRUE(symbol_cache::load(folder.path(), ids.back(), 1));
  EXPECT_FALSE(symbol_cache::load(folder.path(), ids[1], 1));
}

TEST(SymbolCache, DoesNotKeepATableGreaterThanTheLimit) {
  const temporary_folder folder;
  EXPECT_FALSE(symbol_cache::save(folder.path(), "abcdef12", 1, table_of(3000, "function"), 10'000));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SymbolCache, LeavesNoTemporaryFileBehind) {
  const temporary_folder folder;
  testing::write_file(folder / "abcdef12.symbols.1.temporary", "left by a writer that died");
  std::filesystem::last_write_time(folder / "abcdef12.symbols.1.temporary",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_TRUE(symbol_cache::save(folder.path(), "abcdef12", 1, table_of(3, "f"), 1 << 20));
  std::vector<std::string> names;
  for (const auto& found : std::filesystem::directory_iterator(folder.path())) {
    names.push_back(found.path().filename().string());
  }
  EXPECT_EQ(names, std::vector<std::string>{"abcdef12.symbols"});
}

TEST(SymbolCache, TakesNothingButABuildIdForAFileName) {
  const temporary_folder folder;
  for (const std::string id : {"", "../../../tmp/x", "abcdef/12345678", "ABCDEF12", "abc"}) {
    EXPECT_FALSE(symbol_cache::save(folder.path(), id, 1, table_of(3, "f"), 1 << 20)) << id;
    EXPECT_FALSE(symbol_cache::load(folder.path(), id, 1));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SymbolCache, IsAbsentWhereItCannotBeWritten) {
  EXPECT_FALSE(symbol_cache::save("/proc/nowhere", "abcdef12", 1, table_of(3, "f"), 1 << 20));
  EXPECT_FALSE(symbol_cache::save("", "abcdef12", 1, table_of(3, "f"), 1 << 20));
}

TEST(SymbolCache, FollowsTheXdgRules) {
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_CACHE_HOME", "/elsewhere", 1);
  EXPECT_EQ(default_cache_folder(), "/elsewhere/tenure");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(default_cache_folder(), "/home/someone/.cache/tenure");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(default_cache_folder(), "/home/someone/.cache/tenure");
  unsetenv("HOME");
  EXPECT_EQ(default_cache_folder(), "");
}

}  // namespace
}  // namespace tenure::symbols
