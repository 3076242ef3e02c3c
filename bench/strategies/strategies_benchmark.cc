// The library's strategies beside what people use otherwise, side by side in one run.
//
//   arena/*        64-byte objects, a hundred thousand a round, all given up at once; a warm loop
//   pair/*         one 64-byte block taken and given back, hot
//   batch/*        ten thousand 64-byte blocks taken, then given back in random order
//   shared/*       one object made and ended, by 1 to 16 threads on one pool
//   destroy/*      objects ended in random order, by how many there are
//   sizes/*        blocks of 1 to 1024 bytes in a seeded mix of sizes, ten thousand alive (resources_benchmark.cc)
//   frame/*        ten thousand objects a frame, two frames alive
//   large/*        a block of 1 MiB taken, its pages touched, and given back
//   random/*       one word of 256 MiB read at random
//   secret/*       one secret of 64 bytes taken and given back; libsodium's where it is installed
//   adaptor/*      one 64-byte block of operator new, taken and given back through an adaptor (adaptors_benchmark.cc)
//
// Blocks go through DoNotOptimize, so that no pair is left out. `pmr` behind a name: through the virtual interface.
#include <benchmark/benchmark.h>
#include <tenure/arena.hpp>
#include <tenure/buddy.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/object_pool.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory_resource>
#include <mutex>
#include <random>
#include <vector>

#ifdef TENURE_HAS_BOOST
#include <boost/container/pmr/unsynchronized_pool_resource.hpp>
#include <boost/pool/object_pool.hpp>
#include <boost/pool/pool.hpp>
#endif

