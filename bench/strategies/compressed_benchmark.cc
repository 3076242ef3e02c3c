// What a page costs that is compressed, that comes back, and that has stayed; beside a file that pages leave to.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <tenure/compressed.hpp>
#include <tenure/mapped_file.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t pages = 4096;

// Records as programs have them: numbers that grow, short texts, pointers that resemble each other, zeros.
void fill(char* at, std::size_t bytes) {
  for (std::size_t i = 0; i + 64 <= bytes; i += 64) {
    std::snprintf(at + i, 64, "%zu user-%05zu 0x7f%08zx %zu", i, i * 7919 % 100'000, i * 40, i % 97);
  }
}

tenure::compressed_options quiet() {
  tenure::compressed_options options{.name = "bench", .limit_bytes = std::size_t{64} << 20};
  options.cold_after = std::chrono::milliseconds(0);
  options.checks = tenure::resource_checks::off;
  return options;
}

void tell_each(benchmark::State& state) {
  state.counters["each"] = benchmark::Counter(
      static_cast<double>(pages), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// `prepare` is not timed, `act` is; each gets the memory and a filled block of it.
template <class prepare_function, class act_function>
void time_compressed(benchmark::State& state, prepare_function prepare, act_function act) {
  if (const char* const why = tenure::compressed::why_not()) return state.SkipWithError(why);
  tenure::compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(pages * page_bytes));
  fill(block, pages * page_bytes);
  for (auto _ : state) {
    state.PauseTiming();
    prepare(memory, block);
    state.ResumeTiming();
    act(memory, block);
  }
  const tenure::compressed_statistics now = memory.compression();
  state.counters["ratio"] = now.ratio();
  state.counters["p50_ns"] = static_cast<double>(now.decompression.quantile(0.5).count());
  state.counters["p99_ns"] = static_cast<double>(now.decompression.quantile(0.99).count());
  tell_each(state);
}

void touch_all(tenure::compressed& memory, char* block) { memory.touch(block, pages * page_bytes); }
void look_once(tenure::compressed& memory, char*) { memory.compress_cold(); }

void cold_compress(benchmark::State& state) {
  const auto watch = [](tenure::compressed& memory, char* block) {
    touch_all(memory, block);
    look_once(memory, block);
  };
  time_compressed(state, watch, look_once);
}
BENCHMARK(cold_compress)->Name("cold/tenure_compressed_compress")->UseRealTime();

void cold_watch(benchmark::State& state) { time_compressed(state, look_once, touch_all); }
BENCHMARK(cold_watch)->Name("cold/tenure_compressed_touch_watched")->UseRealTime();

void cold_touch(benchmark::State& state) {
  const auto compress = [](tenure::compressed& memory, char* block) {
    look_once(memory, block);
    look_once(memory, block);
  };
  time_compressed(state, compress, touch_all);
}
BENCHMARK(cold_touch)->Name("cold/tenure_compressed_touch_compressed")->UseRealTime();

// Too short a time for the clock to be stopped within it.
void cold_hot(benchmark::State& state) {
  if (const char* const why = tenure::compressed::why_not()) return state.SkipWithError(why);
  tenure::compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(pages * page_bytes));
  fill(block, pages * page_bytes);
  for (auto _ : state) memory.touch(block, pages * page_bytes);
  tell_each(state);
}
BENCHMARK(cold_hot)->Name("cold/tenure_compressed_touch_resident")->UseRealTime();

// The file's pages leave memory when the kernel takes them at their word; what is not written yet stays.
void cold_mapped_file(benchmark::State& state) {
  tenure::mapped_file memory({.name = "bench", .limit_bytes = std::size_t{64} << 20});
  auto* const block = static_cast<char*>(memory.allocate(pages * page_bytes));
  fill(block, pages * page_bytes);
  for (auto _ : state) {
    state.PauseTiming();
    memory.sync();
    memory.page_out();
    state.ResumeTiming();
    for (std::size_t i = 0; i < pages; ++i)
      benchmark::DoNotOptimize(*static_cast<volatile char*>(block + i * page_bytes));
  }
  memory.deallocate(block, pages * page_bytes);
  tell_each(state);
}
BENCHMARK(cold_mapped_file)->Name("cold/tenure_mapped_file_touch_paged_out")->UseRealTime();

void cold_malloc_first_touch(benchmark::State& state) {
  for (auto _ : state) {
    auto* const block = static_cast<char*>(std::aligned_alloc(page_bytes, 64 * pages * page_bytes));
    for (std::size_t i = 0; i < pages; ++i) block[i * page_bytes] = 1;
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
  tell_each(state);
}
BENCHMARK(cold_malloc_first_touch)->Name("cold/malloc_first_touch")->UseRealTime();

// Beside pages that are there: 10,000 blocks of a page each, with the record of each page of the range, which is as
// large.
void memory_of_pages(benchmark::State& state) {
  if (const char* const why = tenure::compressed::why_not()) return state.SkipWithError(why);
  constexpr std::size_t blocks = 10'000;
  const auto in_heap = [] {
    const struct mallinfo2 all = mallinfo2();
    return static_cast<double>(all.uordblks + all.hblkhd);
  };
  double stay = 0, leave = 0;
  for (auto _ : state) {
    const double before = in_heap();
    auto options = quiet();
    options.limit_bytes = blocks * page_bytes;
    tenure::compressed memory(options);
    for (std::size_t i = 0; i < blocks; ++i) fill(static_cast<char*>(memory.allocate(page_bytes)), page_bytes);
    memory.look();
    const auto held = [&] { return static_cast<double>(memory.statistics().held_bytes) + in_heap() - before; };
    stay = held() / blocks - page_bytes;
    for (int turn = 0; turn < 3; ++turn) memory.compress_cold();
    leave = static_cast<double>(memory.look()) / blocks;
  }
  state.counters["bytes"] = stay;
  state.counters["cold_page_bytes"] = leave;
}
BENCHMARK(memory_of_pages)->Name("memory/tenure_compressed")->Iterations(1);

}  // namespace
