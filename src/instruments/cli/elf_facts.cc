#include "instruments/cli/elf_facts.h"

#include <cstring>

#include "instruments/cli/elf_machine.h"

namespace tenure::cli {
namespace {

bool read_at(std::istream& file, std::uint64_t offset, void* to, std::size_t bytes) {
  file.clear();
  file.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)));
}

bool read_loader(std::istream& file, const Elf64_Phdr& segment, std::string& loader) {
  constexpr std::uint64_t path_limit_bytes = 4096;
  if (segment.p_filesz == 0 || segment.p_filesz > path_limit_bytes) return true;
  loader.resize(segment.p_filesz);
  if (!read_at(file, segment.p_offset, loader.data(), loader.size())) return false;
  loader.resize(std::strlen(loader.c_str()));
  return true;
}

bool read_dynamic(std::istream& file, const Elf64_Phdr& segment, elf_facts& facts) {
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry{};
    if (!read_at(file, segment.p_offset + at, &entry, sizeof entry)) return false;
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_FLAGS) facts.flags = entry.d_un.d_val;
    if (entry.d_tag == DT_FLAGS_1) facts.flags_1 = entry.d_un.d_val;
  }
  return true;
}

}  // namespace

bool elf_facts::is_of_this_machine() const {
  return header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_machine == own_elf_machine;
}

std::optional<elf_facts> read_elf(std::istream& file) {
  elf_facts facts;
  if (!read_at(file, 0, &facts.header, sizeof facts.header)) return std::nullopt;
  if (std::memcmp(facts.header.e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  if (facts.header.e_phentsize != sizeof(Elf64_Phdr)) return facts;
  for (unsigned i = 0; i < facts.header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (!read_at(file, facts.header.e_phoff + i * sizeof segment, &segment, sizeof segment)) return std::nullopt;
    if (segment.p_type == PT_TLS) facts.tls_bytes = segment.p_memsz;
    if (segment.p_type == PT_INTERP && !read_loader(file, segment, facts.loader)) return std::nullopt;
    if (segment.p_type == PT_DYNAMIC && !read_dynamic(file, segment, facts)) return std::nullopt;
  }
  return facts;
}

}  // namespace tenure::cli
