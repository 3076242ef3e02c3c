#include "core/scan/memory_map.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/os/own_memory.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

constexpr std::uint64_t is_present = 1ull << 63;
constexpr std::uint64_t is_swapped = 1ull << 62;
constexpr std::size_t longest_line_bytes = 8192;

int open_file(const char* path) noexcept {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
}

// Digits of a number in hexadecimal from *at on. False when there is none.
bool take_hex(const char** at, const char* end, std::uintptr_t* value) noexcept {
  const char* const begin = *at;
  *value = 0;
  for (; *at != end; ++*at) {
    const char digit = **at;
    if (digit >= '0' && digit <= '9') {
      *value = *value << 4 | static_cast<std::uintptr_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      *value = *value << 4 | static_cast<std::uintptr_t>(digit - 'a' + 10);
    } else {
      break;
    }
  }
  return *at != begin;
}

bool take(const char** at, const char* end, char expected) noexcept {
  if (*at == end || **at != expected) return false;
  ++*at;
  return true;
}

void skip_word(const char** at, const char* end) noexcept {
  while (*at != end && **at != ' ') ++*at;
  while (*at != end && **at == ' ') ++*at;
}

}  // namespace

bool parse_mapping(const char* line, std::size_t length, mapping* result) noexcept {
  const char* at = line;
  const char* const end = line + length;
  *result = mapping{};
  if (!take_hex(&at, end, &result->begin) || !take(&at, end, '-') || !take_hex(&at, end, &result->end)) return false;
  if (!take(&at, end, ' ') || end - at < 5 || result->begin >= result->end) return false;
  result->is_readable = at[0] == 'r';
  result->is_writable = at[1] == 'w';
  result->is_executable = at[2] == 'x';
  result->is_shared = at[3] == 's';
  for (int word = 0; word < 3; ++word) skip_word(&at, end);  // permissions, offset, device
  result->is_of_file = at != end && *at != '0';              // inode
  skip_word(&at, end);
  constexpr char stack_name[] = "[stack]";
  result->is_main_stack = static_cast<std::size_t>(end - at) == sizeof stack_name - 1 &&
                          std::memcmp(at, stack_name, sizeof stack_name - 1) == 0;
  return true;
}

memory_map::~memory_map() {
  if (mappings_ == nullptr) return;
  os::disown_memory(mappings_);
  os::unmap(mappings_, most_mappings * sizeof(mapping));
}

bool memory_map::add(const char* line, std::size_t length) noexcept {
  mapping one;
  if (!parse_mapping(line, length, &one)) return true;
  if (count_ == most_mappings) return false;
  if (count_ != 0) {
    const mapping& below = mappings_[count_ - 1];
    one.is_behind_guard = below.end == one.begin && !below.is_readable && !below.is_writable;
  }
  mappings_[count_++] = one;
  return true;
}

bool memory_map::read() noexcept {
  TENURE_CHECK(mappings_ == nullptr);
  mappings_ = static_cast<mapping*>(os::map_anywhere(most_mappings * sizeof(mapping)));
  if (mappings_ == nullptr) return false;
  const int file = open_file("/proc/self/maps");
  if (file < 0) return false;
  char buffer[longest_line_bytes];
  std::size_t held = 0;
  bool has_room = true;
  for (;;) {
    const long got = ::syscall(SYS_read, file, buffer + held, sizeof buffer - held);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    held += static_cast<std::size_t>(got);
    std::size_t line = 0;
    while (const auto* end = static_cast<const char*>(std::memchr(buffer + line, '\n', held - line))) {
      const auto length = static_cast<std::size_t>(end - (buffer + line));
      has_room = has_room && add(buffer + line, length);
      line += length + 1;
    }
    if (line == 0 && held == sizeof buffer) line = held;  // no path is so long
    held -= line;
    std::memmove(buffer, buffer + line, held);
  }
  ::syscall(SYS_close, file);
  return count_ != 0 && has_room;
}

std::size_t memory_map::first_above(std::uintptr_t address) const noexcept {
  std::size_t first = 0;
  std::size_t last = count_;
  while (first != last) {
    const std::size_t middle = first + (last - first) / 2;
    if (mappings_[middle].end <= address) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

const mapping* memory_map::find(std::uintptr_t address) const noexcept {
  const std::size_t place = first_above(address);
  return place != count_ && mappings_[place].holds(address) ? &mappings_[place] : nullptr;
}

touched_pages::touched_pages() noexcept : file_(open_file("/proc/self/pagemap")) {}
touched_pages::~touched_pages() {
  if (file_ >= 0) ::syscall(SYS_close, file_);
}

std::uintptr_t touched_pages::load(std::uintptr_t begin, std::uintptr_t end) noexcept {
  const std::uintptr_t page_bytes = os::page_bytes();
  first_page_ = begin / page_bytes;
  const std::uintptr_t pages = (end + page_bytes - 1) / page_bytes - first_page_;
  const std::size_t wanted = pages < most_entries ? pages : most_entries;
  const long got = file_ < 0 ? -1
                             : ::syscall(SYS_pread64, file_, entries_, wanted * sizeof(std::uint64_t),
                                         first_page_ * sizeof(std::uint64_t));
  entry_count_ = got > 0 ? static_cast<std::size_t>(got) / sizeof(std::uint64_t) : 0;
  const std::uintptr_t stop = (first_page_ + (entry_count_ != 0 ? entry_count_ : wanted)) * page_bytes;
  return stop < end ? stop : end;
}

bool touched_pages::is_touched(std::uintptr_t address) const noexcept {
  const std::uintptr_t index = address / os::page_bytes() - first_page_;
  return entry_count_ == 0 || (entries_[index] & (is_present | is_swapped)) != 0;
}

std::uintptr_t touched_pages::end_of_run(std::uintptr_t address, std::uintptr_t stop) const noexcept {
  if (entry_count_ == 0) return stop;
  const bool kind = is_touched(address);
  const std::uintptr_t page_bytes = os::page_bytes();
  std::uintptr_t at = address / page_bytes * page_bytes + page_bytes;
  while (at < stop && is_touched(at) == kind) at += page_bytes;
  return at < stop ? at : stop;
}

}  // namespace tenure::core
