// Bytes of a block, written and read field by field.
//
// Numbers are varints: seven bits a byte, the lowest first, the top bit of a byte says that more follow; at most ten
// bytes. Signed ones are zigzagged. A text is its length and its bytes. Reading past the end yields zero and marks the
// reader as failed; callers look once, at the end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tenure::record {

class byte_writer {
 public:
  byte_writer() = default;
  byte_writer(byte_writer&& other) noexcept
      : bytes_(std::move(other.bytes_)),
        capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  byte_writer& operator=(byte_writer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(capacity_, other.capacity_);
    std::swap(size_, other.size_);
    return *this;
  }

  void number(std::uint64_t value) {
    constexpr std::size_t longest = 10;
    std::uint8_t* to = room(longest);
    for (; value >= 0x80; value >>= 7) *to++ = static_cast<std::uint8_t>(value | 0x80);
    *to++ = static_cast<std::uint8_t>(value);
    size_ = static_cast<std::size_t>(to - bytes_.get());
  }
  void signed_number(std::int64_t value) {
    number(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }
  void text(std::string_view value) {
    number(value.size());
    append_bytes({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
  }
  void append(const byte_writer& other) {
    number(other.size_);
    append_bytes(other.bytes());
  }
  void append_bytes(std::span<const std::uint8_t> other) {
    if (other.empty()) return;
    std::memcpy(room(other.size()), other.data(), other.size());
    size_ += other.size();
  }
  std::span<const std::uint8_t> bytes() const { return {bytes_.get(), size_}; }
  std::size_t size() const { return size_; }
  void clear() { size_ = 0; }

 private:
  // Where the next bytes go; there is room for so many.
  std::uint8_t* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(size_ + bytes);
    return bytes_.get() + size_;
  }
  // Not a vector: what is about to be written need not be zero first.
  void grow(std::size_t least_bytes) {
    constexpr std::size_t least_capacity = 64;
    capacity_ = std::max(least_bytes, capacity_ * 2 + least_capacity);
    auto more = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
    if (size_ != 0) std::memcpy(more.get(), bytes_.get(), size_);
    bytes_ = std::move(more);
  }

  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

class byte_reader {
 public:
  explicit byte_reader(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint64_t number() {
    if (at_ != end_ && *at_ < 0x80) [[likely]]
      return *at_++;
    return long_number();
  }
  std::uint64_t long_number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (at_ == end_) return fail();
      const std::uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return fail();
  }
  std::int64_t signed_number() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  // Below `limit`; else the reader has failed.
  std::uint64_t number_below(std::uint64_t limit) {
    const std::uint64_t value = number();
    return value < limit ? value : fail();
  }
  // A count of things that take at least one byte each.
  std::uint64_t count() {
    const std::uint64_t value = number();
    return value <= left() ? value : fail();
  }
  std::string text() {
    const std::uint64_t length = count();
    std::string value(reinterpret_cast<const char*>(at_), length);
    at_ += length;
    return value;
  }
  byte_reader part() {
    const std::uint64_t length = count();
    byte_reader result({at_, length});
    at_ += length;
    return result;
  }

  void skip(std::uint64_t bytes) {
    if (bytes > left())
      fail();
    else
      at_ += bytes;
  }
  // All that is left.
  std::string rest() {
    std::string value(reinterpret_cast<const char*>(at_), left());
    at_ = end_;
    return value;
  }

  std::uint64_t left() const { return static_cast<std::uint64_t>(end_ - at_); }
  bool ok() const { return ok_; }
  std::uint64_t fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool ok_ = true;
};

}  // namespace tenure::record
