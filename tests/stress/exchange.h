// Stress shapes over any heap: a heap is its allocate, free and resize. Everything is drawn from a seed, so that a
// failure can be run again; the interleaving, of course, is the machine's.
//
// Each block carries its own check: its first words say how large it is and from which seed its content follows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::testing {

struct heap_functions {
  void* (*allocate)(std::size_t bytes);
  void (*free)(void* block);
  void* (*resize)(void* block, std::size_t bytes);
};

struct stress_size {
  unsigned threads = 4;
  std::uint64_t operations = 20000;  // of each thread
};

// Each returns how many blocks were found changed or could not be had: 0.

// All threads replace blocks in one table of slots: most frees are of blocks from other threads.
std::uint64_t exchange_blocks(const heap_functions& heap, const stress_size& size, std::uint64_t seed);
// Pairs of threads: one allocates, the other checks, resizes and frees.
std::uint64_t produce_and_consume(const heap_functions& heap, const stress_size& size, std::uint64_t seed);
// Threads that live briefly and leave blocks to those who come after.
std::uint64_t storm_of_threads(const heap_functions& heap, const stress_size& size, std::uint64_t seed);
// Many sizes, long and short lives, each thread for itself, with resizing.
std::uint64_t mix_sizes(const heap_functions& heap, const stress_size& size, std::uint64_t seed);

}  // namespace tenure::testing
