// The part of the calling thread's stack that is known to be readable.
//
// A walk reads what unwind information tells it to, and that may be wrong. Asking pthread for the stack's limits would
// allocate, so each thread remembers a range of pages around its stack pointer instead and widens it page by page, with
// one probing system call for each page seen for the first time. A walk that stays inside costs two comparisons a
// frame.
//
//   low ........ high      grows towards higher addresses as walks reach further out; starts anew below `low`
//
// The range lies in one word, so that a signal handler that walks in the middle of an update sees one range or the
// other.
#pragma once

#include <cstdint>

namespace tenure::telemetry {

class stack_window {
 public:
  // The range remembered by this thread if it holds `stack_pointer`, else the page of the stack pointer alone.
  // `trusted`: the stack pointer is the caller's own; otherwise its page is probed first.
  static stack_window around(std::uint64_t stack_pointer, bool trusted) noexcept;

  std::uint64_t low() const noexcept { return low_; }
  std::uint64_t high() const noexcept { return high_; }
  bool holds(std::uint64_t address, std::uint64_t bytes) const noexcept {
    return address >= low_ && address <= high_ && bytes <= high_ - address;
  }

  // Makes the window hold [address, address + bytes), at most a page, if that is readable.
  bool reach(std::uint64_t address, std::uint64_t bytes) noexcept;

  // For the thread's next walk.
  void remember() const noexcept;

 private:
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
  bool widened_ = false;
  bool moved_ = false;  // to another stack: not remembered
};

}  // namespace tenure::telemetry
