// Text without allocation: builds a message in a buffer of its own and writes it with one system call. A message that
// does not fit is cut, never overrun.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

// Appends to a caller's buffer. What does not fit is counted in `needed_bytes()` and left out.
class text_writer {
 public:
  text_writer(char* buffer, std::size_t capacity_bytes) noexcept : buffer_(buffer), capacity_(capacity_bytes) {}

  text_writer& add(const char* text) noexcept;
  text_writer& add(const char* text, std::size_t length) noexcept;
  text_writer& add_decimal(std::uint64_t value) noexcept;
  text_writer& add_decimal(std::uint64_t value, unsigned width) noexcept;  // right-aligned
  text_writer& add_hex(std::uint64_t value) noexcept;                      // with 0x
  text_writer& add_bytes(std::uint64_t bytes) noexcept;                    // "1.5 MiB"

  const char* data() const noexcept { return buffer_; }
  std::size_t size_bytes() const noexcept { return needed_ < capacity_ ? needed_ : capacity_; }
  std::size_t needed_bytes() const noexcept { return needed_; }

 private:
  char* buffer_;
  std::size_t capacity_;
  std::size_t needed_ = 0;
};

// A message of at most 4 KiB on the stack.
class message : public text_writer {
 public:
  message() noexcept : text_writer(storage_, sizeof storage_) {}
  void write_to(int file_descriptor) const noexcept;

 private:
  char storage_[4096];
};

// Writes all of it, through interruptions. False when the descriptor refuses.
bool write_all(int file_descriptor, const char* data, std::size_t size_bytes) noexcept;

}  // namespace tenure::core
