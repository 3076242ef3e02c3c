// What a thread's own processor time goes to the collector, call by call, with a live heap of some size beside it and,
// if wanted, somebody who wants both processors; and what the whole costs as the heap and the threads grow.
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>

#include "tables.h"

namespace tenure::bench {

namespace {

// Threads that do nothing, one on each processor.
class hogs {
 public:
  explicit hogs(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(i, &set);
        ::sched_setaffinity(0, sizeof set, &set);
        while (!over_.load(std::memory_order_relaxed)) continue;
      });
    }
  }
  ~hogs() {
    over_ = true;
    for (std::thread& each : threads_) each.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

void pauses(std::size_t live_mib, unsigned threads, std::uint64_t operations, bool with_hogs) {
  gc::heap heap({.name = "pauses"});
  tables all(heap, live_mib << 20, threads);
  duration_histogram entries;
  std::atomic<std::uint64_t> waited_ns{0};
  std::atomic<std::uint64_t> working_ns{0};
  std::uint64_t collector_before_ns = 0;
  double wall_before = 0;
  std::latch filled(threads + 1);
  std::latch started(1);
  std::latch measured(1);
  std::latch ended(threads);
  std::vector<std::thread> workers;
  for (unsigned thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      all.fill(thread);
      filled.arrive_and_wait();
      started.wait();
      const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
      std::uint64_t state = 0x9e3779b97f4a7c15u * (thread + 1);
      for (std::uint64_t i = 0; i < operations / threads; ++i) all.replace(thread, state);
      working_ns += static_cast<std::uint64_t>((seconds(CLOCK_THREAD_CPUTIME_ID) - before) * 1e9);
      ended.count_down();
      measured.wait();  // what is told of a thread goes with it
    });
  }
  filled.arrive_and_wait();
  const gc::heap_statistics before = heap.statistics();
  collector_before_ns = before.collector_ns;
  {
    const hogs busy(with_hogs ? std::max(1u, std::thread::hardware_concurrency()) : 0);
    gc::measure_entries(true);
    wall_before = seconds(CLOCK_MONOTONIC);
    started.count_down();
    ended.wait();
  }
  const double wall = seconds(CLOCK_MONOTONIC) - wall_before;
  gc::measure_entries(false);
  for (const gc::thread_figures& each : gc::thread_statistics()) {
    entries += each.entries;
    waited_ns += each.waited_ns;
  }
  const gc::heap_statistics after = heap.statistics();
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  measured.count_down();
  for (std::thread& worker : workers) worker.join();
  const auto us = [](duration_histogram::duration of) { return static_cast<double>(of.count()) / 1000; };
  const auto each = [&](std::uint64_t ns) { return static_cast<double>(ns) / static_cast<double>(operations); };
  std::printf(
      "pauses live_mib %zu threads %u hogs %d entries %llu median_us %.2f p99_us %.2f p999_us %.2f max_us %.2f "
      "waited_s %.2f wall_s %.2f program_ns %.1f collector_ns %.1f cycles %llu stopped_us %.1f live_bytes %zu "
      "block_bytes %zu peak_mib %ld\n",
      live_mib, threads, with_hogs ? 1 : 0, static_cast<unsigned long long>(entries.count()), us(entries.quantile(0.5)),
      us(entries.quantile(0.99)), us(entries.quantile(0.999)), us(entries.most()),
      static_cast<double>(waited_ns.load()) / 1e9, wall, each(working_ns.load()),
      each(after.collector_ns - collector_before_ns), static_cast<unsigned long long>(after.cycles - before.cycles),
      static_cast<double>(after.longest_stop_ns) / 1000, after.live_bytes, after.block_bytes, used.ru_maxrss / 1024);
}

// Objects of 64 bytes in a tree whose order has nothing to do with where they lie, each with two more links anywhere.
void marking(std::size_t live_mib) {
  struct node {
    gc::member<node> links[4];
    std::uint64_t words[3];
  };
  gc::heap heap({.name = "marking", .growth_percent = 1000});
  const std::size_t count = (live_mib << 20) / (sizeof(node) + sizeof(void*));
  gc::root<node> top;
  {
    const auto all = heap.make_array<gc::member<node>>(count);
    for (std::size_t i = 0; i < count; ++i) (*all)[i] = heap.make<node>();
    std::uint64_t state = 88172645463325252u;
    const auto below = [&](std::size_t limit) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      return state % limit;
    };
    for (std::size_t i = count; i > 1; --i) swap((*all)[i - 1], (*all)[below(i)]);
    for (std::size_t i = 0; i < count; ++i) {
      if (2 * i + 1 < count) (*all)[i]->links[0] = (*all)[2 * i + 1];
      if (2 * i + 2 < count) (*all)[i]->links[1] = (*all)[2 * i + 2];
      (*all)[i]->links[2] = (*all)[below(count)];
      (*all)[i]->links[3] = (*all)[below(count)];
    }
    top = (*all)[0].get();
  }
  heap.collect();
  for (int round = 0; round < 3; ++round) {
    heap.collect();
    const gc::cycle_event cycle = heap.last_cycles().back();
    std::printf("marking live_mib %zu objects %llu cycle_s %.3f processor_s %.3f ns_an_object %.1f s_a_gib %.3f\n",
                live_mib, static_cast<unsigned long long>(cycle.marked_objects),
                static_cast<double>(cycle.cycle_ns) / 1e9, static_cast<double>(cycle.collector_ns) / 1e9,
                static_cast<double>(cycle.collector_ns) / static_cast<double>(cycle.marked_objects),
                static_cast<double>(cycle.collector_ns) / 1e9 * 1024 / static_cast<double>(live_mib));
  }
}

}  // namespace tenure::bench
