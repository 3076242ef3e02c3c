// An ELF file opened for reading, and what identifies it.
#pragma once

#include <gelf.h>
#include <libelf.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace tenure::symbols {

// .gnu_debuglink: the name of the file that holds the debug sections, and its CRC-32.
struct debug_link {
  std::string name;
  std::uint32_t checksum = 0;
};

class elf_file {
 public:
  // The error is a clause: "cannot be opened: No such file or directory".
  static std::expected<elf_file, std::string> open(const std::filesystem::path& path);

  Elf* handle() const { return handle_.get(); }
  const std::filesystem::path& path() const { return path_; }
  std::string build_id() const;  // lower-case hexadecimal; empty when there is none
  bool has_section(const char* name) const;
  std::optional<debug_link> link_to_debug_file() const;
  // Where the block of a program's thread-local variables lies, from the thread pointer on; absent when it has none, or
  // the architecture is not known. Of a library it is known to the loader alone.
  std::optional<std::int64_t> thread_local_offset() const;
  bool is_position_independent() const;
  // Where the byte at `offset` is loaded; of code, where the same page is loaded as something else, too.
  std::optional<std::uint64_t> address_at(std::uint64_t offset) const;

 private:
  struct closer {
    void operator()(Elf* handle) const { elf_end(handle); }
  };
  // Closed after the handle: libelf reads sections only when they are asked for.
  class descriptor {
   public:
    explicit descriptor(int number) : number_(number) {}
    ~descriptor();
    descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
      std::swap(number_, other.number_);
      return *this;
    }
    int number() const { return number_; }

   private:
    int number_;
  };

  elf_file(std::filesystem::path path, descriptor file, Elf* handle)
      : path_(std::move(path)), file_(std::move(file)), handle_(handle) {}

  std::filesystem::path path_;
  descriptor file_;
  std::unique_ptr<Elf, closer> handle_;
};

}  // namespace tenure::symbols
