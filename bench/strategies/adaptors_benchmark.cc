// What an adaptor costs: one 64-byte block of operator new, taken and given back, hot, through each of them; beside
// operator new itself and the standard library's only resource with a lock.
#include <benchmark/benchmark.h>
#include <tenure/adaptors.hpp>

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

}  // namespace
