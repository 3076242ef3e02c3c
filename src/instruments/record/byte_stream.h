// Bytes of a block, written and read field by field.
//
// Numbers are varints: seven bits a byte, the lowest first, the top bit of a byte says that more follow; at most ten
// bytes. Signed ones are zigzagged. A text is its length and its bytes. Reading past the end yields zero and marks the
// reader as failed; callers look once, at the end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenure::record {

class byte_writer {
 public:
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::uint8_t>(value | 0x80));
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void signed_number(std::int64_t value) {
    number(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }
  void text(std::string_view value) {
    number(value.size());
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  void append(const byte_writer& other) {
    number(other.bytes_.size());
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
  }
  void append_bytes(std::span<const std::uint8_t> other) { bytes_.insert(bytes_.end(), other.begin(), other.end()); }
  std::span<const std::uint8_t> bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::uint8_t> bytes_;
};

class byte_reader {
 public:
  explicit byte_reader(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint64_t number() {
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
