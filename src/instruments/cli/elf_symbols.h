// What the loader would find in an ELF file: a dynamic symbol, by the file's own hash table.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string_view>
#include <vector>

namespace tenure::cli {

// False at the end of the file.
bool read_at(std::istream& file, std::uint64_t offset, void* to, std::size_t bytes);

// Where the dynamic section says that its tables lie, by address; 0: it has none.
struct symbol_tables {
  std::uint64_t symbols = 0;   // DT_SYMTAB
  std::uint64_t strings = 0;   // DT_STRTAB
  std::uint64_t gnu_hash = 0;  // DT_GNU_HASH
  std::uint64_t hash = 0;      // DT_HASH
};

// Whether the file defines `name` and lets others be bound to it. `segments` are its program headers. Nothing in the
// file is trusted: tables that lead out of it hold nothing.
bool defines_symbol(std::istream& file, const std::vector<Elf64_Phdr>& segments, const symbol_tables& tables,
                    std::string_view name);

}  // namespace tenure::cli
