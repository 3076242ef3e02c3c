// Blocks that are freed by another thread than the one that allocated them, in two shapes.
//
// larson: a server. Each thread owns an array of slots and replaces the block in a random one; after a while the thread
//   ends and a new thread inherits its slots, so that it frees what a dead thread allocated.
//
//     chain 0:  thread a --slots--> thread b --slots--> thread c ...
//     chain 1:  thread d --slots--> thread e --slots--> thread f ...
//
// producer_consumer: a pipeline. Every block is allocated by one thread and freed by the other.
//
//     producer --[ ring of batches ]--> consumer
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <thread>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t larson_chains = 2;
constexpr std::size_t larson_slots = 2000;
constexpr std::uint64_t larson_generations = 100;
constexpr std::uint64_t larson_replacements = 250'000;

void replace_slots(std::vector<void*>& slots, std::uint64_t seed, std::uint64_t replacements) {
  random_source random(seed);
  for (std::uint64_t turn = 0; turn < replacements; ++turn) {
    const std::size_t index = random.below(larson_slots);
    std::free(slots[index]);
    const std::size_t size_bytes = 8 + random.below(992);
    slots[index] = std::malloc(size_bytes);
    touch(slots[index], size_bytes);
  }
}

void run_chain(std::size_t chain, std::uint64_t replacements) {
  std::vector<void*> slots(larson_slots);
  for (std::uint64_t generation = 0; generation < larson_generations; ++generation) {
    std::thread(replace_slots, std::ref(slots), chain * 1000 + generation, replacements).join();
  }
  for (void* block : slots) {
    std::free(block);
  }
}

std::uint64_t run_larson(std::uint64_t divisor) {
  const std::uint64_t replacements = larson_replacements / divisor;
  std::vector<std::thread> chains;
  for (std::size_t chain = 0; chain < larson_chains; ++chain) {
    chains.emplace_back(run_chain, chain, replacements);
  }
  for (std::thread& chain : chains) {
    chain.join();
  }
  return larson_chains * larson_generations * replacements;
}

constexpr std::size_t pipe_batch = 100;
constexpr std::size_t pipe_capacity = 64;
constexpr std::uint64_t pipe_batches = 60'000;

struct batch {
  std::array<void*, pipe_batch> blocks;
};

// One producer, one consumer; the waiting side gives its core away, as there may be fewer cores than threads.
class pipe_line {
 public:
  void put(const batch& filled) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    while (tail - head_.load(std::memory_order_acquire) == pipe_capacity) {
      sched_yield();
    }
    ring_[tail % pipe_capacity] = filled;
    tail_.store(tail + 1, std::memory_order_release);
  }

  batch take() {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    while (tail_.load(std::memory_order_acquire) == head) {
      sched_yield();
    }
    const batch taken = ring_[head % pipe_capacity];
    head_.store(head + 1, std::memory_order_release);
    return taken;
  }

 private:
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::array<batch, pipe_capacity> ring_{};
};

pipe_line pipe_between;

void produce(std::uint64_t batches) {
  random_source random(21);
  batch filled{};
  for (std::uint64_t turn = 0; turn < batches; ++turn) {
    for (void*& block : filled.blocks) {
      const std::size_t size_bytes = 16 + random.below(240);
      block = std::malloc(size_bytes);
      touch(block, size_bytes);
    }
    pipe_between.put(filled);
  }
}

std::uint64_t run_producer_consumer(std::uint64_t divisor) {
  const std::uint64_t batches = pipe_batches / divisor;
  std::thread producer(produce, batches);
  std::thread consumer([batches] {
    for (std::uint64_t turn = 0; turn < batches; ++turn) {
      for (void* block : pipe_between.take().blocks) {
        std::free(block);
      }
    }
  });
  producer.join();
  consumer.join();
  return batches * pipe_batch;
}

constexpr workload all[] = {
    {"larson", "two chains of threads replace random slots and hand them to their successor", run_larson},
    {"producer_consumer", "every block of 16..255 bytes is freed by another thread", run_producer_consumer},
};

}  // namespace

workload_list hand_over_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
