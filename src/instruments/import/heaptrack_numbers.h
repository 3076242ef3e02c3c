// The numbers of a line of heaptrack's: hexadecimal, with a blank between. Once one of them is none, none that follows
// is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace tenure::importing {

class heaptrack_numbers {
 public:
  explicit heaptrack_numbers(std::string_view text) : text_(text) {}

  bool is_at_end() const { return text_.empty(); }
  bool ok() const { return ok_; }
  std::string_view rest() const { return text_; }
  std::uint64_t next() {
    std::size_t at = 0;
    std::uint64_t value = 0;
    for (int digit = 0; at < text_.size() && (digit = digit_of(text_[at])) >= 0; ++at)
      value = value << 4 | static_cast<std::uint64_t>(digit);
    const bool is_number = at != 0 && at <= 16 && (at == text_.size() || text_[at] == ' ');
    if (!is_number) return fail();
    text_.remove_prefix(std::min(at + 1, text_.size()));
    return value;
  }
  std::uint64_t next_below(std::uint64_t limit) {
    const std::uint64_t value = next();
    return value < limit ? value : fail();
  }
  // So many bytes of text, and the blank behind them.
  std::string_view text(std::uint64_t bytes) {
    const bool fits = bytes == text_.size() || (bytes < text_.size() && text_[bytes] == ' ');
    if (!fits) return fail(), std::string_view{};
    const std::string_view result = text_.substr(0, bytes);
    text_.remove_prefix(std::min<std::size_t>(bytes + 1, text_.size()));
    return result;
  }

 private:
  static int digit_of(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
  }
  std::uint64_t fail() {
    ok_ = false;
    text_ = {};
    return 0;
  }
  std::string_view text_;
  bool ok_ = true;
};

}  // namespace tenure::importing
