#include "instruments/symbols/elf_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tenure::symbols {
namespace {

constexpr std::uint64_t page_bytes = 4096;

}  // namespace

elf_file::descriptor::~descriptor() {
  if (number_ >= 0) close(number_);
}

std::expected<elf_file, std::string> elf_file::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a path from a watched program may name a pipe, which would wait for a writer.
  descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) return std::unexpected(std::string("cannot be opened: ") + std::strerror(errno));
  struct stat facts {};
  if (fstat(file.number(), &facts) != 0 || !S_ISREG(facts.st_mode)) return std::unexpected("is not a regular file");
  elf_version(EV_CURRENT);
  Elf* handle = elf_begin(file.number(), ELF_C_READ_MMAP, nullptr);
  if (handle == nullptr || elf_kind(handle) != ELF_K_ELF) {
    if (handle != nullptr) elf_end(handle);
    return std::unexpected("is not an ELF file");
  }
  return elf_file(path, std::move(file), handle);
}

std::string elf_file::build_id() const {
  const void* bytes = nullptr;
  const ssize_t count = dwelf_elf_gnu_build_id(handle(), &bytes);
  std::string text;
  for (ssize_t i = 0; i < count; ++i) {
    const unsigned char byte = static_cast<const unsigned char*>(bytes)[i];
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

bool elf_file::has_section(const char* name) const {
  std::size_t names = 0;
  if (elf_getshdrstrndx(handle(), &names) != 0) return false;
  for (Elf_Scn* section = elf_nextscn(handle(), nullptr); section != nullptr;
       section = elf_nextscn(handle(), section)) {
    GElf_Shdr header{};
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type == SHT_NOBITS) continue;
    const char* own = elf_strptr(handle(), names, header.sh_name);
    if (own != nullptr && std::strcmp(own, name) == 0) return true;
  }
  return false;
}

std::optional<debug_link> elf_file::link_to_debug_file() const {
  GElf_Word checksum = 0;
  const char* name = dwelf_elf_gnu_debuglink(handle(), &checksum);
  if (name == nullptr) return std::nullopt;
  return debug_link{name, checksum};
}

std::optional<std::int64_t> elf_file::thread_local_offset() const {
  GElf_Ehdr header{};
  std::size_t count = 0;
  if (gelf_getehdr(handle(), &header) == nullptr || elf_getphdrnum(handle(), &count) != 0) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr segment{};
    if (gelf_getphdr(handle(), static_cast<int>(i), &segment) == nullptr || segment.p_type != PT_TLS) continue;
    const auto aligned = [&](std::uint64_t bytes) {
      const std::uint64_t alignment = segment.p_align == 0 ? 1 : segment.p_align;
      return static_cast<std::int64_t>((bytes + alignment - 1) / alignment * alignment);
    };
    constexpr std::uint64_t control_block_bytes = 16;
    if (header.e_machine == EM_X86_64) return -aligned(segment.p_memsz);
    if (header.e_machine == EM_AARCH64) return aligned(control_block_bytes);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> elf_file::address_at(std::uint64_t offset) const {
  std::size_t count = 0;
  if (elf_getphdrnum(handle(), &count) != 0) return std::nullopt;
  std::optional<std::uint64_t> found;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr segment{};
    if (gelf_getphdr(handle(), static_cast<int>(i), &segment) == nullptr || segment.p_type != PT_LOAD) continue;
    // The loader maps whole pages.
    const std::uint64_t begin = segment.p_offset - segment.p_offset % page_bytes;
    if (offset < begin || offset >= segment.p_offset + segment.p_filesz) continue;
    if (!found || (segment.p_flags & PF_X) != 0) found = segment.p_vaddr - segment.p_offset + offset;
  }
  return found;
}

bool elf_file::is_position_independent() const {
  GElf_Ehdr header{};
  return gelf_getehdr(handle(), &header) != nullptr && header.e_type == ET_DYN;
}

}  // namespace tenure::symbols
