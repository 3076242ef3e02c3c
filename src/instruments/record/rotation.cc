// How a recording loses its beginning (block_writer::drop_before).
//
//   old   header  run  process  dictionary  events  checkpoint | checkpoint  events  events ...
//                                                              cut
//   new   header  run  rotated  process  dictionary | checkpoint  events  events ...
//
// Blocks are copied as they are. The new file bears the old one's name with a dot before and ".rotating" behind, until
// it takes its place: a writer that is killed meanwhile leaves the old file whole, and the other beside it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <system_error>
#include <utility>

#include "instruments/record/block_file.h"

namespace tenure::record {
namespace {

namespace fs = std::filesystem;

// The file as it is, to copy from.
class mapped_file {
 public:
  mapped_file(const fs::path& path, std::size_t bytes) : bytes_(bytes) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    struct stat status {};
    if (::fstat(file, &status) == 0 && static_cast<std::uint64_t>(status.st_size) == bytes) {
      mode_ = status.st_mode & 0777;
      memory_ = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    }
    ::close(file);
  }
  ~mapped_file() {
    if (memory_ != MAP_FAILED) ::munmap(memory_, bytes_);
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;

  bool is_there() const { return memory_ != MAP_FAILED; }
  mode_t mode() const { return mode_; }
  std::span<const std::uint8_t> part(std::uint64_t begin, std::uint64_t end) const {
    return {static_cast<const std::uint8_t*>(memory_) + begin, static_cast<std::size_t>(end - begin)};
  }

 private:
  std::size_t bytes_;
  void* memory_ = MAP_FAILED;
  mode_t mode_ = 0644;
};

}  // namespace

std::optional<std::uint64_t> block_writer::drop_before(std::uint64_t cut_bytes, const keeps_function& keeps,
                                                       std::span<const std::uint8_t> notice) {
  if (error_) return std::nullopt;
  const mapped_file old(path_, written_bytes_);
  const fs::path beside = path_.parent_path() / fmt::format(".{}.rotating", path_.filename().string());
  const auto give_up = [&](const std::string& why) -> std::optional<std::uint64_t> {
    ::unlink(beside.c_str());
    error_ = fmt::format("{} could not be made shorter: {}; it is good as it is, up to {} bytes.", path_.string(), why,
                         written_bytes_);
    return std::nullopt;
  };
  if (!old.is_there()) return give_up("it is no longer the file that was written");
  auto fresh = create(beside);
  if (!fresh) return give_up(fresh.error());
  ::fchmod(fresh->file_, old.mode());
  bool has_notice = false;
  for (std::uint64_t at = sizeof(file_header); at < cut_bytes;) {
    block_header header;
    std::memcpy(&header, old.part(at, at + sizeof header).data(), sizeof header);
    const std::uint64_t end = at + sizeof header + header.stored_bytes;
    const auto kind = static_cast<block_kind>(header.kind);
    if (kind == block_kind::run || (kind != block_kind::rotated && keeps(kind, header.process)))
      fresh->write_all(old.part(at, end));
    if (kind == block_kind::run && !std::exchange(has_notice, true)) fresh->write(block_kind::rotated, 0, notice);
    at = end;
  }
  const std::uint64_t new_cut_bytes = fresh->written_bytes();
  fresh->write_all(old.part(cut_bytes, written_bytes_));
  if (const auto& failed = fresh->error_) return give_up(*failed);
  if (::rename(beside.c_str(), path_.c_str()) != 0) return give_up(std::generic_category().message(errno));
  std::swap(file_, fresh->file_);
  written_bytes_ = fresh->written_bytes_;
  return new_cut_bytes;
}

}  // namespace tenure::record
