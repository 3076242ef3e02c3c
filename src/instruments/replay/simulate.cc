#include "instruments/replay/simulate.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <tenure/eviction.hpp>
#include <thread>

namespace tenure::replay {
namespace {

// What all simulations of one trace have in common.
struct workload {
  const trace& of;
  bool is_in_bytes;
  std::atomic<std::uint64_t> done{0};  // requests, over all simulations
  std::atomic<bool> is_given_up{false};
  std::once_flag prepared{};
  std::vector<eviction::request> requests{};  // for OPT
  std::vector<std::size_t> next{};

  std::uint32_t weight_of(const request& one) const noexcept {
    return is_in_bytes ? std::max<std::uint32_t>(one.size_bytes, 1) : 1;
  }
  void prepare_optimum() {
    requests.reserve(of.requests.size());
    for (const request& one : of.requests) requests.push_back({one.identity, weight_of(one)});
    next = eviction::next_uses(requests);
  }
};

constexpr std::size_t requests_each_report = 1 << 16;

template <class Policy>
void replay(workload& load, simulated& result) {
  const auto cache = std::make_unique<eviction::simulation<Policy>>(result.capacity);
  std::size_t number = 0;
  for (const request& one : load.of.requests) {
    if (cache->access(one.identity, load.weight_of(one))) {
      ++result.hits;
      result.hit_bytes += one.size_bytes;
    }
    if (++number % requests_each_report != 0) continue;
    load.done += requests_each_report;
    if (load.is_given_up) return;
  }
  load.done += number % requests_each_report;
}

void replay_optimum(workload& load, simulated& result) {
  std::call_once(load.prepared, [&] { load.prepare_optimum(); });
  eviction::replay_optimal(load.requests, load.next, result.capacity, [&](std::size_t place) {
    ++result.hits;
    result.hit_bytes += load.of.requests[place].size_bytes;
  });
  load.done += load.of.requests.size();
}

using replay_function = void (*)(workload&, simulated&);

struct known_policy {
  std::string_view name;
  replay_function run;
};

template <class Policy>
constexpr known_policy known{Policy::name, replay<Policy>};

constexpr std::array policies = {known<eviction::fifo>,       known<eviction::lru>,
                                 known<eviction::clock>,      known<eviction::lfu>,
                                 known<eviction::lru_k>,      known<eviction::two_queue>,
                                 known<eviction::arc>,        known<eviction::lirs>,
                                 known<eviction::sieve>,      known<eviction::s3_fifo>,
                                 known<eviction::w_tiny_lfu>, known<eviction::random_choice>,
                                 known<eviction::adaptive>,   known_policy{opt_name, replay_optimum}};

constexpr auto names = [] {
  std::array<std::string_view, policies.size()> all{};
  for (std::size_t i = 0; i < policies.size(); ++i) all[i] = policies[i].name;
  return all;
}();

replay_function function_of(std::string_view policy) {
  return std::find_if(policies.begin(), policies.end(), [&](const auto& one) { return one.name == policy; })->run;
}

// Runs all simulations on several threads; the first failure ends them.
class runner {
 public:
  runner(workload& load, std::vector<simulated>& results) : load_(load), results_(results) {}

  void run(unsigned threads, const std::function<void(double)>& progress) {
    {
      std::vector<std::jthread> workers;
      for (unsigned i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
      const double all = static_cast<double>(load_.of.requests.size()) * static_cast<double>(results_.size());
      std::unique_lock hold(lock_);
      while (!ended_.wait_for(hold, std::chrono::milliseconds(200), [&] { return ended_workers_ == threads; })) {
        if (progress) progress(static_cast<double>(load_.done.load()) / all);
      }
    }
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

 private:
  void work() noexcept {
    try {
      for (std::size_t at = next_++; at < results_.size() && !load_.is_given_up; at = next_++) {
        function_of(results_[at].policy)(load_, results_[at]);
      }
    } catch (...) {
      const std::lock_guard hold(lock_);
      failure_ = std::current_exception();
      load_.is_given_up = true;
    }
    const std::lock_guard hold(lock_);
    ++ended_workers_;
    ended_.notify_one();
  }

  workload& load_;
  std::vector<simulated>& results_;
  std::atomic<std::size_t> next_{0};
  std::mutex lock_;
  std::condition_variable ended_;
  unsigned ended_workers_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

std::span<const std::string_view> policy_names() { return names; }

std::vector<simulated> simulate(const trace& of, const plan& what) {
  std::vector<simulated> results;
  for (const std::string_view policy : what.policies) {
    for (const std::uint64_t capacity : what.capacities) results.push_back({.policy = policy, .capacity = capacity});
  }
  if (results.empty()) return results;
  workload load{.of = of, .is_in_bytes = what.is_in_bytes};
  const auto most = static_cast<unsigned>(std::min<std::size_t>(results.size(), 256));
  runner(load, results).run(std::clamp(what.threads, 1u, most), what.progress);
  return results;
}

}  // namespace tenure::replay
