// A file of another tool, read piece by piece and unpacked on the way: plain, gzip or zstd, told by its first bytes.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tenure::record {

class unpacked_file {
 public:
  // "-" is standard input. The error is a sentence.
  static std::expected<unpacked_file, std::string> open(const std::filesystem::path& path);
  // Of packed bytes in memory, which must outlive it.
  static unpacked_file over(std::span<const std::uint8_t> packed);
  unpacked_file(unpacked_file&&) noexcept;
  unpacked_file& operator=(unpacked_file&&) = delete;
  ~unpacked_file();

  // The next bytes, until the next call; none at the end, and at an error.
  std::span<const std::uint8_t> next();
  // A clause: "it is cut off", "its gzip data are damaged".
  const std::optional<std::string>& error() const;
  // How much of it was read, from 0 to 1; 0 where its length is not known.
  double progress() const;

 private:
  struct state;
  explicit unpacked_file(std::unique_ptr<state> opened);
  std::unique_ptr<state> state_;
};

}  // namespace tenure::record
