#include "instruments/collect/session_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

namespace tenure::collect {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view name_prefix = "tenure.";

std::vector<fs::path> candidate_parents() {
  std::vector<fs::path> result = {"/dev/shm"};
  if (const char* temporary = std::getenv("TMPDIR"); temporary != nullptr && *temporary == '/')
    result.emplace_back(temporary);
  result.emplace_back("/tmp");
  return result;
}

// From the process id in the name. The lock alone would not do: there is a moment between mkdir and flock. Nor would
// the id alone: containers may share /dev/shm and count processes each for itself.
bool is_owner_gone(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const int pid = std::atoi(name.c_str() + name_prefix.size());
  return pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH;
}

// Removes what earlier runs of this user left in `parent`. A living run holds a lock on its folder.
void clear_stale_sessions(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path& path = entry->path();
    if (!path.filename().string().starts_with(name_prefix)) continue;
    const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) continue;
    struct stat status {};
    const bool is_ours =
        ::fstat(folder, &status) == 0 && status.st_uid == ::geteuid() && (status.st_mode & 0777) == 0700;
    std::error_code ignored;
    if (is_ours && is_owner_gone(path) && ::flock(folder, LOCK_EX | LOCK_NB) == 0) fs::remove_all(path, ignored);
    ::close(folder);
  }
}

}  // namespace

std::expected<session_folder, std::string> session_folder::create() {
  std::random_device random;
  std::string reasons;
  for (const fs::path& candidate : candidate_parents()) {
    // As the kernel will show it in /proc/PID/maps.
    std::error_code error;
    const fs::path parent = fs::canonical(candidate, error);
    if (error) continue;
    clear_stale_sessions(parent);
    const fs::path path = parent / fmt::format("{}{}.{:08x}{:08x}", name_prefix, ::getpid(), random(), random());
    if (::mkdir(path.c_str(), 0700) != 0) {
      reasons +=
          fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", parent.string(), std::generic_category().message(errno));
      continue;
    }
    const int lock = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0) ::flock(lock, LOCK_EX | LOCK_NB);
    return session_folder(path, lock);
  }
  return std::unexpected(fmt::format("no folder can be made for the shared memory ({})", reasons));
}

session_folder::session_folder(session_folder&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}

session_folder& session_folder::operator=(session_folder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

void session_folder::remove() noexcept {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  path_.clear();
  if (lock_ >= 0) ::close(lock_);
  lock_ = -1;
}

}  // namespace tenure::collect
