// A reference model of the heap: what the program has asked for and not given back, kept in memory that is not the
// heap's. It says what must be true of the heap after any sequence of operations.
//
//   slots[capacity]   place, size, alignment, seed of the content, owning heap
//
// The model allocates nothing, so that between two walks of the heap the only blocks that come and go are its own.
#pragma once

#include <tenure/tenure.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace tenure::testing {

// The C interface of the library under test, by name, because the program is not linked with it.
struct heap_interface {
  decltype(&::tenure_block_start) block_start;
  decltype(&::tenure_block_size) block_size;
  decltype(&::tenure_walk) walk;
  decltype(&::tenure_statistics_get) statistics_get;
  decltype(&::tenure_option_set) option_set;
  decltype(&::tenure_purge) purge;
  decltype(&::tenure_check) check;
  decltype(&::tenure_heap_create) heap_create;
  decltype(&::tenure_heap_allocate) heap_allocate;
  decltype(&::tenure_heap_free) heap_free;
  decltype(&::tenure_heap_statistics) heap_statistics;
  decltype(&::tenure_heap_destroy) heap_destroy;
};
const heap_interface& heap_under_test();

enum class operation_kind : std::uint8_t {
  allocate,
  allocate_zeroed,
  allocate_aligned,
  resize,
  free,
  free_from_interior_start,
  heap_allocate,
  heap_free,
  heap_destroy,
  purge,
  count_
};

struct operation {
  operation_kind kind;
  std::uint8_t slot;
  std::uint8_t alignment_power;
  std::uint32_t size_bytes;
};
std::string to_text(const operation& what);

class heap_model {
 public:
  heap_model();
  ~heap_model();  // frees what is left
  heap_model(const heap_model&) = delete;
  heap_model& operator=(const heap_model&) = delete;

  // Null when the heap did as the model expects, else a sentence.
  const char* apply(const operation& what);
  // Everything that can be said of the whole: content, overlap, interior pointers, walk, statistics.
  const char* compare();

 private:
  static constexpr std::size_t slot_count = 256;
  static constexpr std::size_t heap_count = 2;
  static constexpr int default_heap = -1;

  struct slot {
    char* place = nullptr;
    std::size_t size = 0;
    std::size_t usable = 0;
    std::uint64_t seed = 0;
    int heap = default_heap;
  };

  const char* place_block(slot& into, void* block, std::size_t size, std::size_t alignment, int heap);
  const char* resize(slot& which, std::size_t size);
  const char* release(slot& which);
  const char* destroy_heap(int which);
  const char* compare_content() const;
  const char* compare_overlap() const;
  const char* compare_interior() const;
  const char* compare_walk();
  const char* compare_statistics() const;

  slot slots_[slot_count];
  tenure_heap* heaps_[heap_count] = {};
  std::uint64_t next_seed_ = 1;
  tenure_statistics before_{};
  std::size_t walked_before_ = 0;
};

}  // namespace tenure::testing
