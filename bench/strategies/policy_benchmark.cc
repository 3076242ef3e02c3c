// What policies hit on streams of requests that tell them apart, in percent; a request is timed with it.
//
//   ratio/popularity  rank to the power of -0.9, 20,000 keys       ratio/recency   a working set that moves
//   ratio/loop        1,400 keys round and round                   ratio/scan      popular keys, and keys asked for
//   once ratio/turning     recency that turns to a loop longer than the cache, and back
#include <benchmark/benchmark.h>
#include <tenure/eviction.hpp>

#include <string>

#include "unit/cache/request_streams.h"

namespace {

using tenure::test::stream;

stream make_stream(const std::string& kind) {
  using namespace tenure::test;
  std::mt19937_64 random(11);
  constexpr std::size_t count = 400'000;
  if (kind == "popularity") return zipf(random, count, 20'000, 0.9);
  if (kind == "loop") return loop(count, 1'400);
  if (kind == "recency") return recency(random, count, 150, 100'000);
  if (kind == "scan") return scan_and_hot(random, count, 2'000, 1'000'000);
  return joined({recency(random, 6'000, 200, 1'000'000), loop(150'000, 1'100), recency(random, 6'000, 200, 2'000'000)});
}

template <class Policy>
void ratio(benchmark::State& state, const std::string& kind, std::uint64_t capacity) {
  const stream requests = make_stream(kind);
  double hits = 0;
  for (auto _ : state) {
    tenure::eviction::simulation<Policy> cache(capacity);
    for (const std::uint64_t id : requests) cache.access(id);
    hits = 100 * static_cast<double>(cache.hits()) / static_cast<double>(cache.requests());
  }
  state.counters["percent"] = hits;
  state.SetItemsProcessed(static_cast<std::int64_t>(requests.size()));
}

template <class Policy>
void add() {
  const auto add_one = [](const std::string& kind, std::uint64_t capacity) {
    const std::string name = "ratio/" + kind + "_" + std::to_string(capacity) + "/" + std::string(Policy::name);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      ratio<Policy>(state, kind, capacity);
    })->Iterations(1);
  };
  for (const char* const kind : {"popularity", "loop", "recency", "scan"}) {
    for (const std::uint64_t capacity : {300u, 1'000u, 2'000u}) add_one(kind, capacity);
  }
  add_one("turning", 500);
}

const bool registered = [] {
  using namespace tenure::eviction;
  add<adaptive>();
  add<fifo>();
  add<lfu>();
  add<lru_k>();
  add<random_choice>();
  add<lru>();
  add<tenure::eviction::clock>();
  add<two_queue>();
  add<arc>();
  add<lirs>();
  add<sieve>();
  add<s3_fifo>();
  add<w_tiny_lfu>();
  return true;
}();

}  // namespace
