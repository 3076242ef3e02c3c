// What this room asks of an ELF file: its machine, its loader, what its dynamic section says of it, whose malloc it
// has.
#pragma once

#include <elf.h>

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

namespace tenure::cli {

struct elf_facts {
  Elf64_Ehdr header{};
  std::string loader;           // of PT_INTERP; empty: it asks for none
  std::uint64_t tls_bytes = 0;  // of PT_TLS
  std::uint64_t flags = 0;      // DT_FLAGS
  std::uint64_t flags_1 = 0;    // DT_FLAGS_1
  bool defines_malloc = false;  // others would be bound to its malloc
  bool holds_tenure = false;    // Tenure's heap is linked into it (wire/note.h)

  // A file of 64 bits for this machine.
  bool is_of_this_machine() const;
  // A program that is position independent looks like a library but for this; the loader does not preload one.
  bool is_library() const { return header.e_type == ET_DYN && (flags_1 & DF_1_PIE) == 0; }
};

// From the beginning of `file`. Nothing where it is no ELF file, or ends before its own headers say.
std::optional<elf_facts> read_elf(std::istream& file);

}  // namespace tenure::cli
