// A connection borrowed and given back, beside the pool that people write themselves and one that Debian has.
#include <benchmark/benchmark.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <tenure/connection_pool.hpp>

#ifdef TENURE_HAS_SOCI
#include <soci/connection-pool.h>
#include <soci/session.h>
#endif

namespace {

using namespace std::chrono_literals;

constexpr std::size_t connections = 16;

// What is written in an afternoon: a stack, a mutex and a condition; no validation, no age, no fairness, nobody knows
// who.
class plain_pool {
 public:
  plain_pool() {
    for (std::size_t i = 0; i < connections; ++i) idle_.push_back(static_cast<int>(i));
  }
  std::optional<int> acquire(std::chrono::nanoseconds timeout) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, timeout, [&] { return !idle_.empty(); })) return std::nullopt;
    const int one = idle_.back();
    idle_.pop_back();
    return one;
  }
  void give_back(int one) {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(one);
    }
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> idle_;
};

tenure::connection_pool<int>& tenure_pool() {
  static auto* const one =
      new tenure::connection_pool<int>({.connect = [](auto) { return 1; }}, {.maximum_pool_size = connections});
  return *one;
}

void pair_tenure(benchmark::State& state) {
  auto& pool = tenure_pool();
  while (pool.statistics().idle + pool.statistics().borrowed < connections) {
  }
  for (auto _ : state) {
    auto one = pool.acquire();
    benchmark::DoNotOptimize(one.get());
  }
}
BENCHMARK(pair_tenure)->Name("connection/tenure")->ThreadRange(1, 16);

void pair_plain(benchmark::State& state) {
  static plain_pool pool;
  for (auto _ : state) {
    const auto one = pool.acquire(30s);
    benchmark::DoNotOptimize(*one);
    pool.give_back(*one);
  }
}
BENCHMARK(pair_plain)->Name("connection/mutex_and_condition")->ThreadRange(1, 16);

#ifdef TENURE_HAS_SOCI
void pair_soci(benchmark::State& state) {
  static soci::connection_pool pool(connections);
  for (auto _ : state) {
    std::size_t place = 0;
    pool.try_lease(place, 30'000);
    benchmark::DoNotOptimize(place);
    pool.give_back(place);
  }
}
BENCHMARK(pair_soci)->Name("connection/soci")->ThreadRange(1, 16);
#endif

}  // namespace
