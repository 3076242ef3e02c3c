// Threads: the smallest stacks, destructors of thread-specific data, cancellation, storms.
#include <gtest/gtest.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace {

constexpr std::size_t mebibyte = 1024 * 1024;

class thread_attributes {
 public:
  explicit thread_attributes(std::size_t stack_bytes) {
    pthread_attr_init(&attributes_);
    pthread_attr_setstacksize(&attributes_, stack_bytes);
  }
  ~thread_attributes() { pthread_attr_destroy(&attributes_); }
  thread_attributes(const thread_attributes&) = delete;
  thread_attributes& operator=(const thread_attributes&) = delete;
  pthread_attr_t* get() { return &attributes_; }

 private:
  pthread_attr_t attributes_;
};

void* use_every_entry(void* result) {
  std::vector<void*> blocks;
  for (std::size_t size = 1; size < 3 * mebibyte; size += size / 3 + 1) {
    blocks.push_back(std::realloc(std::malloc(size), size + 50));
    blocks.push_back(std::calloc(1, size));
    blocks.push_back(std::aligned_alloc(256, size));
  }
  for (void* block : blocks) {
    if (block == nullptr) return nullptr;
    std::free(block);
  }
  return result;
}

TEST(the_smallest_stack, is_enough_for_every_entry_point) {
  thread_attributes attributes(static_cast<std::size_t>(PTHREAD_STACK_MIN));
  int token = 0;
  for (int count = 0; count < 200; ++count) {
    pthread_t thread{};
    ASSERT_EQ(pthread_create(&thread, attributes.get(), use_every_entry, &token), 0);
    void* result = nullptr;
    pthread_join(thread, &result);
    ASSERT_EQ(result, &token);
  }
}

pthread_key_t key;
std::atomic<int> destructors_run{0};
// Allocates, frees, and asks for another round: the C library calls it up to four times a thread, after the heap's own
// end-of-thread work may already have been done.
void allocating_destructor(void* value) {
  ++destructors_run;
  std::free(value);
  std::free(std::malloc(5000));
  std::string text(300, 'd');
  if (destructors_run % 4 != 0) pthread_setspecific(key, std::malloc(100));
}

struct local_with_memory {
  std::vector<std::string> strings = std::vector<std::string>(50, std::string(100, 'l'));
  ~local_with_memory() { strings.emplace_back(1000, 'x'); }
};

TEST(destructors_of_thread_data, may_allocate_and_free) {
  ASSERT_EQ(pthread_key_create(&key, allocating_destructor), 0);
  const auto round = [] {
    std::thread([] {
      pthread_setspecific(key, std::malloc(64));
      thread_local local_with_memory local;
      local.strings.resize(80);
    }).join();
  };
  for (int count = 0; count < 200; ++count) round();
  const std::size_t before = tenure::testing::resident_bytes();
  for (int count = 0; count < 3000; ++count) round();
  EXPECT_GE(destructors_run, 3200);
  EXPECT_LE(tenure::testing::resident_bytes(), before + 4 * mebibyte);
  pthread_key_delete(key);
}

TEST(blocks, outlive_the_threads_that_made_them) {
  std::vector<void*> blocks;
  for (int count = 0; count < 100; ++count) {
    std::thread([&] {
      for (std::size_t size = 1; size < 20000; size += 97) {
        blocks.push_back(std::malloc(size));
        tenure::testing::fill_pattern(blocks.back(), size, size);
      }
    }).join();
  }
  std::size_t index = 0;
  for (int count = 0; count < 100; ++count) {
    for (std::size_t size = 1; size < 20000; size += 97, ++index) {
      ASSERT_TRUE(tenure::testing::has_pattern(blocks[index], size, size));
    }
  }
  std::thread([&] {
    for (void* block : blocks) std::free(block);
  }).join();
}

void* allocate_for_ever(void*) {
  for (std::size_t size = 1;; size = size * 7 % 100003 + 1) {
    std::free(std::malloc(size));
    pthread_testcancel();
  }
}

void* print_for_ever(void*) {
  for (;;) {
    malloc_stats();
    char* text = nullptr;
    std::size_t bytes = 0;
    FILE* stream = open_memstream(&text, &bytes);
    if (stream != nullptr) {
      malloc_info(0, stream);
      std::fclose(stream);
    }
    std::free(text);
    pthread_testcancel();
  }
}

TEST(cancellation, of_a_thread_that_allocates_leaves_no_lock_behind) {
  for (int count = 0; count < 200; ++count) {
    pthread_t thread{};
    ASSERT_EQ(pthread_create(&thread, nullptr, allocate_for_ever, nullptr), 0);
    usleep(static_cast<useconds_t>(count % 10) * 100);
    pthread_cancel(thread);
    pthread_join(thread, nullptr);
    std::free(std::malloc(static_cast<std::size_t>(count) * 1000));
  }
}

// malloc_stats writes, and write() is where a thread may be cancelled: not while the heap is locked.
TEST(cancellation, of_a_thread_that_prints_statistics_leaves_no_lock_behind) {
  const int saved = dup(STDERR_FILENO);
  FILE* nowhere = std::fopen("/dev/null", "w");
  ASSERT_NE(nowhere, nullptr);
  dup2(fileno(nowhere), STDERR_FILENO);
  for (int count = 0; count < 50; ++count) {
    pthread_t thread{};
    ASSERT_EQ(pthread_create(&thread, nullptr, print_for_ever, nullptr), 0);
    usleep(static_cast<useconds_t>(count % 10) * 50);
    pthread_cancel(thread);
    pthread_join(thread, nullptr);
    std::free(std::malloc(100000));
    malloc_stats();
  }
  dup2(saved, STDERR_FILENO);
  close(saved);
  std::fclose(nowhere);
}

struct storm {
  sem_t arrived, go;
  std::atomic<int> failures{0};
};

void* live_briefly(void* shared) {
  auto* all = static_cast<storm*>(shared);
  void* blocks[40];
  for (std::size_t index = 0; index < 40; ++index) {
    blocks[index] = std::malloc(index * 50 + 8);
    if (blocks[index] == nullptr) {
      ++all->failures;
    } else {
      std::memset(blocks[index], 1, index * 50 + 8);
    }
  }
  sem_post(&all->arrived);
  sem_wait(&all->go);
  for (void* block : blocks) std::free(block);
  return nullptr;
}

void raise_storm(storm& all, int threads) {
  thread_attributes attributes(64 * 1024);
  std::vector<pthread_t> running(static_cast<std::size_t>(threads));
  for (pthread_t& each : running) ASSERT_EQ(pthread_create(&each, attributes.get(), live_briefly, &all), 0);
  for (int count = 0; count < threads; ++count) sem_wait(&all.arrived);
  for (int count = 0; count < threads; ++count) sem_post(&all.go);
  for (pthread_t each : running) pthread_join(each, nullptr);
}

TEST(a_thousand_threads, started_and_ended_twenty_times_do_not_grow_the_process) {
  storm all;
  sem_init(&all.arrived, 0, 0);
  sem_init(&all.go, 0, 0);
  for (int round = 0; round < 3; ++round) raise_storm(all, 1000);
  const std::size_t before = tenure::testing::resident_bytes();
  for (int round = 0; round < 17; ++round) raise_storm(all, 1000);
  EXPECT_EQ(all.failures, 0);
  EXPECT_LE(tenure::testing::resident_bytes(), before + before / 10 + 8 * mebibyte);
  sem_destroy(&all.arrived);
  sem_destroy(&all.go);
}

}  // namespace
