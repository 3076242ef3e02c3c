#include "core/base/format.h"

#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace tenure::core {

text_writer& text_writer::add(const char* text, std::size_t length) noexcept {
  if (needed_ < capacity_) {
    const std::size_t room = capacity_ - needed_;
    std::memcpy(buffer_ + needed_, text, length < room ? length : room);
  }
  needed_ += length;
  return *this;
}

text_writer& text_writer::add(const char* text) noexcept { return add(text, std::strlen(text)); }

text_writer& text_writer::add_decimal(std::uint64_t value) noexcept { return add_decimal(value, 0); }

text_writer& text_writer::add_decimal(std::uint64_t value, unsigned width) noexcept {
  char digits[20];
  unsigned count = 0;
  do {
    digits[sizeof digits - ++count] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (unsigned i = count; i < width; ++i) add(" ", 1);
  return add(digits + sizeof digits - count, count);
}

text_writer& text_writer::add_hex(std::uint64_t value) noexcept {
  char digits[16];
  unsigned count = 0;
  do {
    digits[sizeof digits - ++count] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  return add("0x", 2).add(digits + sizeof digits - count, count);
}

text_writer& text_writer::add_bytes(std::uint64_t bytes) noexcept {
  static constexpr const char* units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  unsigned unit = 0;
  std::uint64_t tenths = bytes * 10;
  while (tenths >= 10240 && unit < 4) {
    tenths = (tenths + 512) / 1024;
    ++unit;
  }
  add_decimal(tenths / 10);
  if (unit != 0) add(".", 1).add_decimal(tenths % 10);
  return add(units[unit]);
}

bool write_all(int file_descriptor, const char* data, std::size_t size_bytes) noexcept {
  const int saved_errno = errno;
  bool complete = true;
  while (size_bytes != 0) {
    const ssize_t written = ::write(file_descriptor, data, size_bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      complete = false;
      break;
    }
    data += written;
    size_bytes -= static_cast<std::size_t>(written);
  }
  errno = saved_errno;
  return complete;
}

void message::write_to(int file_descriptor) const noexcept { write_all(file_descriptor, data(), size_bytes()); }

}  // namespace tenure::core
