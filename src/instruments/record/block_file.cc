#include "instruments/record/block_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "instruments/record/reason.h"

namespace tenure::record {
namespace {

constexpr int compression_level = 1;
constexpr std::uint64_t released_bytes = 16 << 20;  // at a time; of whole OS pages

std::uint64_t checksum_of(const block_header& header, std::span<const std::uint8_t> stored) {
  const std::uint64_t seed = XXH3_64bits(&header, offsetof(block_header, checksum));
  return XXH3_64bits_withSeed(stored.data(), stored.size(), seed);
}

}  // namespace

void packer_end::operator()(ZSTD_CCtx_s* packer) const { ZSTD_freeCCtx(packer); }
void unpacker_end::operator()(ZSTD_DCtx_s* unpacker) const { ZSTD_freeDCtx(unpacker); }

std::expected<block_writer, std::string> block_writer::create(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return std::unexpected(fmt::format("{} cannot be written: {}.", path.string(), reason()));
  return over(file, path);
}

std::expected<block_writer, std::string> block_writer::over(int file, const std::filesystem::path& path) {
  block_writer writer(file, path);
  const file_header header{file_magic, file_version, 0};
  writer.write_all({reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
  if (writer.error_) return std::unexpected(*writer.error_);
  return writer;
}

block_writer::block_writer(block_writer&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      path_(std::move(other.path_)),
      written_bytes_(other.written_bytes_),
      error_(std::move(other.error_)),
      buffer_(std::move(other.buffer_)),
      packer_(std::move(other.packer_)) {}

block_writer& block_writer::operator=(block_writer&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(written_bytes_, other.written_bytes_);
  std::swap(error_, other.error_);
  std::swap(buffer_, other.buffer_);
  std::swap(packer_, other.packer_);
  return *this;
}

block_writer::~block_writer() {
  if (file_ >= 0) ::close(file_);
}

bool block_writer::write_all(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      error_ = fmt::format("{} could not be written further: {}; it is good up to {} bytes.", path_.string(), reason(),
                           written_bytes_);
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    written_bytes_ += static_cast<std::uint64_t>(written);
  }
  return true;
}

void block_writer::write(block_kind kind, std::uint32_t process, std::span<const std::uint8_t> payload) {
  if (error_) return;
  if (payload.size() > block_limit_bytes) {
    error_ = fmt::format("a block of {} bytes is longer than a recording's may be.", payload.size());
    return;
  }
  // Never shorter again: what a vector grows by it fills with zeros first.
  const std::size_t bound = sizeof(block_header) + ZSTD_compressBound(payload.size());
  if (buffer_.size() < bound) buffer_.resize(bound);
  const std::span<std::uint8_t> room = std::span(buffer_).subspan(sizeof(block_header));
  if (packer_ == nullptr) packer_.reset(ZSTD_createCCtx());
  if (packer_ == nullptr) {
    error_ = "a block could not be compressed: there is no memory for it.";
    return;
  }
  const std::size_t stored =
      ZSTD_compressCCtx(packer_.get(), room.data(), room.size(), payload.data(), payload.size(), compression_level);
  if (ZSTD_isError(stored) != 0) {
    error_ = fmt::format("a block could not be compressed: {}.", ZSTD_getErrorName(stored));
    return;
  }
  block_header header{block_magic,
                      static_cast<std::uint32_t>(kind),
                      process,
                      static_cast<std::uint32_t>(stored),
                      static_cast<std::uint32_t>(payload.size()),
                      0,
                      0};
  header.checksum = checksum_of(header, room.first(stored));
  std::memcpy(buffer_.data(), &header, sizeof header);
  write_all(std::span(buffer_).first(sizeof header + stored));
}

void block_writer::copy(const block& from) {
  if (!error_) write_all(from.stored);
}

std::expected<block_reader, std::string> block_reader::over(std::span<const std::uint8_t> bytes) {
  file_header header{};
  if (bytes.size() < sizeof header) return std::unexpected("it is too short to be a recording of Tenure's.");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != file_magic) return std::unexpected("it does not begin as a recording of Tenure's does.");
  if (header.version > file_version)
    return std::unexpected(
        fmt::format("it has version {}, and this command reads versions up to {}: a newer tenure "
                    "has written it.",
                    header.version, file_version));
  return block_reader(bytes, header.version);
}

std::expected<block_reader, std::string> block_reader::open(const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& why) {
    return std::unexpected(fmt::format("{} cannot be read: {}", path.string(), why));
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return refuse(reason() + ".");
  struct stat status {};
  const bool is_file = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = is_file ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  if (memory == MAP_FAILED) return refuse("it is empty, or not a file.");
  auto reader = over({static_cast<const std::uint8_t*>(memory), size});
  if (!reader) {
    ::munmap(memory, size);
    return refuse(reader.error());
  }
  reader->mapping_ = memory;
  return reader;
}

block_reader::block_reader(block_reader&& other) noexcept
    : bytes_(other.bytes_),
      version_(other.version_),
      mapping_(std::exchange(other.mapping_, nullptr)),
      position_(other.position_),
      damage_(std::move(other.damage_)),
      skipped_(other.skipped_),
      skipping_(other.skipping_),
      buffer_(std::move(other.buffer_)),
      unpacker_(std::move(other.unpacker_)) {}

block_reader::~block_reader() {
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_.size());
}

void block_reader::rewind() {
  position_ = sizeof(file_header);
  damage_.reset();
}

std::optional<block> block_reader::damaged(const char* what) {
  damage_ = fmt::format("at byte {} of {}: {}; what comes before is complete", position_, bytes_.size(), what);
  return std::nullopt;
}

std::optional<block> block_reader::next() {
  const std::uint64_t left = bytes_.size() - position_;
  if (left == 0 || damage_) return std::nullopt;
  block_header header{};
  if (left < sizeof header) return damaged("the file ends within a block");
  std::memcpy(&header, bytes_.data() + position_, sizeof header);
  if (header.magic != block_magic) return damaged("no block begins here");
  if (header.stored_bytes > block_limit_bytes || header.raw_bytes > block_limit_bytes)
    return damaged("a block says that it is longer than any may be");
  if (header.stored_bytes > left - sizeof header) return damaged("the file ends within a block");
  const std::span<const std::uint8_t> stored = bytes_.subspan(position_ + sizeof header, header.stored_bytes);
  const auto kind = static_cast<block_kind>(header.kind);
  const std::span<const std::uint8_t> whole = bytes_.subspan(position_, sizeof header + header.stored_bytes);
  // What was passed need not stay in this process's memory: the kernel has it, and it is mapped again where it is asked
  // for.
  const auto past = [&] {
    const std::uint64_t begin = position_ / released_bytes;
    position_ += sizeof header + header.stored_bytes;
    const std::uint64_t end = position_ / released_bytes;
    if (mapping_ != nullptr && begin != end)
      ::madvise(static_cast<std::byte*>(mapping_) + begin * released_bytes, (end - begin) * released_bytes,
                MADV_DONTNEED);
  };
  if (is_skipped(header.kind) && skipping_ == skipping::passes_over) {
    past();
    return block{kind, header.process, {}, whole};
  }
  if (checksum_of(header, stored) != header.checksum) return damaged("a block's checksum is wrong");
  if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != header.raw_bytes)
    return damaged("a block's length is not what it says");
  if (is_skipped(header.kind)) {
    past();
    return block{kind, header.process, {}, whole};
  }
  buffer_.resize(header.raw_bytes);
  if (unpacker_ == nullptr) unpacker_.reset(ZSTD_createDCtx());
  if (unpacker_ == nullptr) return damaged("there is no memory to decompress a block with");
  const std::size_t raw =
      ZSTD_decompressDCtx(unpacker_.get(), buffer_.data(), buffer_.size(), stored.data(), stored.size());
  if (ZSTD_isError(raw) != 0 || raw != header.raw_bytes) return damaged("a block cannot be decompressed");
  past();
  return block{kind, header.process, buffer_, whole};
}

}  // namespace tenure::record
