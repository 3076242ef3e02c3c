// Where objects were allocated: of one in so many bytes, the stack of the call, kept beside the object until it dies.
//
// While it lives it is in the heap's account, by its type and stack, where whoever watches the program reads it.
//
// As the heap of malloc samples: distances between samples are drawn from an exponential distribution over the bytes
// that a thread takes, so that each byte has the same chance whatever the pattern of calls. A thread takes no more
// cells at once than there are before the next sample, which is then the first cell of a run: what is sampled always
// comes by the slow path, and the fast path knows nothing of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tenure/call_site.hpp>
#include <tenure/gc/detail/descriptor.hpp>

#include "library/gc/window.h"

namespace tenure::gc::detail {

struct heap_state;

struct sample {
  call_site stack;
  std::size_t stands_for_bytes;
  std::uint64_t stands_for_thousandths;  // of objects
  std::uint32_t content;                 // its number in the heap's account; 0: it is not there
};

}  // namespace tenure::gc::detail

namespace tenure::gc {

// Of a thread, for all heaps.
class sample_clock {
 public:
  // How many cells of that size may be taken at once; with no interval, any number.
  std::size_t most_cells(std::size_t interval_bytes, std::size_t cell_bytes) noexcept;
  // So many have been: true when the first of them is to be sampled.
  bool pass(std::size_t interval_bytes, std::size_t taken_bytes) noexcept;

 private:
  void draw(std::size_t interval_bytes) noexcept;

  std::size_t left_bytes_ = 0;
  std::size_t drawn_of_ = 0;  // by which interval; of a heap with another the distance is drawn anew
  std::uint64_t random_ = 0;  // 0: not begun
};

// The calling thread has just allocated the object in the cell. Remembers nothing when there is no memory for it.
void take_sample(detail::heap_state& heap, const detail::type_descriptor& type, char* cell, std::size_t bytes) noexcept;
// The object is gone.
void end_sample(const detail::sample* ended) noexcept;

}  // namespace tenure::gc
