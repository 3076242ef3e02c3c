// tenure::page_file: what a page pool reads from and writes to, and disk_file, which is one on a file of the system.
//
//     auto table = std::make_shared<tenure::disk_file>("orders.db");
//     const std::uint32_t orders = pool.add(table);
//
// A page_file is what pread(2) and pwrite(2) are: it may give or take less than was asked for, and the pool goes on
// with the rest. Several threads use one at a time. Errors: std::system_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <tenure/api.h>

namespace tenure {

class page_file {
 public:
  virtual ~page_file() = default;
  // How many bytes; 0 at the end of the file.
  virtual std::size_t read(std::uint64_t offset, std::span<std::byte> into) = 0;
  // How many bytes; 0 is taken for no space left.
  virtual std::size_t write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  // Returns when all that was written is on the disk.
  virtual void sync() = 0;
  // For messages.
  virtual const char* name() const noexcept = 0;
};

struct disk_file_options {
  bool is_writable = false;
  bool is_created = false;  // where there is none
  // Past the page cache of the kernel (O_DIRECT), where the file system has that: is_direct() tells. A page must then
  // be a multiple of the device's sector; frames are aligned as that wants.
  bool wants_direct = false;
};

class TENURE_API disk_file final : public page_file {
 public:
  // Throws std::system_error.
  explicit disk_file(std::string path, const disk_file_options& options = {});
  ~disk_file() override;
  disk_file(const disk_file&) = delete;
  disk_file& operator=(const disk_file&) = delete;

  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override;
  std::size_t write(std::uint64_t offset, std::span<const std::byte> from) override;
  void sync() override;
  const char* name() const noexcept override { return path_.c_str(); }

  bool is_direct() const noexcept { return is_direct_; }
  std::uint64_t size_bytes() const;

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  int descriptor_ = -1;
  bool is_direct_ = false;
};

}  // namespace tenure
