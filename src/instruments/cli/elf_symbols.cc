#include "instruments/cli/elf_symbols.h"

#include <optional>
#include <string>

namespace tenure::cli {
namespace {

constexpr std::uint32_t chain_limit = 1 << 20;  // symbols of one bucket, in a file that leads in circles

// Reads of the file by the addresses that it will be loaded to.
class loaded_file {
 public:
  loaded_file(std::istream& file, const std::vector<Elf64_Phdr>& segments) : file_(file), segments_(segments) {}

  bool read(std::uint64_t address, void* to, std::size_t bytes) const {
    for (const Elf64_Phdr& one : segments_)
      if (one.p_type == PT_LOAD && address >= one.p_vaddr && address - one.p_vaddr < one.p_filesz)
        return read_at(file_, one.p_offset + (address - one.p_vaddr), to, bytes);
    return false;
  }

  template <class T>
  std::optional<T> value(std::uint64_t address) const {
    T result{};
    return read(address, &result, sizeof result) ? std::optional(result) : std::nullopt;
  }

 private:
  std::istream& file_;
  const std::vector<Elf64_Phdr>& segments_;
};

bool is_definition(const loaded_file& file, const symbol_tables& tables, std::uint32_t index, std::string_view name) {
  const auto symbol = file.value<Elf64_Sym>(tables.symbols + std::uint64_t{index} * sizeof(Elf64_Sym));
  if (!symbol || symbol->st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol->st_info) == STB_LOCAL) return false;
  std::string found(name.size() + 1, 'x');  // with the end of the string
  return file.read(tables.strings + symbol->st_name, found.data(), found.size()) && found.back() == '\0' &&
         std::string_view(found).substr(0, name.size()) == name;
}

std::uint32_t gnu_hash_of(std::string_view name) {
  std::uint32_t hash = 5381;
  for (const char letter : name) hash = hash * 33 + static_cast<unsigned char>(letter);
  return hash;
}

//   number of buckets | first symbol in the table | words of the filter | its shift | filter | buckets | hashes
bool find_by_gnu_hash(const loaded_file& file, const symbol_tables& tables, std::string_view name) {
  struct head {
    std::uint32_t bucket_count, first_symbol, filter_words, filter_shift;
  };
  const auto found = file.value<head>(tables.gnu_hash);
  if (!found || found->bucket_count == 0) return false;
  const std::uint32_t wanted = gnu_hash_of(name);
  const std::uint64_t buckets = tables.gnu_hash + sizeof(head) + std::uint64_t{found->filter_words} * 8;
  const std::uint64_t hashes = buckets + std::uint64_t{found->bucket_count} * 4;
  auto index = file.value<std::uint32_t>(buckets + std::uint64_t{wanted % found->bucket_count} * 4);
  if (!index || *index < found->first_symbol) return false;
  for (std::uint32_t step = 0; step < chain_limit; ++step, ++*index) {
    const auto hash = file.value<std::uint32_t>(hashes + std::uint64_t{*index - found->first_symbol} * 4);
    if (!hash) return false;
    if ((*hash | 1) == (wanted | 1) && is_definition(file, tables, *index, name)) return true;
    if ((*hash & 1) != 0) return false;  // the last of its bucket
  }
  return false;
}

// The older table tells how many symbols there are.
bool find_by_count(const loaded_file& file, const symbol_tables& tables, std::string_view name) {
  const auto count = file.value<std::uint32_t>(tables.hash + 4);
  for (std::uint32_t index = 1; count && index < *count && index < chain_limit; ++index)
    if (is_definition(file, tables, index, name)) return true;
  return false;
}

}  // namespace

bool read_at(std::istream& file, std::uint64_t offset, void* to, std::size_t bytes) {
  file.clear();
  file.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)));
}

bool defines_symbol(std::istream& file, const std::vector<Elf64_Phdr>& segments, const symbol_tables& tables,
                    std::string_view name) {
  if (tables.symbols == 0 || tables.strings == 0) return false;
  const loaded_file loaded(file, segments);
  if (tables.gnu_hash != 0) return find_by_gnu_hash(loaded, tables, name);
  return tables.hash != 0 && find_by_count(loaded, tables, name);
}

}  // namespace tenure::cli
