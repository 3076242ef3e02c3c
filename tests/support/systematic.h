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

#include <semaphore.h>

#include <csetjmp>
#include <cstdint>
#include <functional>
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
    turns_ = std::vector<place>(bodies_.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < bodies_.size(); ++i) threads.emplace_back([this, i] { live(i); });
    if (const std::size_t first = next(); first != outside) turns_[first].give();
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

  // Where a thread waits for its turn. Whoever has the turn alone touches the rest of what is here, so that nothing
  // else is locked: to hand it over is one call for the giver and one for the taker.
  class place {
   public:
    place() { ::sem_init(&given_, 0, 0); }
    ~place() { ::sem_destroy(&given_); }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    void give() { ::sem_post(&given_); }
    void take() {
      while (::sem_wait(&given_) != 0) continue;  // a signal came
    }

   private:
    sem_t given_;
  };

  void live(std::size_t number) {
    self_ = number;
    turns_[number].take();
    if (setjmp(grave_) == 0) bodies_[number]();
    states_[number] = state::done;
    self_ = outside;
    if (const std::size_t then = next(); then != outside) turns_[then].give();
  }

  void step() {
    ++steps_;
    const std::size_t self = self_;
    ++steps_of_[self];
    if (self == killed_thread_ && killed_at_-- == 0) std::longjmp(grave_, 1);
    const std::size_t then = next();
    if (then == self) return;
    turns_[then].give();
    turns_[self].take();
  }

  std::size_t next() {
    able_.clear();
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i] == state::waiting) able_.push_back(i);
    }
    return able_.empty() ? outside : next_of_able();
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
  std::vector<place> turns_;  // of each thread
  std::vector<std::size_t> able_;
  std::uint64_t steps_ = 0;
  std::size_t killed_thread_ = outside;
  std::uint64_t killed_at_ = 0;
};

}  // namespace tenure::testing
