// tenure::cache beside what people use otherwise, and beside itself with other policies.
//
//   cache_hit/*    hits only, on keys drawn by popularity (rank to the power of -0.9) of those that are there, by 1 to
//   16
//                  threads: processor time for each
//   cache_mix/*    the same popularity over four times as many keys as there is room for; what is missed is put
//   cache_entry/*  bytes of the heap for each entry of two words, beyond those of key and value
//
// `mutex_lru` is what is written by hand most often: an unordered_map, a list and a mutex; `sharded` has 16 of them.
// What is kept by all is a key and a value of 8 bytes each.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <tenure/cache.hpp>
#include <tenure/eviction.hpp>

#include <array>
#include <cmath>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

namespace {

using word = std::uint64_t;
constexpr std::size_t drawn = 1 << 18;

std::vector<word> popular(std::size_t keys) {
  std::vector<double> sums(keys);
  double sum = 0;
  for (std::size_t rank = 0; rank < keys; ++rank) sums[rank] = sum += std::pow(static_cast<double>(rank + 1), -0.9);
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> point(0, sum);
  std::vector<word> out(drawn);
  for (word& one : out) {
    const auto rank = static_cast<word>(std::lower_bound(sums.begin(), sums.end(), point(random)) - sums.begin());
    one = std::min<word>(rank, keys - 1) * 0x9e3779b97f4a7c15u;
  }
  return out;
}
const std::vector<word>& requests(std::size_t keys) {
  static std::unordered_map<std::size_t, std::vector<word>> made;
  static std::mutex lock;
  const std::lock_guard hold(lock);
  auto& one = made[keys];
  if (one.empty()) one = popular(keys);
  return one;
}

class mutex_lru {
 public:
  explicit mutex_lru(std::size_t most) : most_(most) {}
  std::optional<word> get(word key) {
    const std::lock_guard hold(lock_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  void put(word key, word value) {
    const std::lock_guard hold(lock_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      found->second->second = value;
      return;
    }
    if (by_key_.size() >= most_) {
      by_key_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, value);
    by_key_.emplace(key, order_.begin());
  }

 private:
  std::size_t most_;
  std::mutex lock_;
  std::list<std::pair<word, word>> order_;
  std::unordered_map<word, std::list<std::pair<word, word>>::iterator> by_key_;
};

class sharded_lru {
 public:
  explicit sharded_lru(std::size_t most) {
    for (auto& one : shards_) one = std::make_unique<mutex_lru>(most / shards_.size());
  }
  std::optional<word> get(word key) { return shards_[key >> 60]->get(key); }
  void put(word key, word value) { shards_[key >> 60]->put(key, value); }

 private:
  std::array<std::unique_ptr<mutex_lru>, 16> shards_;
};

template <class Policy>
class tenure_cache {
 public:
  explicit tenure_cache(std::size_t most) : cache_(tenure::limit_entries{most}, {.name = "bench"}) {}
  std::optional<word> get(word key) {
    const auto found = cache_.get(key);
    return found ? std::optional(*found) : std::nullopt;
  }
  void put(word key, word value) { cache_.put(key, value); }
  // Its table is mapped, and in nobody's statistics but its own.
  std::uint64_t used_bytes() const { return cache_.statistics().used_bytes + cache_.statistics().policy_bytes; }

 private:
  tenure::cache<word, word, Policy> cache_;
};

// One for all threads of a benchmark, made anew for each size.
template <class Cache>
Cache& shared(std::size_t most, std::size_t keys) {
  static std::mutex lock;
  static std::unique_ptr<Cache> made;
  static std::size_t of = 0;
  const std::lock_guard hold(lock);
  if (made == nullptr || of != most * 31 + keys) {
    made = std::make_unique<Cache>(most);
    of = most * 31 + keys;
    for (const word key : requests(keys)) made->put(key, key);
  }
  return *made;
}

template <class Cache>
void hit(benchmark::State& state) {
  const auto keys = static_cast<std::size_t>(state.range(0));
  // Room beyond the keys: where a cache is divided, no part is too small for what falls to it.
  Cache& cache = shared<Cache>(keys * 2, keys);
  const auto& asked = requests(keys);
  std::size_t place = static_cast<std::size_t>(state.thread_index()) * 7919;
  std::size_t found = 0;
  for (auto _ : state) found += cache.get(asked[place++ % drawn]).has_value() ? 1 : 0;
  state.counters["hits"] = benchmark::Counter(static_cast<double>(found) / static_cast<double>(state.iterations()),
                                              benchmark::Counter::kAvgThreads);
}

template <class Cache>
void mix(benchmark::State& state) {
  const auto most = static_cast<std::size_t>(state.range(0));
  Cache& cache = shared<Cache>(most, most * 4);
  const auto& asked = requests(most * 4);
  std::size_t place = static_cast<std::size_t>(state.thread_index()) * 7919;
  std::size_t found = 0;
  for (auto _ : state) {
    const word key = asked[place++ % drawn];
    if (cache.get(key)) {
      ++found;
    } else {
      cache.put(key, key);
    }
  }
  state.counters["hits"] = benchmark::Counter(static_cast<double>(found) / static_cast<double>(state.iterations()),
                                              benchmark::Counter::kAvgThreads);
}

template <class Cache>
void entry_bytes(benchmark::State& state) {
  constexpr std::size_t entries = 100'000;
  const auto in_use = [] {
    const struct mallinfo2 all = mallinfo2();
    return static_cast<double>(all.uordblks + all.hblkhd);
  };
  double bytes = 0;
  for (auto _ : state) {
    const double before = in_use();
    Cache cache(entries);
    for (word key = 0; key < entries; ++key) cache.put(key * 0x9e3779b97f4a7c15u, key);
    double used = in_use() - before;
    if constexpr (requires { cache.used_bytes(); }) used = static_cast<double>(cache.used_bytes());
    bytes = used / entries - 2 * sizeof(word);
  }
  state.counters["bytes"] = bytes;
}

void add(const std::string& name, void (*run)(benchmark::State&), std::initializer_list<int> sizes) {
  for (const int size : sizes) benchmark::RegisterBenchmark(name.c_str(), run)->Arg(size)->ThreadRange(1, 16);
}

template <class Cache>
void add_all(const std::string& name) {
  add("cache_hit/" + name, hit<Cache>, {1000, 10'000, 100'000});
  add("cache_mix/" + name, mix<Cache>, {1000, 10'000});
  benchmark::RegisterBenchmark(("cache_entry/" + name).c_str(), entry_bytes<Cache>)->Iterations(1);
}

const bool registered = [] {
  add_all<tenure_cache<tenure::eviction::adaptive>>("tenure_adaptive");
  add_all<tenure_cache<tenure::eviction::lru>>("tenure_lru");
  add_all<tenure_cache<tenure::eviction::s3_fifo>>("tenure_s3_fifo");
  add_all<tenure_cache<tenure::eviction::w_tiny_lfu>>("tenure_w_tinylfu");
  add_all<mutex_lru>("mutex_lru");
  add_all<sharded_lru>("sharded_mutex_lru");
  return true;
}();

}  // namespace
