// Samples from the heap's side: what lives, what goes, who interrupts whom.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/telemetry/record.h"
#include "core/telemetry/telemetry.h"
#include "core/telemetry/telemetry_state.h"

using namespace tenure;

namespace {

void* block(std::size_t number) { return reinterpret_cast<void*>(0x10000000 + number * 48); }

std::map<std::uint64_t, telemetry::live_sample> live() {
  std::map<std::uint64_t, telemetry::live_sample> found;
  const std::size_t count = telemetry::visit_live_samples(
      [](void* context, const telemetry::live_sample& sample) {
        (*static_cast<std::map<std::uint64_t, telemetry::live_sample>*>(context))[sample.address] = sample;
      },
      &found);
  EXPECT_EQ(count, found.size());
  return found;
}

void record(void* at, std::size_t bytes) {
  telemetry::record_allocation(at, bytes, bytes + 8, 4096, wire::allocation_entry::operator_new);
}

class record_test : public ::testing::Test {
 protected:
  void SetUp() override { telemetry::start(); }
  void TearDown() override {
    for (const auto& [address, sample] : live()) telemetry::record_free(reinterpret_cast<void*>(address));
    EXPECT_TRUE(live().empty());
    telemetry::check_records();
  }
};

// Against a map, over enough samples for the table to grow and to be rebuilt for its marks.
TEST_F(record_test, live_samples_are_those_of_a_reference_map) {
  std::mt19937 random(17);
  std::map<std::uint64_t, std::size_t> model;
  for (int i = 0; i < 60000; ++i) {
    void* at = block(random() % 3000);
    const auto address = reinterpret_cast<std::uint64_t>(at);
    if (model.count(address) != 0) {
      ASSERT_TRUE(telemetry::record_free(at));
      model.erase(address);
    } else if (random() % 4 == 0) {
      ASSERT_FALSE(telemetry::record_free(at));
    } else {
      record(at, random() % 100000);
      model[address] = 0;
    }
    if (i % 20000 == 0) telemetry::check_records();
  }
  const auto found = live();
  ASSERT_EQ(found.size(), model.size());
  for (const auto& [address, unused] : model) ASSERT_EQ(found.count(address), 1u);
}

TEST_F(record_test, a_live_sample_is_told_with_all_that_is_known_of_it) {
  record(block(1), 1000);
  const auto found = live();
  ASSERT_EQ(found.size(), 1u);
  const telemetry::live_sample& sample = found.begin()->second;
  EXPECT_EQ(sample.requested_bytes, 1000u);
  EXPECT_EQ(sample.usable_bytes, 1008u);
  EXPECT_EQ(sample.interval_bytes, 4096u);
  EXPECT_EQ(sample.thread_id, static_cast<std::uint32_t>(gettid()));
  ASSERT_GT(sample.frame_count, 3u);
  Dl_info info{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(sample.frames[sample.frame_count - 1]), &info), 0);
  EXPECT_GT(telemetry::overhead_bytes(), 0u);
  EXPECT_GT(telemetry::overhead_ns(), 0u);
}

TEST_F(record_test, a_range_that_goes_takes_its_samples_and_no_others) {
  for (std::size_t i = 0; i < 100; ++i) record(block(i), 40);
  const auto begin = reinterpret_cast<std::uintptr_t>(block(20));
  telemetry::record_free_range(begin, reinterpret_cast<std::uintptr_t>(block(30)) - begin);
  const auto found = live();
  EXPECT_EQ(found.size(), 90u);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(found.count(reinterpret_cast<std::uint64_t>(block(i))), i >= 20 && i < 30 ? 0u : 1u);
  }
}

TEST_F(record_test, a_burst_leaves_no_table_for_what_is_gone) {
  for (std::size_t i = 0; i < 3000; ++i) record(block(i), 40);
  const std::uint64_t full_bytes = telemetry::overhead_bytes();
  for (std::size_t i = 10; i < 1500; ++i) telemetry::record_free(block(i));
  const auto begin = reinterpret_cast<std::uintptr_t>(block(1500));
  telemetry::record_free_range(begin, reinterpret_cast<std::uintptr_t>(block(3000)) - begin);
  EXPECT_LE(telemetry::overhead_bytes() + 3000 * sizeof(std::uint64_t[8]), full_bytes);
  telemetry::check_records();
  const auto found = live();
  ASSERT_EQ(found.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(found.count(reinterpret_cast<std::uint64_t>(block(i))), 1u);
}

TEST_F(record_test, survives_a_kernel_that_gives_no_memory) {
  os::fail_from_nth_call(1);
  for (std::size_t i = 0; i < 5000; ++i) record(block(i), 10);
  os::fail_from_nth_call(0);
  telemetry::check_records();
  for (std::size_t i = 0; i < 5000; ++i) telemetry::record_free(block(i));
  record(block(1), 10);
  EXPECT_EQ(live().size(), 1u);
}

TEST_F(record_test, threads_record_at_once) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([t] {
      for (std::size_t i = 0; i < 4000; ++i) {
        record(block(t * 10000 + i), i);
        if (i % 2 == 0) telemetry::record_free(block(t * 10000 + i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(live().size(), 6000u);
}

std::atomic<std::uint64_t> interruptions;

// A handler that allocates and frees, while the thread it interrupts records: neither waits for the other, and what the
// handler frees is gone in the end.
TEST_F(record_test, a_signal_handler_may_interrupt_and_record) {
  struct sigaction action {};
  action.sa_handler = [](int) {
    void* at = block(900000 + interruptions++ % 16);
    record(at, 10);
    telemetry::record_free(at);
  };
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(sigaction(SIGUSR2, &action, nullptr), 0);
  std::atomic<bool> stop{false};
  const pthread_t target = pthread_self();
  std::thread sender([&] {
    while (!stop) {
      pthread_kill(target, SIGUSR2);
      std::this_thread::yield();
    }
  });
  for (std::size_t i = 0; i < 20000 || interruptions < 300; ++i) {
    record(block(i % 100), 10);
    telemetry::record_free(block(i % 100));
  }
  stop = true;
  sender.join();
  signal(SIGUSR2, SIG_IGN);
  telemetry::settle_records();
  EXPECT_EQ(live().size(), 0u);
}

}  // namespace
