// Resources for blocks of many sizes, and for frames, beside what one would use otherwise.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <tenure/adaptor/synchronized_resource_adaptor.hpp>
#include <tenure/binning.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/frame_ring.hpp>
#include <tenure/huge_page.hpp>
#include <tenure/lazy.hpp>
#include <tenure/mapped_file.hpp>
#include <tenure/numa.hpp>
#include <tenure/secure.hpp>
#include <tenure/shared.hpp>
#include <tenure/slab.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory_resource>
#include <random>
#include <vector>

#ifdef TENURE_HAS_BOOST
#include <boost/container/pmr/unsynchronized_pool_resource.hpp>
#endif
#ifdef TENURE_HAS_BOOST_INTERPROCESS
#include <boost/interprocess/managed_shared_memory.hpp>
#endif

namespace {

constexpr std::size_t alive = 10'000;

void tell_each(benchmark::State& state, std::size_t requests) {
  state.counters["each"] = benchmark::Counter(
      static_cast<double>(requests), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// Small ones are many: sizes spread evenly over their logarithm, from 1 to 1024. Which block goes next is drawn too.
struct mix {
  std::vector<std::size_t> sizes = std::vector<std::size_t>(1 << 16);
  std::vector<std::size_t> places = std::vector<std::size_t>(1 << 16);
  mix() {
    std::mt19937_64 dice(5);
    std::uniform_real_distribution<double> logarithm(0, 10);
    for (std::size_t& one : sizes) one = static_cast<std::size_t>(std::exp2(logarithm(dice)));
    for (std::size_t& one : places) one = dice() % alive;
  }
  static const mix& get() {
    static const mix one;
    return one;
  }
};

// One replaced: a release and an allocation of another size.
template <class Memory>
void replace_in(benchmark::State& state, Memory& memory) {
  struct block {
    void* start;
    std::size_t bytes;
  };
  const mix& drawn = mix::get();
  std::vector<block> blocks(alive);
  for (std::size_t i = 0; i < alive; ++i) blocks[i] = {memory.allocate(drawn.sizes[i], 8), drawn.sizes[i]};
  std::size_t next = 0;
  for (auto _ : state) {
    next = (next + 1) % drawn.sizes.size();
    block& one = blocks[drawn.places[next]];
    memory.deallocate(one.start, one.bytes, 8);
    one = {memory.allocate(drawn.sizes[next], 8), drawn.sizes[next]};
    benchmark::DoNotOptimize(one.start);
  }
  for (const block& one : blocks) memory.deallocate(one.start, one.bytes, 8);
}

void sizes_slab(benchmark::State& state) {
  tenure::slab memory({.name = "bench", .checks = tenure::resource_checks::off});
  replace_in(state, memory);
}
BENCHMARK(sizes_slab)->Name("sizes/tenure_slab");

void sizes_slab_pmr(benchmark::State& state) {
  tenure::slab memory({.name = "bench", .checks = tenure::resource_checks::off});
  replace_in<std::pmr::memory_resource>(state, memory);
}
BENCHMARK(sizes_slab_pmr)->Name("sizes/tenure_slab_pmr");

void sizes_slab_synchronized(benchmark::State& state) {
  tenure::slab memory({.name = "bench", .checks = tenure::resource_checks::off});
  tenure::synchronized_resource_adaptor shared({.name = "bench", .upstream = &memory});
  replace_in<std::pmr::memory_resource>(state, shared);
}
BENCHMARK(sizes_slab_synchronized)->Name("sizes/tenure_slab_synchronized");

void sizes_binning(benchmark::State& state) {
  tenure::fixed_pool nodes({.name = "bench", .block_bytes = 64, .checks = tenure::resource_checks::off});
  tenure::fixed_pool texts({.name = "bench", .block_bytes = 256, .checks = tenure::resource_checks::off});
  tenure::binning memory(
      {.name = "bench", .bins = {{64, &nodes}, {256, &texts}}, .checks = tenure::resource_checks::off});
  replace_in<std::pmr::memory_resource>(state, memory);
}
BENCHMARK(sizes_binning)->Name("sizes/tenure_binning_64_256");

void sizes_std_unsynchronized(benchmark::State& state) {
  std::pmr::unsynchronized_pool_resource memory;
  replace_in<std::pmr::memory_resource>(state, memory);
}
BENCHMARK(sizes_std_unsynchronized)->Name("sizes/std_unsynchronized_pool");

void sizes_std_synchronized(benchmark::State& state) {
  std::pmr::synchronized_pool_resource memory;
  replace_in<std::pmr::memory_resource>(state, memory);
}
BENCHMARK(sizes_std_synchronized)->Name("sizes/std_synchronized_pool");

struct malloc_memory {
  void* allocate(std::size_t bytes, std::size_t) { return std::malloc(bytes); }
  void deallocate(void* block, std::size_t, std::size_t) { std::free(block); }
};

void sizes_malloc(benchmark::State& state) {
  malloc_memory memory;
  replace_in(state, memory);
}
BENCHMARK(sizes_malloc)->Name("sizes/malloc_free");

#ifdef TENURE_HAS_BOOST
void sizes_boost(benchmark::State& state) {
  boost::container::pmr::unsynchronized_pool_resource memory;
  replace_in(state, memory);
}
BENCHMARK(sizes_boost)->Name("sizes/boost_unsynchronized_pool");
#endif

// --- the same blocks in memory that processes share

void segment_shared(benchmark::State& state) {
  tenure::shared memory({.name = "bench", .checks = tenure::resource_checks::off});
  replace_in<std::pmr::memory_resource>(state, memory);
}
BENCHMARK(segment_shared)->Name("segment/tenure_shared");

#ifdef TENURE_HAS_BOOST_INTERPROCESS
struct boost_segment {
  static constexpr const char* name = "tenure-strategies-benchmark";
  boost_segment() { boost::interprocess::shared_memory_object::remove(name); }
  ~boost_segment() { boost::interprocess::shared_memory_object::remove(name); }
  void* allocate(std::size_t bytes, std::size_t) { return segment.allocate(bytes); }
  void deallocate(void* block, std::size_t, std::size_t) { segment.deallocate(block); }
  boost::interprocess::managed_shared_memory segment{boost::interprocess::open_or_create, name, std::size_t{64} << 20};
};

void segment_boost(benchmark::State& state) {
  boost_segment memory;
  replace_in(state, memory);
}
BENCHMARK(segment_boost)->Name("segment/boost_managed_shared_memory");
#endif

// --- frames

constexpr std::size_t frame_objects = 10'000;
constexpr std::size_t object_bytes = 64;

void frame_ring(benchmark::State& state) {
  tenure::frame_ring memory({.name = "bench", .checks = tenure::resource_checks::off});
  for (auto _ : state) {
    memory.advance();
    for (std::size_t i = 0; i < frame_objects; ++i) benchmark::DoNotOptimize(memory.allocate(object_bytes, 8));
  }
  tell_each(state, frame_objects);
}
BENCHMARK(frame_ring)->Name("frame/tenure_frame_ring");

void frame_std_monotonic(benchmark::State& state) {
  std::vector<std::byte> buffers[2];
  for (auto& one : buffers) one.resize((frame_objects + 16) * object_bytes);
  std::pmr::monotonic_buffer_resource first(buffers[0].data(), buffers[0].size());
  std::pmr::monotonic_buffer_resource second(buffers[1].data(), buffers[1].size());
  bool is_second = false;
  for (auto _ : state) {
    std::pmr::monotonic_buffer_resource& memory = is_second ? second : first;
    is_second = !is_second;
    memory.release();  // back to its buffer: as warm as can be
    for (std::size_t i = 0; i < frame_objects; ++i) benchmark::DoNotOptimize(memory.allocate(object_bytes, 8));
  }
  tell_each(state, frame_objects);
}
BENCHMARK(frame_std_monotonic)->Name("frame/std_monotonic_two_buffers");

void frame_malloc(benchmark::State& state) {
  std::vector<void*> frames[2] = {std::vector<void*>(frame_objects), std::vector<void*>(frame_objects)};
  bool is_second = false;
  for (auto _ : state) {
    std::vector<void*>& blocks = frames[is_second ? 1 : 0];
    is_second = !is_second;
    for (void* one : blocks) std::free(one);
    for (void*& one : blocks) one = std::malloc(object_bytes);
  }
  for (auto& blocks : frames) {
    for (void* one : blocks) std::free(one);
  }
  tell_each(state, frame_objects);
}
BENCHMARK(frame_malloc)->Name("frame/malloc_free");

// --- large blocks

constexpr std::size_t mebibyte = std::size_t{1} << 20;

template <class Memory>
void large_in(benchmark::State& state, Memory& memory) {
  for (auto _ : state) {
    auto* block = static_cast<char*>(memory.allocate(mebibyte, 4096));
    for (std::size_t at = 0; at < mebibyte; at += 4096) block[at] = 1;
    benchmark::DoNotOptimize(block);
    memory.deallocate(block, mebibyte, 4096);
  }
}

void large_huge_page(benchmark::State& state) {
  tenure::huge_page memory({.name = "bench", .checks = tenure::resource_checks::off});
  large_in(state, memory);
}
BENCHMARK(large_huge_page)->Name("large/tenure_huge_page");

void large_numa(benchmark::State& state) {
  tenure::numa memory(
      {.name = "bench", .policy = tenure::numa_policy::interleaved, .checks = tenure::resource_checks::off});
  large_in(state, memory);
}
BENCHMARK(large_numa)->Name("large/tenure_numa");

void large_mapped_file(benchmark::State& state) {
  tenure::mapped_file memory({.name = "bench", .checks = tenure::resource_checks::off});
  large_in(state, memory);
}
BENCHMARK(large_mapped_file)->Name("large/tenure_mapped_file");

void large_lazy(benchmark::State& state) {
  tenure::lazy memory({.name = "bench", .checks = tenure::resource_checks::off});
  large_in(state, memory);
}
BENCHMARK(large_lazy)->Name("large/tenure_lazy");

void large_malloc(benchmark::State& state) {
  malloc_memory memory;
  large_in(state, memory);
}
BENCHMARK(large_malloc)->Name("large/malloc_free");

void large_new_aligned(benchmark::State& state) { large_in(state, *std::pmr::new_delete_resource()); }
BENCHMARK(large_new_aligned)->Name("large/operator_new");

// Each address follows from the word before, so that one miss is waited for at a time.
void random_in(benchmark::State& state, std::pmr::memory_resource& memory) {
  constexpr std::size_t words = 256 * mebibyte / sizeof(std::uint64_t);
  std::pmr::vector<std::uint64_t> table(words, &memory);
  for (std::size_t i = 0; i < words; ++i) table[i] = i * 0x9e3779b97f4a7c15u;
  std::uint64_t at = 1;
  for (auto _ : state) at = (at * 6364136223846793005u + table[at % words]) >> 7;
  benchmark::DoNotOptimize(at);
}

void random_huge_page(benchmark::State& state) {
  tenure::huge_page memory({.name = "bench", .checks = tenure::resource_checks::off});
  random_in(state, memory);
  state.counters["huge_MiB"] = static_cast<double>(memory.huge_bytes() / mebibyte);
}
BENCHMARK(random_huge_page)->Name("random/tenure_huge_page");

void random_mapped_file(benchmark::State& state) {
  tenure::mapped_file memory({.name = "bench", .checks = tenure::resource_checks::off});
  random_in(state, memory);
}
BENCHMARK(random_mapped_file)->Name("random/tenure_mapped_file");

void random_operator_new(benchmark::State& state) { random_in(state, *std::pmr::new_delete_resource()); }
BENCHMARK(random_operator_new)->Name("random/operator_new");

// --- a word here and there of 16 GiB of address space: a thousand pages, written once

constexpr std::size_t sparse_bytes = std::size_t{16} << 30;
constexpr std::size_t sparse_pages = 1000;

template <class Memory>
void sparse_in(benchmark::State& state, Memory& memory) {
  for (auto _ : state) {
    auto* const block = static_cast<char*>(memory.allocate(sparse_bytes, 4096));
    for (std::size_t i = 0; i < sparse_pages; ++i) block[i * 0x9e3779b97f4a7c15u % sparse_bytes] = 1;
    benchmark::DoNotOptimize(block);
    memory.deallocate(block, sparse_bytes, 4096);
  }
  tell_each(state, sparse_pages);
}

void sparse_lazy(benchmark::State& state) {
  tenure::lazy memory({.name = "bench", .checks = tenure::resource_checks::off});
  sparse_in(state, memory);
}
BENCHMARK(sparse_lazy)->Name("sparse/tenure_lazy");

void sparse_malloc(benchmark::State& state) {
  malloc_memory memory;
  sparse_in(state, memory);
}
BENCHMARK(sparse_malloc)->Name("sparse/malloc_free");

// What a look costs, with those thousand pages resident.
void sparse_look(benchmark::State& state) {
  tenure::lazy memory({.name = "bench", .checks = tenure::resource_checks::off});
  auto* const block = static_cast<char*>(memory.allocate(sparse_bytes));
  for (std::size_t i = 0; i < sparse_pages; ++i) block[i * 0x9e3779b97f4a7c15u % sparse_bytes] = 1;
  for (auto _ : state) benchmark::DoNotOptimize(memory.resident_bytes());
  memory.deallocate(block, sparse_bytes);
}
BENCHMARK(sparse_look)->Name("sparse/tenure_lazy_resident_bytes");

// --- secrets

constexpr std::size_t secret_bytes = 64;

void secret_secure(benchmark::State& state) {
  tenure::secure memory({.name = "bench", .checks = tenure::resource_checks::off});
  void* kept = memory.allocate(secret_bytes);
  for (auto _ : state) {
    void* secret = memory.allocate(secret_bytes);
    benchmark::DoNotOptimize(secret);
    memory.deallocate(secret, secret_bytes);
  }
  memory.deallocate(kept, secret_bytes);
}
BENCHMARK(secret_secure)->Name("secret/tenure_secure");

// The library alone is enough; programs that are built with it need more.
void secret_sodium(benchmark::State& state) {
  void* const library = ::dlopen("libsodium.so.23", RTLD_NOW);
  if (library == nullptr) return state.SkipWithError("libsodium23 is not installed");
  reinterpret_cast<int (*)()>(::dlsym(library, "sodium_init"))();
  const auto take = reinterpret_cast<void* (*)(std::size_t)>(::dlsym(library, "sodium_malloc"));
  const auto give = reinterpret_cast<void (*)(void*)>(::dlsym(library, "sodium_free"));
  for (auto _ : state) {
    void* secret = take(secret_bytes);
    benchmark::DoNotOptimize(secret);
    give(secret);
  }
}
BENCHMARK(secret_sodium)->Name("secret/sodium_malloc");

}  // namespace
