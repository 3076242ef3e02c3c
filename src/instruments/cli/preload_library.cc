#include "instruments/cli/preload_library.h"

#include <cstdlib>
#include <fstream>

#include "instruments/cli/elf_facts.h"
#include "instruments/cli/elf_machine.h"

namespace tenure::cli {

namespace fs = std::filesystem;

fs::path own_folder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

std::expected<fs::path, std::string> library_named(const std::string& source, const fs::path& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  const auto facts = read_elf(file);
  if (facts && facts->is_of_this_machine() && facts->is_library()) return fs::absolute(path, ignored);
  const bool is_there = fs::exists(path, ignored);
  return std::unexpected(source + " names '" + path.string() + "', which is not " +
                         (is_there ? "a shared library for this machine." : "there."));
}

bool defines_malloc(const fs::path& library) {
  std::ifstream file(library, std::ios::binary);
  const auto facts = read_elf(file);
  return facts && facts->defines_malloc;
}

std::expected<fs::path, std::string> find_preload_library() {
  constexpr const char* name = "libtenure-malloc.so";
  std::error_code ignored;
  if (const char* given = std::getenv("TENURE_LIBRARY"); given != nullptr && *given != '\0')
    return library_named("TENURE_LIBRARY", given);
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
