#include "instruments/cli/preload_library.h"

#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "instruments/cli/elf_machine.h"

namespace tenure::cli {

namespace fs = std::filesystem;

fs::path own_folder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

// A program that is position independent looks like a library but for this; the loader does not preload one.
static bool is_executable_image(std::ifstream& file, const Elf64_Ehdr& header) {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return false;
    if (segment.p_type != PT_DYNAMIC) continue;
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    Elf64_Dyn entry{};
    while (file.read(reinterpret_cast<char*>(&entry), sizeof entry) && entry.d_tag != DT_NULL)
      if (entry.d_tag == DT_FLAGS_1) return (entry.d_un.d_val & DF_1_PIE) != 0;
  }
  return false;
}

bool is_shared_library(const fs::path& path) {
  Elf64_Ehdr header{};
  std::ifstream file(path, std::ios::binary);
  return file.read(reinterpret_cast<char*>(&header), sizeof header) &&
         std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_type == ET_DYN && header.e_machine == own_elf_machine && !is_executable_image(file, header);
}

std::expected<fs::path, std::string> find_preload_library() {
  constexpr const char* name = "libtenure-malloc.so";
  std::error_code ignored;
  if (const char* given = std::getenv("TENURE_LIBRARY"); given != nullptr && *given != '\0') {
    if (fs::is_regular_file(given, ignored)) return fs::absolute(given, ignored);
    return std::unexpected(std::string("TENURE_LIBRARY names ") + given + ", which is not a file.");
  }
  const fs::path prefix = own_folder().parent_path();
  std::string places;
  for (const fs::path& folder :
       {prefix / "lib", prefix / "lib" / own_multiarch, prefix / "lib64", prefix / "lib/tenure"}) {
    // A path with a blank or a colon would be two libraries in LD_PRELOAD; the caller says so where it matters.
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
    places += (places.empty() ? "" : ", ") + folder.string();
  }
  return std::unexpected(std::string(name) + " is in none of " + places +
                         "; build the target tenure_preload, or name the file in TENURE_LIBRARY.");
}

}  // namespace tenure::cli
