// Fault guard: a shared file may be cut short by the process on the other side while we read it, and touching a page
// beyond its end raises SIGBUS. Ranges under guard are given zero pages instead, and say that it happened.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::collect {

class fault_guard {
 public:
  fault_guard() = default;
  fault_guard(void* begin, std::size_t size_bytes);
  ~fault_guard() { release(); }
  fault_guard(fault_guard&& other) noexcept : slot_(other.slot_) { other.slot_ = no_slot; }
  fault_guard& operator=(fault_guard&& other) noexcept;

  // False when every slot was taken: such a range must not be read.
  bool is_armed() const { return slot_ != no_slot; }
  // A page of the range was missing when it was touched; it reads as zeroes since.
  bool has_faulted() const;

 private:
  static constexpr std::size_t no_slot = SIZE_MAX;
  void release();
  std::size_t slot_ = no_slot;
};

}  // namespace tenure::collect
