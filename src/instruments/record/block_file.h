// The recording's file: blocks one behind the other, each compressed and checked for itself.
//
//   file_header                              "TENUREC1", version
//   block_header  payload (zstd)             kind, process, sizes, checksum
//   block_header  payload
//   ...
//
// A block is written by one call and never changed. So whatever ends the writer, the file is good up to its last
// complete block, and a reader that meets a damaged or incomplete one has everything before it. Kinds that a reader
// does not know it passes over. docs/reference/recording-format.md has the contents of each kind.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace tenure::record {

inline constexpr std::uint64_t file_magic = 0x31434552554e4554;  // "TENUREC1" in memory order
inline constexpr std::uint32_t file_version = 8;          // docs/reference/recording-format.md has what each brought
inline constexpr std::uint32_t block_magic = 0x4b4c4254;  // "TBLK"
// No block is longer, compressed or not.
inline constexpr std::uint32_t block_limit_bytes = 256u << 20;

struct file_header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
};
static_assert(sizeof(file_header) == 16);

struct block_header {
  std::uint32_t magic;
  std::uint32_t kind;     // enum block_kind
  std::uint32_t process;  // number in the recording; 0 for blocks of the whole run
  std::uint32_t stored_bytes;
  std::uint32_t raw_bytes;
  std::uint32_t reserved;
  std::uint64_t checksum;  // XXH3, 64 bits, of the header before this field and of the stored payload
};
static_assert(sizeof(block_header) == 32);

enum class block_kind : std::uint32_t {
  run = 1,         // what was started, and when
  process = 2,     // a process image begins
  dictionary = 3,  // modules, locations, stacks and threads that the following events of the process name
  events = 4,
  end = 5,         // a process image has ended, and what of it was not told
  run_end = 6,     // and so has the run: the recording is complete
  checkpoint = 7,  // what of a process is alive at this place of the file (live_set.h)
  rotated = 8,     // the beginning was dropped: what that was
  round = 9,       // checkpoints of all processes follow: a place to begin reading at
  names = 10,      // texts, and the frames that places of the program are called by
  named = 11,      // which of those each location of a process has
  source = 12,     // which tool has seen the run, where it was not Tenure
  sums = 13,       // of stacks, where that tool tells no single blocks
  memory = 14,     // what a process holds at a moment: RSS, the heap's counters, perhaps its mappings
  totals = 15,     // what each stack of a process has allocated, freed and held, behind its events (stack_totals.h)
};

struct block {
  block_kind kind{};
  std::uint32_t process = 0;
  std::span<const std::uint8_t> payload;  // until the next call
  std::span<const std::uint8_t> stored;   // header and payload as they stand in the file
};

// Working memory of zstd, kept from block to block.
struct packer_end {
  void operator()(ZSTD_CCtx_s* packer) const;
};
struct unpacker_end {
  void operator()(ZSTD_DCtx_s* unpacker) const;
};

class block_writer {
 public:
  // Replaces the file. The error is a sentence.
  static std::expected<block_writer, std::string> create(const std::filesystem::path& path);
  // Into an open file, which is the writer's from now on and which messages call `path`.
  static std::expected<block_writer, std::string> over(int file, const std::filesystem::path& path);
  block_writer(block_writer&& other) noexcept;
  block_writer& operator=(block_writer&& other) noexcept;
  ~block_writer();

  // After the first failure (a full disk) nothing more is written; error() says why.
  void write(block_kind kind, std::uint32_t process, std::span<const std::uint8_t> payload);
  // As it stands in another file.
  void copy(const block& from);

  // Drops what was written before `cut_bytes`, where a block begins, but for the blocks before it that `keeps` wants.
  // The file then begins with its run block, a `rotated` block of `notice`, what was kept, and what stood behind the
  // cut; written beside the file and moved into its place, so that there is one whole file at any moment. Where the cut
  // lies now; nullopt, and error(), when it cannot be done: the file is as it was, and nothing more is written.
  using keeps_function = std::function<bool(block_kind kind, std::uint32_t process)>;
  std::optional<std::uint64_t> drop_before(std::uint64_t cut_bytes, const keeps_function& keeps,
                                           std::span<const std::uint8_t> notice);

  std::uint64_t written_bytes() const { return written_bytes_; }
  const std::optional<std::string>& error() const { return error_; }

 private:
  block_writer(int file, std::filesystem::path path) : file_(file), path_(std::move(path)) {}
  bool write_all(std::span<const std::uint8_t> bytes);

  int file_ = -1;
  std::filesystem::path path_;
  std::uint64_t written_bytes_ = 0;
  std::optional<std::string> error_;
  std::vector<std::uint8_t> buffer_;
  std::unique_ptr<ZSTD_CCtx_s, packer_end> packer_;
};

class block_reader {
 public:
  // The error is a sentence: no such file, or not a recording.
  static std::expected<block_reader, std::string> open(const std::filesystem::path& path);
  // Of bytes in memory, which must outlive the reader.
  static std::expected<block_reader, std::string> over(std::span<const std::uint8_t> bytes);
  block_reader(block_reader&& other) noexcept;
  block_reader& operator=(block_reader&&) = delete;
  ~block_reader();

  // The next block; nullopt at the end, and at damage, of which damage() then says what and where.
  std::optional<block> next();
  // From now on blocks of these kinds come without their payload: of `passes_over` not even the checksum is looked at.
  enum class skipping { checks, passes_over };
  void skip_payloads_of(std::initializer_list<block_kind> kinds, skipping how = skipping::checks) {
    skipped_ = 0;
    for (const block_kind kind : kinds) skipped_ |= 1u << static_cast<unsigned>(kind);
    skipping_ = how;
  }
  void rewind();

  const std::optional<std::string>& damage() const { return damage_; }
  std::uint64_t position() const { return position_; }
  std::uint64_t size_bytes() const { return bytes_.size(); }
  std::uint32_t version() const { return version_; }  // of the format

 private:
  block_reader(std::span<const std::uint8_t> bytes, std::uint32_t version) : bytes_(bytes), version_(version) {}
  std::optional<block> damaged(const char* what);

  std::span<const std::uint8_t> bytes_;
  std::uint32_t version_;
  void* mapping_ = nullptr;
  std::uint64_t position_ = sizeof(file_header);
  std::optional<std::string> damage_;
  bool is_skipped(std::uint32_t kind) const { return kind < 32 && (skipped_ >> kind & 1) != 0; }

  std::uint32_t skipped_ = 0;  // one bit a kind
  skipping skipping_ = skipping::checks;
  std::vector<std::uint8_t> buffer_;
  std::unique_ptr<ZSTD_DCtx_s, unpacker_end> unpacker_;
};

}  // namespace tenure::record
