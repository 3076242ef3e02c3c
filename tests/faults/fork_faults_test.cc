// fork, vfork and exec in a program whose other threads are inside the heap at that moment.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <tenure/tenure.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;

// Allocates and frees blocks of all sizes and checks their content. False when a block changed.
bool churn(std::uint64_t seed, int operations) {
  std::mt19937_64 random(seed);
  struct block {
    void* place;
    std::size_t size;
  };
  std::vector<block> blocks(64, block{nullptr, 0});
  for (int count = 0; count < operations; ++count) {
    block& slot = blocks[random() % blocks.size()];
    if (slot.place != nullptr && !has_pattern(slot.place, slot.size, seed)) return false;
    std::free(slot.place);
    slot.size = random() % (random() % 50 == 0 ? 400000 : 2000);
    slot.place = std::malloc(slot.size);
    if (slot.place == nullptr) return false;
    fill_pattern(slot.place, slot.size, seed);
  }
  for (const block& slot : blocks) std::free(slot.place);
  return true;
}

class load {
 public:
  explicit load(int threads) {
    for (int index = 0; index < threads; ++index) {
      threads_.emplace_back([this, index] {
        for (std::uint64_t round = 0; !stop_; ++round) {
          if (!churn(static_cast<std::uint64_t>(index) * 1000003 + round, 200)) broken_ = true;
        }
      });
    }
  }
  ~load() { finish(); }
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  // True when no thread saw a changed block.
  bool finish() {
    stop_ = true;
    for (std::thread& each : threads_) {
      if (each.joinable()) each.join();
    }
    return !broken_;
  }

 private:
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> broken_{false};
};

// Waits for the child; 0 when it ended well. A child that hangs is ended by the alarm it set itself.
int outcome(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

[[noreturn]] void live_as_child(int generation, std::uint64_t seed) {
  alarm(30);
  if (!churn(seed, 400)) _exit(2);
  bool fine = true;
  std::thread([&] { fine = churn(seed + 1, 100); }).join();
  if (!fine) _exit(3);
  if (generation < 3 && seed % 10 == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) live_as_child(generation + 1, seed);
    if (outcome(grandchild) != 0) _exit(4);
  }
  _exit(0);
}

TEST(fork_under_load, lets_both_sides_go_on_200_times) {
  load others(4);
  for (int round = 0; round < 200; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) live_as_child(1, static_cast<std::uint64_t>(round));
    ASSERT_TRUE(churn(static_cast<std::uint64_t>(round), 50));
    ASSERT_EQ(outcome(child), 0) << "round " << round;
  }
  EXPECT_TRUE(others.finish());
}

TEST(fork_under_load, works_from_several_threads_at_once) {
  load others(2);
  std::atomic<int> failures{0};
  std::vector<std::thread> forkers;
  for (int index = 0; index < 3; ++index) {
    forkers.emplace_back([&, index] {
      for (int round = 0; round < 20; ++round) {
        const pid_t child = fork();
        if (child == 0) live_as_child(3, static_cast<std::uint64_t>(index * 100 + round));
        if (outcome(child) != 0) ++failures;
      }
    });
  }
  for (std::thread& each : forkers) each.join();
  EXPECT_EQ(failures, 0);
  EXPECT_TRUE(others.finish());
}

TEST(fork_under_load, lets_the_child_free_what_other_threads_of_the_parent_allocated) {
  std::vector<void*> blocks(5000);
  std::thread([&] {
    for (std::size_t index = 0; index < blocks.size(); ++index) blocks[index] = std::malloc(index * 7 % 9000);
  }).join();
  load others(2);
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);
      for (void* block : blocks) std::free(block);
      _exit(churn(1, 500) ? 0 : 2);
    }
    ASSERT_EQ(outcome(child), 0);
  }
  for (void* block : blocks) std::free(block);
}

// What asks the heap, by its name; of Tenure's own interface as a program finds it that may run without Tenure.
template <class Function>
Function found(const char* name) {
  const auto function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  EXPECT_NE(function, nullptr) << name;
  return function;
}

