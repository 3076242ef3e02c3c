#include "instruments/cli/kept_recording.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

// A file that no folder names; negative, with errno, when it cannot be had.
int open_unnamed(const fs::path& folder) {
  const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return file;
  // Not every file system has such files: one that is named for a moment, then.
  std::string name = (folder / "tenure.XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

std::expected<kept_recording, std::string> kept_recording::create(const std::optional<fs::path>& named) {
  if (named) return kept_recording(-1, *named);
  std::string reasons;
  const char* const temporary = std::getenv("TMPDIR");
  for (const char* folder : {temporary, "/var/tmp", "/tmp"}) {
    if (folder == nullptr || *folder == '\0') continue;
    const int file = open_unnamed(folder);
    if (file >= 0) return kept_recording(file, fmt::format("/proc/self/fd/{}", file));
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", folder, std::generic_category().message(errno));
  }
  return std::unexpected(fmt::format("there is no place for the recording ({}); --recording FILE names one.", reasons));
}

kept_recording::~kept_recording() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace tenure::cli
