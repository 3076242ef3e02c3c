#include "instruments/cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

std::string reason() { return std::generic_category().message(errno); }

std::unexpected<std::string> cannot_write(const fs::path& path, std::string_view why) {
  if (path == "-") return std::unexpected(fmt::format("the answer cannot be written to standard output: {}.", why));
  return std::unexpected(fmt::format("'{}' cannot be written: {}.", path.string(), why));
}

// Something that is there and is no file: a terminal, /dev/null, a pipe.
bool is_written_directly(const fs::path& path) {
  struct stat status {};
  return path == "-" || (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode));
}

// A symbolic link stays one: the file that it names is replaced.
fs::path target_of(const fs::path& path) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(path, error);
  return error ? path : resolved;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// A new file beside `path`; its name in `name`.
int open_beside(const fs::path& path, std::string& name) {
  name = (folder_of(path) / fmt::format(".{}.XXXXXX", path.filename().string())).string();
  return ::mkostemp(name.data(), O_CLOEXEC);
}

// The rights that the file had, or those that the user's mask gives a new one.
mode_t mode_for(const fs::path& target) {
  struct stat status {};
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return ::stat(target.c_str(), &status) == 0 ? status.st_mode & 0777 : 0666 & ~mask;
}

}  // namespace

bool write_all(int descriptor, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(descriptor, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::expected<void, std::string> check_output(const fs::path& path) {
  if (path == "-") return {};
  if (path.empty()) return std::unexpected("the name of a file to write to is empty.");
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return cannot_write(path, "it is a folder");
  if (exists && ::access(path.c_str(), W_OK) != 0) return cannot_write(path, reason());
  if (is_written_directly(path)) return {};
  std::string name;
  const int probe = open_beside(target_of(path), name);
  const std::string why = reason();
  std::error_code ignored;
  if (probe < 0 && path.has_parent_path() && !fs::is_directory(path.parent_path(), ignored))
    return cannot_write(path, fmt::format("there is no folder '{}'", path.parent_path().string()));
  if (probe < 0) return cannot_write(path, fmt::format("no file can be made there ({})", why));
  ::close(probe);
  ::unlink(name.c_str());
  return {};
}

bool are_one_output(const fs::path& one, const fs::path& other) {
  if (one == "-" || other == "-") return one == other;
  return !is_written_directly(one) && target_of(one) == target_of(other);
}

std::expected<void, std::string> write_output(const fs::path& path, std::string_view contents) {
  if (is_written_directly(path)) {
    const int direct = path == "-" ? ::dup(STDOUT_FILENO) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool is_written = direct >= 0 && write_all(direct, contents);
    const std::string why = reason();
    if (direct >= 0) ::close(direct);
    if (!is_written) return cannot_write(path, why);
    return {};
  }
  const fs::path target = target_of(path);
  std::string name;
  const int file = open_beside(target, name);
  if (file < 0) return cannot_write(path, reason());
  const bool is_written = write_all(file, contents) && ::fchmod(file, mode_for(target)) == 0;
  const bool is_closed = ::close(file) == 0;
  if (!is_written || !is_closed || ::rename(name.c_str(), target.c_str()) != 0) {
    const std::string why = reason();
    ::unlink(name.c_str());
    return cannot_write(path, why);
  }
  return {};
}

std::expected<pending_output, std::string> pending_output::open(const fs::path& path) {
  if (is_written_directly(path)) {
    const int direct = path == "-" ? ::dup(STDOUT_FILENO) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (direct < 0) return cannot_write(path, reason());
    return pending_output(direct, path, {}, {});
  }
  const fs::path target = target_of(path);
  std::string name;
  int file = ::open(folder_of(target).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) file = open_beside(target, name);
  if (file < 0) return cannot_write(path, reason());
  return pending_output(file, path, target, name);
}

pending_output::pending_output(pending_output&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      name_(std::exchange(other.name_, {})),
      why_(std::move(other.why_)) {}

pending_output::~pending_output() {
  if (file_ >= 0) ::close(file_);
  if (!name_.empty()) ::unlink(name_.c_str());
}

int pending_output::descriptor() const { return ::fcntl(file_, F_DUPFD_CLOEXEC, 0); }

bool pending_output::write(std::string_view piece) {
  if (why_) return false;
  if (!write_all(file_, piece)) why_ = reason();
  return !why_;
}

std::expected<void, std::string> pending_output::commit() {
  if (why_) return cannot_write(path_, *why_);
  if (!target_.empty()) return commit_whole();
  return {};
}

std::expected<void, std::string> pending_output::commit_whole() {
  if (::fchmod(file_, mode_for(target_)) != 0) return cannot_write(path_, reason());
  if (name_.empty()) {
    // A file without a name can be given a new one only, not another's.
    const std::string name =
        (folder_of(target_) / fmt::format(".{}.{}", target_.filename().string(), ::getpid())).string();
    const std::string link = fmt::format("/proc/self/fd/{}", file_);
    ::unlink(name.c_str());
    if (::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return cannot_write(path_, reason());
    name_ = name;
  }
  // Some file systems say only now that there was no room.
  if (::close(std::exchange(file_, -1)) != 0) return cannot_write(path_, reason());
  if (::rename(name_.c_str(), target_.c_str()) != 0) return cannot_write(path_, reason());
  name_.clear();
  return {};
}

}  // namespace tenure::cli
