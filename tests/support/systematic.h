// Systematic tests: threads that run one at a time, handed the turn at each TENURE_YIELD_POINT() by a seed.
//
//   thread A  ──step──▶ yield ─┐            one holds the turn, the others wait;
//   thread B        ▲          ├─ the seed picks the next
//   thread C        └──────────┘
//
// The sources under test are compiled again, with TENURE_SYSTEMATIC, so that each place between two steps of their
// protocol is a place to stop. What a seed shows, the same seed shows again: a failure is replayed by its number.
// A thread may be killed at such a point: it never gets the turn again, like one whose process was ended there.
//
// The idea of running a concurrent protocol under a seeded scheduler is that of verona-rt's systematic tests.
#pragma once

#include <condition_variable>
#include <csetjmp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace tenure::testing {

class systematic {
 public:
  explicit systematic(std::uint64_t seed) : random_(seed) {}
  // Not by a seed: `order` is told how many steps each thread has made and says whose turn it is. Where that thread is
  // at its end, the first that is not goes on.
  using steps_of_threads = std::vector<std::uint64_t>;
  explicit systematic(std::function<std::size_t(const steps_of_threads&)> order) : order_(std::move(order)) {}

  // A thread of the test; starts with run().
  void add(std::function<void()> body) { bodies_.push_back(std::move(body)); }

  // The thread added as number `thread` stops for ever at its `at`-th yield, counted from 0. Its body must hold nothing
  // there that needs to be destroyed: it is left by longjmp.
  void kill(std::size_t thread, std::uint64_t at) {
    killed_thread_ = thread;
    killed_at_ = at;
  }

  // Runs all threads to their end (or their death). One systematic run at a time.
  void run() {
    current_ = this;
    states_.assign(bodies_.size(), state::waiting);
    steps_of_.assign(bodies_.size(), 0);
    turns_ = std::vector<std::condition_variable>(bodies_.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < bodies_.size(); ++i) threads.emplace_back([this, i] { live(i); });
    {
      std::lock_guard lock(mutex_);
      started_ = true;
      pick_next();
    }
    for (std::thread& thread : threads) thread.join();
    current_ = nullptr;
  }

  std::uint64_t steps() const { return steps_; }
  std::uint64_t steps_of(std::size_t thread) const { return steps_of_[thread]; }

  // From TENURE_YIELD_POINT(); does nothing in threads that are not the test's.
  static void yield() {
    if (current_ != nullptr && self_ != outside) current_->step();
  }

 private:
  enum class state { waiting, done };
  static constexpr std::size_t outside = ~std::size_t{0};

  void live(std::size_t number) {
    self_ = number;
    wait_for_turn();
    if (setjmp(grave_) == 0) bodies_[number]();
    std::lock_guard lock(mutex_);
    states_[number] = state::done;
    pick_next();
    self_ = outside;
  }

  void wait_for_turn() {
    std::unique_lock lock(mutex_);
    turns_[self_].wait(lock, [this] { return started_ && turn_ == self_; });
  }

  void step() {
    if (hand_over()) std::longjmp(grave_, 1);
    wait_for_turn();
  }

  // True when the calling thread is to die here.
  bool hand_over() {
    std::lock_guard lock(mutex_);
    ++steps_;
    ++steps_of_[self_];
    if (self_ == killed_thread_ && killed_at_-- == 0) return true;
    pick_next();
    return false;
  }

  // Wakes that thread alone.
  void pick_next() {
    able_.clear();
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i] == state::waiting) able_.push_back(i);
    }
    turn_ = able_.empty() ? outside : next_of_able();
    if (turn_ != outside && turn_ != self_) turns_[turn_].notify_one();
  }
  std::size_t next_of_able() {
    if (!order_) return able_[random_() % able_.size()];
    const std::size_t next = order_(steps_of_);
    return states_[next] == state::waiting ? next : able_[0];
  }

  inline static systematic* current_ = nullptr;
  inline static thread_local std::size_t self_ = outside;
  inline static thread_local std::jmp_buf grave_;

  std::mt19937_64 random_;
  std::function<std::size_t(const steps_of_threads&)> order_;
  steps_of_threads steps_of_;
  std::vector<std::function<void()>> bodies_;
  std::vector<state> states_;
  std::mutex mutex_;
  std::vector<std::condition_variable> turns_;  // of each thread
  std::vector<std::size_t> able_;
  bool started_ = false;
  std::size_t turn_ = outside;
  std::uint64_t steps_ = 0;
  std::size_t killed_thread_ = outside;
  std::uint64_t killed_at_ = 0;
};

}  // namespace tenure::testing