namespace {

constexpr std::size_t object_bytes = 64;
constexpr std::size_t round_objects = 100'000;

struct object {
  std::array<std::uint64_t, object_bytes / 8> words;
};

// Time for each object, whatever a round holds.
void tell_each(benchmark::State& state, std::size_t objects) {
  state.counters["each"] = benchmark::Counter(
      static_cast<double>(objects), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void arena_tenure(benchmark::State& state) {
  tenure::arena memory({.name = "bench", .checks = tenure::resource_checks::off});
  for (auto _ : state) {
    for (std::size_t i = 0; i < round_objects; ++i) benchmark::DoNotOptimize(memory.allocate(object_bytes, 8));
    memory.reset();
  }
  tell_each(state, round_objects);
}
BENCHMARK(arena_tenure)->Name("arena/tenure");

void take_through_pmr(benchmark::State& state, std::pmr::memory_resource& memory) {
  for (std::size_t i = 0; i < round_objects; ++i) benchmark::DoNotOptimize(memory.allocate(object_bytes, 8));
  static_cast<void>(state);
}

void arena_tenure_pmr(benchmark::State& state) {
  tenure::arena memory({.name = "bench", .checks = tenure::resource_checks::off});
  for (auto _ : state) {
    take_through_pmr(state, memory);
    memory.reset();
  }
  tell_each(state, round_objects);
}
BENCHMARK(arena_tenure_pmr)->Name("arena/tenure_pmr");

void arena_std_monotonic(benchmark::State& state) {
  std::vector<std::byte> buffer((round_objects + 16) * object_bytes);
  std::pmr::monotonic_buffer_resource memory(buffer.data(), buffer.size());
  for (auto _ : state) {
    take_through_pmr(state, memory);
    memory.release();  // back to the buffer: as warm as can be
  }
  tell_each(state, round_objects);
}
BENCHMARK(arena_std_monotonic)->Name("arena/std_monotonic");

void arena_malloc(benchmark::State& state) {
  std::vector<void*> blocks(round_objects);
  for (auto _ : state) {
    for (void*& one : blocks) one = std::malloc(object_bytes);
    for (void* one : blocks) std::free(one);
  }
  tell_each(state, round_objects);
}
BENCHMARK(arena_malloc)->Name("arena/malloc_free");

// --- one block, hot

template <class Take, class Give>
void pair_of(benchmark::State& state, Take take, Give give) {
  for (auto _ : state) {
    void* block = take();
    benchmark::DoNotOptimize(block);
    give(block);
  }
}

void pair_through_pmr(benchmark::State& state, std::pmr::memory_resource& memory) {
  pair_of(
      state, [&] { return memory.allocate(object_bytes); },
      [&](void* block) { memory.deallocate(block, object_bytes); });
}

void pair_fixed_pool(benchmark::State& state) {
  tenure::fixed_pool memory({.name = "bench", .block_bytes = object_bytes, .checks = tenure::resource_checks::off});
  pair_of(
      state, [&] { return memory.allocate(object_bytes); }, [&](void* block) { memory.deallocate(block); });
}
BENCHMARK(pair_fixed_pool)->Name("pair/tenure_fixed_pool");

void pair_fixed_pool_pmr(benchmark::State& state) {
  tenure::fixed_pool memory({.name = "bench", .block_bytes = object_bytes, .checks = tenure::resource_checks::off});
  pair_through_pmr(state, memory);
}
BENCHMARK(pair_fixed_pool_pmr)->Name("pair/tenure_fixed_pool_pmr");

void pair_object_pool(benchmark::State& state) {
  tenure::object_pool<object> pool({.name = "bench", .checks = tenure::resource_checks::off});
  pair_of(
      state, [&] { return pool.make(); }, [&](void* block) { pool.destroy(static_cast<object*>(block)); });
}
BENCHMARK(pair_object_pool)->Name("pair/tenure_object_pool");

void pair_buddy(benchmark::State& state) {
  tenure::buddy memory({.name = "bench", .bytes = 64 << 20, .smallest_bytes = 64});
  pair_through_pmr(state, memory);
}
BENCHMARK(pair_buddy)->Name("pair/tenure_buddy_64MiB");

void pair_std_unsynchronized(benchmark::State& state) {
  std::pmr::unsynchronized_pool_resource memory;
  pair_through_pmr(state, memory);
}
BENCHMARK(pair_std_unsynchronized)->Name("pair/std_unsynchronized_pool");

void pair_std_synchronized(benchmark::State& state) {
  std::pmr::synchronized_pool_resource memory;
  pair_through_pmr(state, memory);
}
BENCHMARK(pair_std_synchronized)->Name("pair/std_synchronized_pool");

void pair_malloc(benchmark::State& state) {
  pair_of(
      state, [] { return std::malloc(object_bytes); }, [](void* block) { std::free(block); });
}
BENCHMARK(pair_malloc)->Name("pair/malloc_free");

#ifdef TENURE_HAS_BOOST
void pair_boost_pool(benchmark::State& state) {
  boost::pool<> memory(object_bytes);
  pair_of(
      state, [&] { return memory.malloc(); }, [&](void* block) { memory.free(block); });
}
BENCHMARK(pair_boost_pool)->Name("pair/boost_pool");

void pair_boost_unsynchronized(benchmark::State& state) {
  boost::container::pmr::unsynchronized_pool_resource memory;
  pair_of(
      state, [&] { return memory.allocate(object_bytes); },
      [&](void* block) { memory.deallocate(block, object_bytes); });
}
BENCHMARK(pair_boost_unsynchronized)->Name("pair/boost_unsynchronized_pool");
#endif

// --- many blocks, random order

template <class Take, class Give>
void batch_of(benchmark::State& state, Take take, Give give) {
  constexpr std::size_t count = 10'000;
  std::vector<void*> blocks(count);
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  std::mt19937_64 dice(1);
  std::shuffle(order.begin(), order.end(), dice);
  for (auto _ : state) {
    for (void*& one : blocks) one = take();
    for (const std::size_t i : order) give(blocks[i]);
  }
  tell_each(state, count);
}

void batch_fixed_pool(benchmark::State& state) {
  tenure::fixed_pool memory({.name = "bench", .block_bytes = object_bytes, .checks = tenure::resource_checks::off});
  batch_of(
      state, [&] { return memory.allocate(object_bytes); }, [&](void* block) { memory.deallocate(block); });
}
BENCHMARK(batch_fixed_pool)->Name("batch/tenure_fixed_pool");

void batch_std_unsynchronized(benchmark::State& state) {
  std::pmr::unsynchronized_pool_resource memory;
  batch_of(
      state, [&] { return memory.allocate(object_bytes); },
      [&](void* block) { memory.deallocate(block, object_bytes); });
}
BENCHMARK(batch_std_unsynchronized)->Name("batch/std_unsynchronized_pool");

void batch_malloc(benchmark::State& state) {
  batch_of(
      state, [] { return std::malloc(object_bytes); }, [](void* block) { std::free(block); });
}
BENCHMARK(batch_malloc)->Name("batch/malloc_free");

// --- threads on one pool

tenure::object_pool<object>& shared_pool() {
  static tenure::object_pool<object> pool({.name = "bench shared", .checks = tenure::resource_checks::off});
  return pool;
}

void shared_object_pool(benchmark::State& state) {
  auto& pool = shared_pool();
  for (auto _ : state) {
    object* made = pool.make();
    benchmark::DoNotOptimize(made);
    pool.destroy(made);
  }
}
BENCHMARK(shared_object_pool)->Name("shared/tenure_object_pool")->ThreadRange(1, 16);

void shared_std_synchronized(benchmark::State& state) {
  static std::pmr::synchronized_pool_resource memory;
  for (auto _ : state) {
    void* made = memory.allocate(object_bytes);
    benchmark::DoNotOptimize(made);
    memory.deallocate(made, object_bytes);
  }
}
BENCHMARK(shared_std_synchronized)->Name("shared/std_synchronized_pool")->ThreadRange(1, 16);

void shared_malloc(benchmark::State& state) {
  for (auto _ : state) {
    void* made = std::malloc(object_bytes);
    benchmark::DoNotOptimize(made);
    std::free(made);
  }
}
BENCHMARK(shared_malloc)->Name("shared/malloc_free")->ThreadRange(1, 16);

// --- the end of one of many objects

template <class Make, class Destroy>
void destroy_random(benchmark::State& state, Make make, Destroy destroy) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<object*> all(count);
  std::mt19937_64 dice(2);
  for (auto _ : state) {
    state.PauseTiming();
    for (object*& one : all) one = make();
    std::shuffle(all.begin(), all.end(), dice);
    state.ResumeTiming();
    for (object* one : all) destroy(one);
  }
  tell_each(state, count);
}

// What the processor takes to write a word of each object, in the same order: no way to end one is quicker.
void destroy_nothing(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  tenure::object_pool<object> pool({.name = "bench", .checks = tenure::resource_checks::off});
  std::vector<object*> all(count);
  for (object*& one : all) one = pool.make();
  std::shuffle(all.begin(), all.end(), std::mt19937_64(2));
  for (auto _ : state) {
    for (object* one : all) {
      one->words[0] = 1;
      benchmark::ClobberMemory();
    }
  }
  for (object* one : all) pool.destroy(one);
  tell_each(state, count);
}
// The same, with a count of each object that is read, and a link to the one before: what any list of free objects that
// sees a second end has to do.
void destroy_with_a_list(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  tenure::object_pool<object> pool({.name = "bench", .checks = tenure::resource_checks::off});
  std::vector<object*> all(count);
  for (object*& one : all) *(one = pool.make()) = {};
  std::shuffle(all.begin(), all.end(), std::mt19937_64(2));
  object* free_objects = nullptr;
  std::uint64_t round = 0;
  for (auto _ : state) {
    for (object* one : all) {
      if (one->words[0] != round) std::abort();
      one->words[0] = round + 1;
      one->words[1] = reinterpret_cast<std::uint64_t>(free_objects);
      benchmark::DoNotOptimize(free_objects = one);
    }
    ++round;
  }
  for (object* one : all) pool.destroy(one);
  tell_each(state, count);
}

void destroy_of_each_size(benchmark::internal::Benchmark* of) {
  for (std::int64_t count = 1000; count <= 10'000'000; count *= 10) of->Arg(count);
}
BENCHMARK(destroy_with_a_list)->Name("destroy/count_and_list")->Apply(destroy_of_each_size)->MinTime(0.05);
BENCHMARK(destroy_nothing)->Name("destroy/one_word_written")->Apply(destroy_of_each_size)->MinTime(0.05);

void destroy_object_pool(benchmark::State& state) {
  tenure::object_pool<object> pool({.name = "bench", .checks = tenure::resource_checks::off});
  destroy_random(
      state, [&] { return pool.make(); }, [&](object* one) { pool.destroy(one); });
}
BENCHMARK(destroy_object_pool)->Name("destroy/tenure_object_pool")->Apply(destroy_of_each_size)->MinTime(0.05);

#ifdef TENURE_HAS_BOOST
void destroy_boost(benchmark::State& state) {
  boost::object_pool<object> pool;
  destroy_random(
      state, [&] { return pool.construct(); }, [&](object* one) { pool.destroy(one); });
}
BENCHMARK(destroy_boost)->Name("destroy/boost_object_pool")->RangeMultiplier(10)->Range(1000, 10'000)->Iterations(1);
#endif

void destroy_delete(benchmark::State& state) {
  destroy_random(
      state, [] { return new object; }, [](object* one) { delete one; });
}
BENCHMARK(destroy_delete)->Name("destroy/delete")->Apply(destroy_of_each_size)->MinTime(0.05);

}  // namespace

BENCHMARK_MAIN();
