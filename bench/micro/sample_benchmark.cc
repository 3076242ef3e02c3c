// What one sampled allocation and its free cost together, warm: stack, module look-up, table, events.
//
// Nobody reads the ring: with a session it fills up within a second, and what is then measured is the cost of a sample
// that is dropped and counted. The first thousands go through it.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "core/telemetry/telemetry.h"

namespace {

template <int Level>
[[gnu::noinline]] void descend(benchmark::State& state) {
  volatile char frame[16 + Level * 8 % 200];
  frame[0] = 1;
  if constexpr (Level > 0) {
    descend<Level - 1>(state);
  } else {
    std::uintptr_t address = 0x10000000;
    for (auto _ : state) {
      void* block = reinterpret_cast<void*>(address);
      tenure::telemetry::record_allocation(block, 100, 112, 524288, tenure::wire::allocation_entry::malloc);
      tenure::telemetry::record_free(block);
      address += 64;
    }
  }
  frame[1] = frame[0];
}

void sample_and_free(benchmark::State& state) {
  tenure::telemetry::start();
  descend<20>(state);
}
BENCHMARK(sample_and_free);

}  // namespace

BENCHMARK_MAIN();