std::uint64_t shrink_nothing(void*, const tenure_pressure*) { return 0; }

TEST(fork_under_load, lets_the_child_ask_what_another_thread_was_asking) {
  const auto as_json = found<decltype(&tenure_statistics_json)>("tenure_statistics_json");
  const auto as_figures = found<decltype(&tenure_statistics_get)>("tenure_statistics_get");
  const auto register_shrinker = found<decltype(&tenure_shrinker_register)>("tenure_shrinker_register");
  const auto unregister_shrinker = found<decltype(&tenure_shrinker_unregister)>("tenure_shrinker_unregister");
  ASSERT_FALSE(HasFailure());
  const std::function<void()> questions[] = {
      [] { static_cast<void>(mallinfo2()); },
      [&] {
        char text[64];
        as_json(text, sizeof text);
      },
      [&] {
        auto figures = std::make_unique<tenure_statistics>();
        figures->struct_size = sizeof *figures;
        as_figures(figures.get());
      },
      [&] { unregister_shrinker(register_shrinker(nullptr, 0, shrink_nothing, nullptr)); },
  };
  for (const std::function<void()>& ask : questions) {
    std::atomic<bool> stop{false};
    std::thread other([&] {
      while (!stop) ask();
    });
    int failed = 0;
    for (int round = 0; round < 40 && failed == 0; ++round) {
      const pid_t child = fork();
      if (child == 0) {
        alarm(10);
        ask();
        _exit(0);
      }
      failed = outcome(child);
    }
    stop = true;
    other.join();
    EXPECT_EQ(failed, 0) << "question " << &ask - questions;
  }
}

std::vector<std::string>* kept_by_handlers = nullptr;
std::atomic<int> handler_calls{0};
void allocating_handler() {
  ++handler_calls;
  std::free(std::malloc(100000));
  kept_by_handlers->emplace_back(500, 'h');
}

TEST(atfork_handlers, may_allocate_before_and_after_on_both_sides) {
  kept_by_handlers = new std::vector<std::string>();
  ASSERT_EQ(pthread_atfork(allocating_handler, allocating_handler, allocating_handler), 0);
  load others(3);
  for (int round = 0; round < 50; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);
      _exit(churn(9, 200) ? 0 : 2);
    }
    ASSERT_EQ(outcome(child), 0);
  }
  EXPECT_TRUE(others.finish());
  EXPECT_EQ(handler_calls, 100);
}

TEST(spawned_programs, start_while_other_threads_allocate) {
  load others(3);
  for (int round = 0; round < 50; ++round) {
    const pid_t by_vfork = vfork();
    if (by_vfork == 0) {
      execl("/bin/true", "true", static_cast<char*>(nullptr));
      _exit(9);
    }
    ASSERT_EQ(outcome(by_vfork), 0);
    char name[] = "true";
    char* arguments[] = {name, nullptr};
    pid_t spawned = -1;
    ASSERT_EQ(posix_spawn(&spawned, "/bin/true", nullptr, nullptr, arguments, environ), 0);
    ASSERT_EQ(outcome(spawned), 0);
  }
  EXPECT_TRUE(others.finish());
}

TEST(a_fork_server, does_not_grow_from_generation_to_generation) {
  // Each child forks the next one and ends: what a child inherits and cannot use would pile up.
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  const std::size_t first = tenure::testing::resident_bytes();
  const pid_t child = fork();
  if (child == 0) {
    for (int generation = 0; generation < 40; ++generation) {
      alarm(30);
      if (!churn(static_cast<std::uint64_t>(generation), 300)) _exit(2);
      std::thread([&] { churn(7, 300); }).join();
      const pid_t next = fork();
      if (next != 0) _exit(outcome(next));
    }
    const std::size_t last = tenure::testing::resident_bytes();
    _exit(write(report[1], &last, sizeof last) == sizeof last ? 0 : 3);
  }
  ASSERT_EQ(outcome(child), 0);
  std::size_t last = 0;
  ASSERT_EQ(read(report[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
  EXPECT_LE(last, first + 16 * 1024 * 1024);
  close(report[0]);
  close(report[1]);
}

}  // namespace
