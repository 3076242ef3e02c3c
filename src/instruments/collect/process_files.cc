#include "instruments/collect/process_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <ctime>
#include <filesystem>
#include <system_error>

namespace tenure::collect {
namespace {

// Reads all of a /proc file, whose size is not known beforehand.
bool read_file(const char* path, std::string& into) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::size_t used = 0;
  into.resize(std::max<std::size_t>(into.capacity(), 4096));
  for (;;) {
    if (into.size() - used < 4096) into.resize(into.size() * 2);
    const ssize_t got = ::read(file, into.data() + used, into.size() - used);
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
  }
  ::close(file);
  into.resize(used);
  return used > 0;
}

std::uint64_t nanoseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::optional<std::uint64_t> read_resident_bytes(std::uint32_t pid) {
  char path[32];
  *fmt::format_to(path, "/proc/{}/statm", pid) = '\0';
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  char text[128];
  const ssize_t got = ::read(file, text, sizeof text);
  ::close(file);
  if (got <= 0) return std::nullopt;
  const std::string_view line(text, static_cast<std::size_t>(got));
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::uint64_t pages = 0;
  std::from_chars(line.data() + space + 1, line.data() + line.size(), pages);
  if (pages == 0) return std::nullopt;  // a zombie has no memory left
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return pages * page_bytes;
}

bool read_smaps(std::uint32_t pid, std::string& buffer) {
  return read_file(fmt::format("/proc/{}/smaps", pid).c_str(), buffer);
}

bool has_mapped(std::uint32_t pid, std::string_view path) {
  std::string text;
  return read_file(fmt::format("/proc/{}/maps", pid).c_str(), text) && text.find(path) != std::string::npos;
}

std::vector<std::uint32_t> children_of(std::uint32_t pid) {
  std::vector<std::uint32_t> found;
  std::string text;
  std::error_code gone;
  const std::filesystem::directory_iterator tasks(fmt::format("/proc/{}/task", pid), gone);
  if (gone) return found;
  for (auto task = begin(tasks); task != end(tasks) && !gone; task.increment(gone)) {
    if (!read_file((task->path() / "children").c_str(), text)) continue;
    const char* at = text.data();
    const char* const last = text.data() + text.size();
    for (std::uint32_t child = 0; at < last; ++at) {
      const auto [stop, error] = std::from_chars(at, last, child);
      if (error != std::errc()) break;
      found.push_back(child);
      at = stop;  // the blank behind it
    }
  }
  return found;
}

std::string executable_of(std::uint32_t pid) {
  std::error_code unreadable;
  const auto path = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), unreadable);
  if (!unreadable) return path.string();
  std::string name;
  if (!read_file(fmt::format("/proc/{}/comm", pid).c_str(), name)) return "[gone]";
  return fmt::format("[{}]", name.substr(0, name.find('\n')));
}

std::uint64_t peak_resident_bytes_of(std::uint32_t pid) {
  std::string text;
  if (!read_file(fmt::format("/proc/{}/status", pid).c_str(), text)) return 0;
  const std::size_t at = text.find("\nVmHWM:");
  if (at == std::string::npos) return 0;
  const std::size_t digits = text.find_first_of("0123456789", at);
  std::uint64_t kibibytes = 0;
  if (digits != std::string::npos) std::from_chars(text.data() + digits, text.data() + text.size(), kibibytes);
  return kibibytes * 1024;
}

bool is_descendant(std::uint32_t pid) {
  constexpr int depth_limit = 64;
  std::string text;
  for (int depth = 0; depth < depth_limit && pid > 1; ++depth) {
    if (!read_file(fmt::format("/proc/{}/stat", pid).c_str(), text)) return false;
    // "pid (any name, brackets too) state parent ..."
    const std::size_t name_end = text.rfind(") ");
    if (name_end == std::string::npos || text.size() < name_end + 5) return false;
    pid = 0;
    std::from_chars(text.data() + name_end + 4, text.data() + text.size(), pid);
    if (pid == static_cast<std::uint32_t>(::getpid())) return true;
  }
  return false;
}

std::uint64_t own_processor_ns() { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }
std::uint64_t monotonic_ns() { return nanoseconds(CLOCK_MONOTONIC); }

}  // namespace tenure::collect
