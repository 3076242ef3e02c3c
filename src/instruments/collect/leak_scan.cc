#include "instruments/collect/leak_scan.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

namespace tenure::collect {
namespace {

class scan_file {
 public:
  explicit scan_file(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {
    struct stat status {};
    is_file_ = descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  }
  ~scan_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  scan_file(const scan_file&) = delete;
  scan_file& operator=(const scan_file&) = delete;

  // Fewer only at the end of the file.
  std::size_t read(void* to, std::size_t bytes, std::uint64_t offset) const {
    std::size_t held = 0;
    while (is_file_ && held < bytes) {
      const ssize_t got =
          ::pread(descriptor_, static_cast<char*>(to) + held, bytes - held, static_cast<off_t>(offset + held));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      held += static_cast<std::size_t>(got);
    }
    return held;
  }
  bool read_header(wire::leak_scan_header& header) const {
    return read(&header, sizeof header, 0) == sizeof header && header.magic == wire::leak_scan_magic &&
           header.version == wire::leak_scan_version && header.refusal < wire::scan_refusal_count;
  }
  // By the process that writes it.
  bool is_locked() const { return is_file_ && ::flock(descriptor_, LOCK_SH | LOCK_NB) != 0; }

 private:
  int descriptor_;
  bool is_file_ = false;
};

bool make_sense(const wire::leak_record& one) {
  return one.reach != static_cast<std::uint32_t>(wire::block_reach::reachable) && one.reach < wire::block_reach_count &&
         one.bytes != 0;
}

void take(const wire::leak_record& one, leak_scan& into) {
  if (!make_sense(one)) {
    ++into.refused_records;
    return;
  }
  into.blocks.push_back({.address = one.address,
                         .bytes = one.bytes,
                         .sample_id = one.sample_id,
                         .reach = static_cast<wire::block_reach>(one.reach),
                         .leader = one.leader,
                         .held = one.held});
}

}  // namespace

scan_state look_for_scan(const std::filesystem::path& path) {
  const scan_file file(path);
  wire::leak_scan_header header{};
  if (file.read_header(header)) return scan_state::there;
  if (file.is_locked()) return scan_state::awaited;
  // It may have been finished in between.
  return file.read_header(header) ? scan_state::there : scan_state::none;
}

std::optional<leak_scan> read_leak_scan(const std::filesystem::path& path) {
  const scan_file file(path);
  leak_scan result;
  if (!file.read_header(result.header)) return std::nullopt;
  // As many as are there, whatever the header says.
  std::uint64_t wanted = std::min(result.header.record_count, wire::leak_record_limit);
  std::uint64_t offset = wire::leak_records_offset_bytes;
  std::array<wire::leak_record, 1024> portion;
  while (wanted != 0) {
    const std::size_t asked = std::min<std::uint64_t>(wanted, portion.size());
    const std::size_t got = file.read(portion.data(), asked * sizeof portion[0], offset) / sizeof portion[0];
    for (std::size_t i = 0; i < got; ++i) take(portion[i], result);
    wanted -= got;
    offset += got * sizeof portion[0];
    if (got < asked) break;
  }
  result.refused_records += wanted;
  return result;
}

}  // namespace tenure::collect
