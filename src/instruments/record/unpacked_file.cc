#include "instruments/record/unpacked_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "instruments/record/reason.h"

namespace tenure::record {
namespace {

constexpr std::size_t piece_bytes = 256 << 10;
constexpr int any_gzip_window = 15 + 16;

enum class packing { unknown, plain, gzip, zstd };

packing packing_of(std::span<const std::uint8_t> begin) {
  static constexpr std::uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  const auto begins_with = [&](std::span<const std::uint8_t> magic) {
    return begin.size() >= magic.size() && std::equal(magic.begin(), magic.end(), begin.begin());
  };
  return begins_with(gzip) ? packing::gzip : begins_with(zstd) ? packing::zstd : packing::plain;
}

}  // namespace

struct unpacked_file::state {
  int file = -1;                         // none: all of it is in `packed`
  std::span<const std::uint8_t> packed;  // read and not unpacked yet
  std::vector<std::uint8_t> in, out;
  std::uint64_t size_bytes = 0, read_bytes = 0;
  packing how = packing::unknown;
  bool is_within = false;  // a gzip member or a zstd frame that has not ended
  bool is_full = false;    // there was no room for all that could be unpacked
  std::optional<std::string> error;
  z_stream gzip{};
  bool has_gzip = false;
  ZSTD_DStream* zstd = nullptr;

  state() = default;
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state() {
    if (file >= 0) ::close(file);
    if (has_gzip) inflateEnd(&gzip);
    ZSTD_freeDStream(zstd);
  }

  // False at the end of what there is to read.
  bool fill() {
    if (!packed.empty()) return true;
    if (file < 0) return false;
    in.resize(piece_bytes);
    // A pipe gives a few bytes at first, which may not tell how the file is packed.
    std::size_t filled = 0;
    while (filled < (how == packing::unknown ? in.size() : 1)) {
      const ssize_t got = ::read(file, in.data() + filled, in.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = fmt::format("it cannot be read further: {}", reason());
      if (got <= 0) break;
      filled += static_cast<std::size_t>(got);
    }
    read_bytes += filled;
    packed = std::span(in).first(filled);
    return filled != 0 && !error;
  }

  void begin() {
    how = packing_of(packed);
    out.resize(piece_bytes);
    if (how == packing::gzip) has_gzip = inflateInit2(&gzip, any_gzip_window) == Z_OK;
    if (how == packing::zstd) zstd = ZSTD_createDStream();
    if ((how == packing::gzip && !has_gzip) || (how == packing::zstd && zstd == nullptr))
      error = "there is no memory to unpack it";
  }

  // How many bytes of `out` were filled from `packed`.
  std::size_t inflate_piece() {
    if (!std::exchange(is_within, true)) inflateReset(&gzip);
    gzip.next_in = const_cast<std::uint8_t*>(packed.data());
    gzip.avail_in = static_cast<uInt>(std::min(packed.size(), piece_bytes));
    const std::size_t given = gzip.avail_in;
    gzip.next_out = out.data();
    gzip.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&gzip, Z_NO_FLUSH);
    packed = packed.subspan(given - gzip.avail_in);
    if (result == Z_STREAM_END) is_within = false;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) error = "its gzip data are damaged";
    is_full = is_within && gzip.avail_out == 0;
    return out.size() - gzip.avail_out;
  }

  std::size_t decompress_piece() {
    ZSTD_inBuffer from{packed.data(), packed.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(zstd, &to, &from);
    packed = packed.subspan(from.pos);
    if (ZSTD_isError(result) != 0) error = fmt::format("its zstd data are damaged ({})", ZSTD_getErrorName(result));
    is_within = result != 0;
    is_full = is_within && to.pos == to.size;
    return to.pos;
  }

  std::span<const std::uint8_t> next() {
    while (!error) {
      if (!is_full && !fill()) {
        if (!error && is_within) error = "it is cut off";
        return {};
      }
      if (how == packing::unknown) begin();
      if (error) return {};
      if (how == packing::plain) return std::exchange(packed, {});
      const std::size_t filled = how == packing::gzip ? inflate_piece() : decompress_piece();
      if (filled != 0 && !error) return std::span(out).first(filled);
    }
    return {};
  }
};

std::expected<unpacked_file, std::string> unpacked_file::open(const std::filesystem::path& path) {
  auto opened = std::make_unique<state>();
  opened->file = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (opened->file < 0 || ::fstat(opened->file, &status) != 0)
    return std::unexpected(fmt::format("{} cannot be read: {}.", path.string(), reason()));
  if (S_ISDIR(status.st_mode)) return std::unexpected(fmt::format("{} is a folder.", path.string()));
  opened->size_bytes = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
  return unpacked_file(std::move(opened));
}

unpacked_file unpacked_file::over(std::span<const std::uint8_t> packed) {
  auto opened = std::make_unique<state>();
  opened->packed = packed;
  return unpacked_file(std::move(opened));
}

unpacked_file::unpacked_file(std::unique_ptr<state> opened) : state_(std::move(opened)) {}
unpacked_file::unpacked_file(unpacked_file&&) noexcept = default;
unpacked_file::~unpacked_file() = default;

std::span<const std::uint8_t> unpacked_file::next() { return state_->next(); }
const std::optional<std::string>& unpacked_file::error() const { return state_->error; }
double unpacked_file::progress() const {
  if (state_->size_bytes == 0) return 0;
  return std::min(1.0, static_cast<double>(state_->read_bytes) / static_cast<double>(state_->size_bytes));
}

}  // namespace tenure::record
