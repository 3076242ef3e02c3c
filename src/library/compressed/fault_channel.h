// userfaultfd for one range of shared memory: the kernel tells of each touch of a page that is not there (missing) or
// not mapped (minor), and the thread that touched waits until the answer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::resources {

class fault_channel {
 public:
  // Throws std::system_error, which says what to do.
  explicit fault_channel(bool must_serve_system_calls);
  ~fault_channel();
  fault_channel(const fault_channel&) = delete;
  fault_channel& operator=(const fault_channel&) = delete;

  void watch(std::uintptr_t begin, std::size_t bytes);

  int descriptor() const noexcept { return file_; }
  bool serves_system_calls() const noexcept { return serves_system_calls_; }
  // The addresses of faults that wait, at most so many.
  std::size_t read_faults(std::uintptr_t* addresses, std::size_t most) const noexcept;

  // Each wakes who waits for the page. False without memory for it; a page that is there already is no error.
  bool put_zeros(std::uintptr_t page, std::size_t bytes) const noexcept;
  bool put_content(std::uintptr_t page, const void* content, std::size_t bytes) const noexcept;
  bool map_what_is_there(std::uintptr_t page, std::size_t bytes) const noexcept;

  // Null, or what is missing.
  static const char* why_not() noexcept;

 private:
  void wake(std::uintptr_t page, std::size_t bytes) const noexcept;

  int file_ = -1;
  bool serves_system_calls_ = false;
};

}  // namespace tenure::resources
