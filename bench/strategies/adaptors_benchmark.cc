// What an adaptor costs: one 64-byte block of operator new, taken and given back, hot, through each of them; beside
// operator new itself and the standard library's only resource with a lock. And what an account costs by itself.
#include <benchmark/benchmark.h>
#include <tenure/account.hpp>
#include <tenure/adaptors.hpp>

#include <atomic>
#include <memory_resource>
#include <ostream>
#include <streambuf>

namespace {

constexpr std::size_t block_bytes = 64;

void pairs_of(benchmark::State& state, std::pmr::memory_resource& memory) {
  for (auto _ : state) {
    void* block = memory.allocate(block_bytes);
    benchmark::DoNotOptimize(block);
    memory.deallocate(block, block_bytes);
  }
}

void adaptor_none(benchmark::State& state) { pairs_of(state, *std::pmr::new_delete_resource()); }
BENCHMARK(adaptor_none)->Name("adaptor/none");

template <class Adaptor, class Options>
void adaptor_of(benchmark::State& state) {
  Adaptor memory(Options{.name = "bench"});
  pairs_of(state, memory);
}
BENCHMARK(adaptor_of<tenure::statistics_resource_adaptor, tenure::statistics_options>)->Name("adaptor/statistics");
BENCHMARK(adaptor_of<tenure::failure_injecting_resource_adaptor, tenure::failure_injecting_options>)
    ->Name("adaptor/failure_injecting");
BENCHMARK(adaptor_of<tenure::aligned_resource_adaptor, tenure::aligned_options>)->Name("adaptor/aligned");
BENCHMARK(adaptor_of<tenure::synchronized_resource_adaptor, tenure::synchronized_options>)
    ->Name("adaptor/synchronized");
BENCHMARK(adaptor_of<tenure::fallback_resource_adaptor, tenure::fallback_options>)->Name("adaptor/fallback");
BENCHMARK(adaptor_of<tenure::copy_detecting_resource_adaptor, tenure::copy_detecting_options>)
    ->Name("adaptor/copy_detecting");
BENCHMARK(adaptor_of<tenure::tracking_resource_adaptor, tenure::tracking_options>)->Name("adaptor/tracking");

void adaptor_limiting(benchmark::State& state) {
  tenure::limiting_resource_adaptor memory({.name = "bench", .limit_bytes = 1 << 20});
  pairs_of(state, memory);
}
BENCHMARK(adaptor_limiting)->Name("adaptor/limiting");

struct discarded : std::streambuf {
  int_type overflow(int_type one) override { return one; }
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
};

void adaptor_logging(benchmark::State& state) {
  discarded nothing;
  std::ostream nowhere(&nothing);
  tenure::logging_resource_adaptor memory({.name = "bench", .to = &nowhere});
  pairs_of(state, memory);
}
BENCHMARK(adaptor_logging)->Name("adaptor/logging");

// The first resource refuses every request.
void adaptor_fallen_back(benchmark::State& state) {
  tenure::failure_injecting_resource_adaptor full({.name = "full", .plan = {.nth = 1, .from_nth_on = true}});
  tenure::fallback_resource_adaptor memory({.name = "bench", .upstream = &full});
  pairs_of(state, memory);
}
BENCHMARK(adaptor_fallen_back)->Name("adaptor/fallback_every_time");

void adaptor_std_synchronized(benchmark::State& state) {
  std::pmr::synchronized_pool_resource memory;
  pairs_of(state, memory);
}
BENCHMARK(adaptor_std_synchronized)->Name("adaptor/std_synchronized_pool");

// --- what an account costs by itself: 64 bytes charged and released

void account_charges(benchmark::State& state, tenure::account& of, std::uint64_t blocks) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(of.try_charge(block_bytes, blocks));
    of.release(block_bytes, blocks);
  }
}

void account_alone(benchmark::State& state) {
  static tenure::account one("bench");
  account_charges(state, one, 0);
}
BENCHMARK(account_alone)->Name("account/alone")->Threads(1)->Threads(2);

void account_with_blocks(benchmark::State& state) {
  tenure::account one("bench");
  account_charges(state, one, 1);
}
BENCHMARK(account_with_blocks)->Name("account/blocks_counted");

void account_below(benchmark::State& state) {
  tenure::account above("above"), one("bench", "application", &above);
  one.set_limits({.hard_bytes = 1 << 20});
  account_charges(state, one, 0);
}
BENCHMARK(account_below)->Name("account/below_another_with_a_limit");

// What counts and holds no limit.
void account_of_atomics(benchmark::State& state) {
  static std::atomic<std::uint64_t> held{0};
  for (auto _ : state) {
    benchmark::DoNotOptimize(held.fetch_add(block_bytes, std::memory_order_relaxed));
    held.fetch_sub(block_bytes, std::memory_order_relaxed);
  }
}
BENCHMARK(account_of_atomics)->Name("account/std_atomic")->Threads(1)->Threads(2);

}  // namespace
