// A workload of the heap benchmark: a fixed amount of work on the allocator the process happens to have.
//
// Every workload is a function from a divisor to the number of operations it did. The divisor shortens the run and
// never the working set, so that a quick run shows the same memory as a full one. Seeds are constants: two runs do the
// same calls in the same order, as far as one thread's order goes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::bench {

struct workload {
  const char* name;
  const char* what;  // One line for --list and for the document.
  std::uint64_t (*run)(std::uint64_t divisor);
};

// xorshift64*: two shifts and a multiplication, so that the generator is not what is measured.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}

  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dULL;
  }

  // Uniform in [0, bound), bound below 2^32.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(((next() >> 32) * bound) >> 32); }

  // Small sizes are common and large ones rare, as in programs: uniform over the octaves, then within the octave.
  std::size_t size_between(unsigned octave_first, unsigned octave_last) {
    const std::size_t base = std::size_t{1} << (octave_first + below(octave_last - octave_first));
    return base + below(base);
  }

 private:
  std::uint64_t state_;
};

// Makes the compiler believe that somebody else sees the block, so that neither the block nor a write to it is dropped.
inline void escape(void* block) { asm volatile("" : : "r"(block) : "memory"); }

// Writes the first word, or one byte of each OS page for what is larger: a block nobody writes to is
// not what programs allocate.
inline void touch(void* block, std::size_t size_bytes) {
  char* bytes = static_cast<char*>(block);
  for (std::size_t offset = 0; offset < size_bytes; offset += 4096) {
    bytes[offset] = 1;
  }
  escape(block);
}

// One list for each file of workloads/; main.cc strings them together.
struct workload_list {
  const workload* first;
  std::size_t count;
};
workload_list pair_workloads();
workload_list batch_workloads();
workload_list hand_over_workloads();
workload_list mixed_workloads();
workload_list large_workloads();
workload_list growth_workloads();
workload_list storm_workloads();
workload_list container_workloads();
workload_list string_workloads();
workload_list phase_workloads();
workload_list exchange_workloads();
workload_list zeroed_workloads();
workload_list tree_workloads();

// Not part of the matrix, as each prints a line of its own; exit codes.
int run_burst();
int run_scattered();
int run_scaling(const char* threads);
int run_strands();
int run_replay(const char* trace);

}  // namespace tenure::bench
