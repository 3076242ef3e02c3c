#include "instruments/cli/elf_facts.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "instruments/cli/elf_machine.h"
#include "instruments/cli/elf_symbols.h"
#include "wire/note.h"

namespace tenure::cli {
namespace {

bool read_loader(std::istream& file, const Elf64_Phdr& segment, std::string& loader) {
  constexpr std::uint64_t path_limit_bytes = 4096;
  if (segment.p_filesz == 0 || segment.p_filesz > path_limit_bytes) return true;
  loader.resize(segment.p_filesz);
  if (!read_at(file, segment.p_offset, loader.data(), loader.size())) return false;
  loader.resize(std::strlen(loader.c_str()));
  return true;
}

bool read_dynamic(std::istream& file, const Elf64_Phdr& segment, elf_facts& facts, symbol_tables& tables) {
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry{};
    if (!read_at(file, segment.p_offset + at, &entry, sizeof entry)) return false;
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_FLAGS) facts.flags = entry.d_un.d_val;
    if (entry.d_tag == DT_FLAGS_1) facts.flags_1 = entry.d_un.d_val;
    if (entry.d_tag == DT_SYMTAB) tables.symbols = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRTAB) tables.strings = entry.d_un.d_ptr;
    if (entry.d_tag == DT_GNU_HASH) tables.gnu_hash = entry.d_un.d_ptr;
    if (entry.d_tag == DT_HASH) tables.hash = entry.d_un.d_ptr;
  }
  return true;
}

bool holds_own_note(std::istream& file, const Elf64_Phdr& segment) {
  constexpr std::uint64_t notes_limit_bytes = 64 * 1024;
  const std::uint64_t alignment = segment.p_align == 8 ? 8 : 4;
  const auto padded = [&](std::uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
  const std::uint64_t end = std::min(std::uint64_t{segment.p_filesz}, notes_limit_bytes);
  for (std::uint64_t at = 0; at + sizeof(Elf64_Nhdr) <= end;) {
    Elf64_Nhdr note{};
    char owner[sizeof wire::note_owner] = {};
    if (!read_at(file, segment.p_offset + at, &note, sizeof note)) return false;
    if (note.n_type == wire::note_of_core && note.n_namesz == sizeof owner &&
        read_at(file, segment.p_offset + at + sizeof note, owner, sizeof owner) &&
        std::memcmp(owner, wire::note_owner, sizeof owner) == 0)
      return true;
    at += padded(sizeof note + note.n_namesz) + padded(note.n_descsz);
  }
  return false;
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
  std::vector<Elf64_Phdr> segments;
  symbol_tables tables;
  for (unsigned i = 0; i < facts.header.e_phnum; ++i) {
    Elf64_Phdr& segment = segments.emplace_back();
    if (!read_at(file, facts.header.e_phoff + i * sizeof segment, &segment, sizeof segment)) return std::nullopt;
    if (segment.p_type == PT_TLS) facts.tls_bytes = segment.p_memsz;
    if (segment.p_type == PT_INTERP && !read_loader(file, segment, facts.loader)) return std::nullopt;
    if (segment.p_type == PT_DYNAMIC && !read_dynamic(file, segment, facts, tables)) return std::nullopt;
    if (segment.p_type == PT_NOTE && holds_own_note(file, segment)) facts.holds_tenure = true;
  }
  facts.defines_malloc = defines_symbol(file, segments, tables, "malloc");
  return facts;
}

}  // namespace tenure::cli
