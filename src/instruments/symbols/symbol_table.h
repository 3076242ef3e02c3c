// The functions, or the variables, of .symtab and .dynsym, sorted by address.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/symbols/elf_file.h"

namespace tenure::symbols {

enum class symbol_kind {
  function,
  variable,
  thread_local_variable,  // its address is the place in its module's thread-local block
};

class symbol_table {
 public:
  explicit symbol_table(symbol_kind kind = symbol_kind::function) : kind_(kind) {}

  struct entry {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    const char* name = nullptr;  // in the ELF file, which must outlive the table
    int rank = 0;                // among names of one address the lowest is shown
  };

  // Adds those of one file; the tables of a program and of its debug file go into one.
  void add(const elf_file& file);

  // The one whose range holds the address, or null. A symbol without a size reaches to the next one of its
  // section, since that is what hand-written assembly has.
  const entry* find(std::uint64_t address) const;

  // The one that begins there, or null.
  const entry* find_begin(std::uint64_t address) const;

 private:
  void add_section(const elf_file& file, Elf_Scn* section, const GElf_Shdr& header);
  bool takes(const GElf_Sym& symbol, const char* name, const GElf_Shdr& home) const;
  void sort();

  symbol_kind kind_;
  std::vector<entry> entries_;
};

}  // namespace tenure::symbols
