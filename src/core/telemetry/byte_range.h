// Bytes that may be read, by address, and a reader that never leaves them.
//
// Unwind information is input: it comes from whatever file the program has mapped. A read outside the range yields
// zero and marks the reader as failed; callers look once, at the end.
#pragma once

#include <cstdint>
#include <cstring>

namespace tenure::telemetry {

struct byte_range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  bool holds(std::uint64_t address, std::uint64_t bytes) const noexcept {
    return address >= begin && address <= end && bytes <= end - address;
  }
};

class byte_reader {
 public:
  byte_reader(byte_range range, std::uint64_t position) noexcept : range_(range), position_(position) {
    if (!range_.holds(position, 0)) fail();
  }

  bool ok() const noexcept { return ok_; }
  void fail() noexcept {
    ok_ = false;
    position_ = range_.end;
  }
  std::uint64_t position() const noexcept { return position_; }
  bool at_end() const noexcept { return position_ >= range_.end; }

  template <class T>
  T read() noexcept {
    T value{};
    if (!range_.holds(position_, sizeof value)) return fail(), value;
    std::memcpy(&value, reinterpret_cast<const void*>(position_), sizeof value);
    position_ += sizeof value;
    return value;
  }

  void skip(std::uint64_t bytes) noexcept {
    if (!range_.holds(position_, bytes)) return fail();
    position_ += bytes;
  }

  std::uint64_t read_uleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = read<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0 || !ok_) return value;
    }
  }

  std::int64_t read_sleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = read<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) != 0 && ok_) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~0ull << shift;
      return static_cast<std::int64_t>(value);
    }
  }

 private:
  byte_range range_;
  std::uint64_t position_;
  bool ok_ = true;
};

}  // namespace tenure::telemetry
