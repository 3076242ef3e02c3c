// A buffer of 16 KiB taken and given back, and a slice of it made and ended, beside what servers do without a pool.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <utility>
#include <vector>

#include <tenure/buffer_pool.hpp>

namespace {

constexpr std::size_t bytes = 16 << 10;

tenure::buffer_pool& shared_pool() {
  static auto* const one = new tenure::buffer_pool({.name = "bench", .checks = tenure::resource_checks::off});
  return *one;
}

// Its first bytes are written, as a short message does.
void touch(std::byte* data) {
  data[0] = std::byte{1};
  benchmark::DoNotOptimize(data);
}

void buffer_tenure(benchmark::State& state) {
  auto& pool = shared_pool();
  for (auto _ : state) {
    const tenure::buffer_lease one = pool.take(bytes);
    touch(one.data());
  }
}
BENCHMARK(buffer_tenure)->Name("buffer/tenure")->ThreadRange(1, 16);

void buffer_malloc(benchmark::State& state) {
  for (auto _ : state) {
    void* one = std::malloc(bytes);
    touch(static_cast<std::byte*>(one));
    std::free(one);
  }
}
BENCHMARK(buffer_malloc)->Name("buffer/malloc")->ThreadRange(1, 16);

void buffer_shared(benchmark::State& state) {
  for (auto _ : state) {
    const auto one = std::make_shared_for_overwrite<std::byte[]>(bytes);
    touch(one.get());
  }
}
BENCHMARK(buffer_shared)->Name("buffer/shared_ptr")->ThreadRange(1, 16);

void buffer_shared_vector(benchmark::State& state) {
  for (auto _ : state) {
    const auto one = std::make_shared<std::vector<std::byte>>(bytes);  // which is set to zero
    touch(one->data());
  }
}
BENCHMARK(buffer_shared_vector)->Name("buffer/shared_vector")->ThreadRange(1, 16);

void buffer_pmr(benchmark::State& state) {
  static std::pmr::synchronized_pool_resource pool(
      {.max_blocks_per_chunk = 64, .largest_required_pool_block = 1 << 20});
  for (auto _ : state) {
    void* one = pool.allocate(bytes);
    touch(static_cast<std::byte*>(one));
    pool.deallocate(one, bytes);
  }
}
BENCHMARK(buffer_pmr)->Name("buffer/pmr_synchronized")->ThreadRange(1, 16);

// 64 KiB, of which 256 are in use: each step ends the oldest and takes another.
constexpr std::size_t in_use = 256;
constexpr std::size_t window_bytes = 64 << 10;

void window_tenure(benchmark::State& state) {
  auto& pool = shared_pool();
  std::vector<tenure::buffer_lease> ring(in_use);
  std::size_t at = 0;
  for (auto _ : state) {
    ring[at].reset();
    ring[at] = pool.take(window_bytes);
    touch(ring[at].data());
    at = (at + 1) % in_use;
  }
}
BENCHMARK(window_tenure)->Name("buffer_window/tenure")->ThreadRange(1, 4);

void window_malloc(benchmark::State& state) {
  std::vector<void*> ring(in_use);
  std::size_t at = 0;
  for (auto _ : state) {
    std::free(ring[at]);
    ring[at] = std::malloc(window_bytes);
    touch(static_cast<std::byte*>(ring[at]));
    at = (at + 1) % in_use;
  }
  for (void* one : ring) std::free(one);
}
BENCHMARK(window_malloc)->Name("buffer_window/malloc")->ThreadRange(1, 4);

// All 256 taken, then all given back: a burst.
void burst_tenure(benchmark::State& state) {
  auto& pool = shared_pool();
  std::vector<tenure::buffer_lease> all(in_use);
  for (auto _ : state) {
    for (auto& one : all) touch((one = pool.take(window_bytes)).data());
    for (auto& one : all) one.reset();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(in_use));
}
BENCHMARK(burst_tenure)->Name("buffer_burst/tenure");

void burst_malloc(benchmark::State& state) {
  std::vector<void*> all(in_use);
  for (auto _ : state) {
    for (auto& one : all) touch(static_cast<std::byte*>(one = std::malloc(window_bytes)));
    for (auto& one : all) std::free(one);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(in_use));
}
BENCHMARK(burst_malloc)->Name("buffer_burst/malloc");

void slice_tenure(benchmark::State& state) {
  const tenure::buffer_slice whole = shared_pool().take(bytes).slice(0, bytes);
  for (auto _ : state) {
    const tenure::buffer_slice part = whole.slice(100, 200);
    benchmark::DoNotOptimize(part.data());
  }
}
BENCHMARK(slice_tenure)->Name("slice/tenure");

void copy_tenure(benchmark::State& state) {
  const tenure::buffer_slice whole = shared_pool().take(bytes).slice(0, bytes);
  for (auto _ : state) {
    const tenure::buffer_slice part = whole;
    benchmark::DoNotOptimize(part.data());
  }
}
BENCHMARK(copy_tenure)->Name("slice/tenure_copy");

void slice_shared(benchmark::State& state) {
  const auto whole = std::make_shared_for_overwrite<std::byte[]>(bytes);
  for (auto _ : state) {
    const std::shared_ptr<const std::byte> part(whole, whole.get() + 100);
    benchmark::DoNotOptimize(part.get());
  }
}
BENCHMARK(slice_shared)->Name("slice/shared_ptr");

}  // namespace
