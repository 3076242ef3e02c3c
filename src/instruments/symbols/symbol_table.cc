#include "instruments/symbols/symbol_table.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace tenure::symbols {
namespace {

// People know `malloc` and not `__GI___libc_malloc`: exported names first, then fewer leading underscores, then short.
int rank_of(int binding, std::string_view name) {
  const int scope = binding == STB_GLOBAL ? 0 : binding == STB_WEAK ? 1 : 2;
  const std::size_t underscores = std::min(name.find_first_not_of('_'), std::size_t{15});
  return (scope << 16) | (static_cast<int>(underscores) << 12) |
         static_cast<int>(std::min(name.size(), std::size_t{4095}));
}

bool is_function(const GElf_Sym& symbol, const char* name) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  if (type == STT_FUNC || type == STT_GNU_IFUNC) return true;
  // Labels of hand-written assembly; "$x" and the like only mark where code begins.
  return type == STT_NOTYPE && name[0] != '$';
}

}  // namespace

// Of a variable the size has to be known: what lies behind it may be anybody's.
bool symbol_table::takes(const GElf_Sym& symbol, const char* name, const GElf_Shdr& home) const {
  switch (kind_) {
    case symbol_kind::function:
      return is_function(symbol, name) && (home.sh_flags & SHF_EXECINSTR) != 0;
    case symbol_kind::variable:
      return GELF_ST_TYPE(symbol.st_info) == STT_OBJECT && symbol.st_size != 0 && (home.sh_flags & SHF_ALLOC) != 0;
    case symbol_kind::thread_local_variable:
      return GELF_ST_TYPE(symbol.st_info) == STT_TLS && symbol.st_size != 0;
  }
  return false;
}

void symbol_table::add(const elf_file& file) {
  for (Elf_Scn* section = elf_nextscn(file.handle(), nullptr); section != nullptr;
       section = elf_nextscn(file.handle(), section)) {
    GElf_Shdr header{};
    if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0) continue;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) add_section(file, section, header);
  }
  sort();
}

void symbol_table::add_section(const elf_file& file, Elf_Scn* section, const GElf_Shdr& header) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (data == nullptr) return;
  const std::size_t count = header.sh_size / header.sh_entsize;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Sym symbol{};
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE) continue;
    const char* name = elf_strptr(file.handle(), header.sh_link, symbol.st_name);
    if (name == nullptr || *name == '\0') continue;
    GElf_Shdr home{};
    Elf_Scn* home_section = elf_getscn(file.handle(), symbol.st_shndx);
    if (home_section == nullptr || gelf_getshdr(home_section, &home) == nullptr) continue;
    if (!takes(symbol, name, home)) continue;
    const std::uint64_t section_end = home.sh_addr + home.sh_size;
    // Without a size the end is the section's for now; sort() brings it down to the next symbol.
    const std::uint64_t end = symbol.st_size != 0 ? symbol.st_value + symbol.st_size : section_end;
    const int without_size = symbol.st_size == 0 ? 1 << 20 : 0;
    entries_.push_back({symbol.st_value, end, name, rank_of(GELF_ST_BIND(symbol.st_info), name) | without_size});
  }
}

void symbol_table::sort() {
  std::sort(entries_.begin(), entries_.end(),
            [](const entry& a, const entry& b) { return a.begin != b.begin ? a.begin < b.begin : a.rank < b.rank; });
  std::uint64_t next_begin = ~std::uint64_t{0};
  for (std::size_t i = entries_.size(); i-- > 0;) {
    entry& current = entries_[i];
    if (i + 1 < entries_.size() && entries_[i + 1].begin != current.begin) next_begin = entries_[i + 1].begin;
    if ((current.rank >> 20) != 0) current.end = std::min(current.end, next_begin);
  }
}

const symbol_table::entry* symbol_table::find(std::uint64_t address) const {
  auto after = std::upper_bound(entries_.begin(), entries_.end(), address,
                                [](std::uint64_t wanted, const entry& e) { return wanted < e.begin; });
  // A function may lie within another (an assembly entry point): a few steps back, the nearest that holds it.
  constexpr int steps_limit = 32;
  const entry* best = nullptr;
  for (int step = 0; step < steps_limit && after != entries_.begin(); ++step) {
    --after;
    if (best != nullptr && after->begin != best->begin) break;
    if (address < after->end && (best == nullptr || after->rank < best->rank)) best = &*after;
  }
  return best;
}

const symbol_table::entry* symbol_table::find_begin(std::uint64_t address) const {
  const auto first = std::lower_bound(entries_.begin(), entries_.end(), address,
                                      [](const entry& e, std::uint64_t wanted) { return e.begin < wanted; });
  return first != entries_.end() && first->begin == address ? &*first : nullptr;
}

}  // namespace tenure::symbols
