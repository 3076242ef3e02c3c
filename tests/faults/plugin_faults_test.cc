// A plugin that is loaded and unloaded many times: nothing of it stays in the heap.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "support/memory_probe.h"

namespace {

int load_use_unload(const char* path) {
  void* plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) return -1;
  auto* work = reinterpret_cast<int (*)(int)>(dlsym(plugin, "plugin_work"));
  auto* gift = reinterpret_cast<char* (*)()>(dlsym(plugin, "plugin_gift"));
  if (work == nullptr || gift == nullptr) return -2;
  const int answer = work(150);
  char* given = gift();
  if (dlclose(plugin) != 0) return -3;
  given[999] = 1;
  delete[] given;
  return answer;
}

TEST(a_plugin, can_be_loaded_and_unloaded_500_times_without_growth) {
  const char* path = std::getenv("TENURE_TEST_PLUGIN");
  ASSERT_NE(path, nullptr);
  for (int round = 0; round < 50; ++round) ASSERT_EQ(load_use_unload(path), 250);
  const std::size_t before = tenure::testing::resident_bytes();
  for (int round = 0; round < 450; ++round) ASSERT_EQ(load_use_unload(path), 250);
  EXPECT_LE(tenure::testing::resident_bytes(), before + 4 * 1024 * 1024);
}

TEST(a_plugin, can_be_loaded_and_unloaded_in_other_threads) {
  const char* path = std::getenv("TENURE_TEST_PLUGIN");
  ASSERT_NE(path, nullptr);
  for (int round = 0; round < 50; ++round) {
    int answers[2] = {};
    std::thread first([&] { answers[0] = load_use_unload(path); });
    std::thread second([&] { answers[1] = load_use_unload(path); });
    first.join();
    second.join();
    ASSERT_EQ(answers[0], 250);
    ASSERT_EQ(answers[1], 250);
  }
}

}  // namespace
