// Names of functions for messages of tests: from an address to "shop::cart::add(int)  shop_test+0x12f3".
//
// Names come from the symbol table of the program's or library's own file (.symtab, or .dynsym where that was stripped
// away), so a program need not be linked in any special way. Inlined functions have no name there. What `addr2line -i
// -e shop_test 0x12f3` says is more; this is for messages, reads files, allocates, and is not quick.
#pragma once

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace tenure::detail {

// A file's bytes, mapped; empty when it cannot be.
class mapped_file {
 public:
  explicit mapped_file(const char* path) noexcept {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    struct stat status {};
    if (::fstat(file, &status) == 0 && status.st_size > 0) {
      void* const memory = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
      if (memory != MAP_FAILED) {
        bytes_ = static_cast<const char*>(memory);
        size_ = static_cast<std::size_t>(status.st_size);
      }
    }
    ::close(file);
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
    if (bytes_ != nullptr) ::munmap(const_cast<char*>(bytes_), size_);
  }

  // `count` entries at `offset`; null where they do not lie in the file.
  template <class Entry>
  const Entry* at(std::uint64_t offset, std::uint64_t count = 1) const noexcept {
    if (offset % alignof(Entry) != 0 || offset > size_ || count > (size_ - offset) / sizeof(Entry)) return nullptr;
    return reinterpret_cast<const Entry*>(bytes_ + offset);
  }
  // A string that ends in the file, or nothing.
  std::string_view text(std::uint64_t offset) const noexcept {
    if (offset >= size_) return {};
    const void* const end = std::memchr(bytes_ + offset, 0, size_ - offset);
    return end == nullptr ? std::string_view()
                          : std::string_view(bytes_ + offset, static_cast<const char*>(end) - (bytes_ + offset));
  }

 private:
  const char* bytes_ = nullptr;
  std::size_t size_ = 0;
};

struct named_address {
  std::string function;  // demangled; empty when it has no name
  std::string module;    // the file's name without its folder; empty when the address lies in none
  std::uint64_t offset = 0;
};

class symbol_names {
 public:
  // Of a call's return address: the function that called.
  named_address of(std::uint64_t address) {
    found_module found{address - 1, 0, {}};
    ::dl_iterate_phdr(find_module, &found);
    named_address result;
    if (found.path.empty()) return result;
    result.offset = found.address - found.base;
    const bool is_program = found.path == program_path;
    result.module = is_program ? program_name() : found.path.substr(found.path.rfind('/') + 1);
    std::unique_ptr<mapped_file>& file = files_[found.path];
    if (file == nullptr) file = std::make_unique<mapped_file>(found.path.c_str());
    result.function = demangled(symbol_at(*file, result.offset));
    return result;
  }

 private:
  static constexpr const char* program_path = "/proc/self/exe";

  struct found_module {
    std::uint64_t address;
    std::uint64_t base;
    std::string path;
  };

  static int find_module(dl_phdr_info* info, std::size_t, void* context) {
    auto* const found = static_cast<found_module*>(context);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& part = info->dlpi_phdr[i];
      if (part.p_type != PT_LOAD || found->address - (info->dlpi_addr + part.p_vaddr) >= part.p_memsz) continue;
      found->base = info->dlpi_addr;
      found->path = info->dlpi_name == nullptr || *info->dlpi_name == '\0' ? program_path : info->dlpi_name;
      return 1;
    }
    return 0;
  }

  static std::string program_name() {
    char path[4096];
    const ssize_t length = ::readlink(program_path, path, sizeof path);
    const std::string_view whole(path, length < 0 ? 0 : static_cast<std::size_t>(length));
    return std::string(whole.substr(whole.rfind('/') + 1));
  }

  // The name of the function that covers the address, mangled; empty when there is none.
  static std::string_view symbol_at(const mapped_file& file, std::uint64_t address) {
    const auto* const head = file.at<ElfW(Ehdr)>(0);
    if (head == nullptr || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return {};
    const auto* const sections = file.at<ElfW(Shdr)>(head->e_shoff, head->e_shnum);
    if (sections == nullptr) return {};
    for (const ElfW(Word) kind : {SHT_SYMTAB, SHT_DYNSYM}) {
      for (std::size_t i = 0; i < head->e_shnum; ++i) {
        const ElfW(Shdr)& table = sections[i];
        if (table.sh_type != kind || table.sh_link >= head->e_shnum) continue;
        const std::uint64_t count = table.sh_size / sizeof(ElfW(Sym));
        const auto* const symbols = file.at<ElfW(Sym)>(table.sh_offset, count);
        for (std::uint64_t k = 0; symbols != nullptr && k < count; ++k) {
          const ElfW(Sym)& one = symbols[k];
          if ((one.st_info & 0xf) == STT_FUNC && address - one.st_value < one.st_size)
            return file.text(sections[table.sh_link].sh_offset + one.st_name);
        }
      }
    }
    return {};
  }

  static std::string demangled(std::string_view mangled) {
    const std::string name(mangled.substr(0, mangled.find('@')));
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                      std::free);
    return status == 0 && text != nullptr ? std::string(text.get()) : name;
  }

  std::map<std::string, std::unique_ptr<mapped_file>> files_;
};

}  // namespace tenure::detail
