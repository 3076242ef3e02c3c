#include <tenure/adaptor/logging_resource_adaptor.hpp>

#include <algorithm>
#include <charconv>
#include <ostream>
#include <stdexcept>

namespace tenure {
namespace {

constexpr std::size_t buffer_bytes = 16384;
constexpr std::size_t longest_line_bytes = 100;  // four numbers of at most twenty digits

bool is_control(char one) noexcept { return static_cast<unsigned char>(one) < ' ' || one == '\x7f'; }

}  // namespace

logging_resource_adaptor::logging_resource_adaptor(const logging_options& options)
    : resource_adaptor(options.name, "logging adaptor", options.parent, options.upstream), to_(options.to) {
  if (to_ == nullptr) throw std::invalid_argument("tenure::logging_resource_adaptor: a stream to write to");
  buffer_.reserve(buffer_bytes);
  buffer_.append("tenure resource log 1 ").append(name());
  std::replace_if(buffer_.begin(), buffer_.end(), is_control, ' ');  // the heading is one line
  buffer_.append("\n");
}

logging_resource_adaptor::~logging_resource_adaptor() { flush(); }

void logging_resource_adaptor::flush() noexcept {
  bool written = false;
  try {
    to_->write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    to_->flush();
    written = to_->good();
  } catch (...) {  // of the stream, or of its buffer
    written = false;
  }
  if (!written) lost_lines_ += buffered_lines_;
  buffer_.clear();
  buffered_lines_ = 0;
}

void logging_resource_adaptor::add_line(char kind, const void* block, std::size_t bytes,
                                        std::size_t alignment) noexcept {
  char line[longest_line_bytes];
  char* end = line;
  *end++ = kind;
  const auto add = [&](std::uint64_t number, int base) {
    *end++ = ' ';
    end = std::to_chars(end, line + sizeof line, number, base).ptr;
  };
  if (block != nullptr) add(reinterpret_cast<std::uintptr_t>(block), 16);
  add(bytes, 10);
  add(alignment, 10);
  const auto since = std::chrono::steady_clock::now() - begin_;
  add(static_cast<std::uint64_t>(std::chrono::nanoseconds(since).count()), 10);
  *end++ = '\n';
  const auto length = static_cast<std::size_t>(end - line);
  if (buffer_.capacity() - buffer_.size() < length) flush();
  buffer_.append(line, length);  // within what was reserved
  ++buffered_lines_;
  ++lines_;
}

void* logging_resource_adaptor::do_allocate(std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);  // so that addresses differ
  try {
    void* block = take_from_upstream(bytes, alignment);
    add_line('+', block, bytes, alignment);
    return block;
  } catch (const std::bad_alloc&) {
    add_line('!', nullptr, bytes, alignment);
    throw;
  }
}

void logging_resource_adaptor::do_deallocate(void* block, std::size_t bytes, std::size_t alignment) {
  bytes = std::max<std::size_t>(bytes, 1);
  add_line('-', block, bytes, alignment);
  give_to_upstream(block, bytes, alignment);
}

}  // namespace tenure
