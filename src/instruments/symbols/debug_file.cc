#include "instruments/symbols/debug_file.h"

#include <dlfcn.h>
#include <elfutils/debuginfod.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <fstream>

namespace tenure::symbols {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint32_t> checksum_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::array<char, 65536> buffer;
  uLong checksum = crc32(0, nullptr, 0);
  while (file) {
    file.read(buffer.data(), buffer.size());
    checksum = crc32(checksum, reinterpret_cast<const Bytef*>(buffer.data()), static_cast<uInt>(file.gcount()));
  }
  return static_cast<std::uint32_t>(checksum);
}

std::optional<elf_file> open_with_build_id(const fs::path& path, const std::string& build_id) {
  auto file = elf_file::open(path);
  if (!file || file->build_id() != build_id) return std::nullopt;
  return std::move(*file);
}

std::optional<elf_file> open_linked(const fs::path& path, const debug_link& link, const elf_file& stripped) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || fs::equivalent(path, stripped.path(), ignored)) return std::nullopt;
  auto file = elf_file::open(path);
  if (!file) return std::nullopt;
  const std::string build_id = stripped.build_id();
  const bool matches =
      build_id.empty() || file->build_id().empty() ? checksum_of(path) == link.checksum : file->build_id() == build_id;
  if (!matches) return std::nullopt;
  return std::move(*file);
}

std::optional<elf_file> find_by_link(const elf_file& stripped, const symbolizer_options& options) {
  const std::optional<debug_link> link = stripped.link_to_debug_file();
  if (!link || link->name.find('/') != std::string::npos) return std::nullopt;
  std::error_code ignored;
  const fs::path folder = fs::absolute(stripped.path(), ignored).parent_path();
  const fs::path real_folder = fs::canonical(stripped.path(), ignored).parent_path();
  std::vector<fs::path> candidates = {folder / link->name, folder / ".debug" / link->name};
  for (const fs::path& root : options.debug_folders) {
    candidates.push_back(root / folder.relative_path() / link->name);
    candidates.push_back(root / real_folder.relative_path() / link->name);
  }
  for (const fs::path& candidate : candidates) {
    if (auto file = open_linked(candidate, *link, stripped)) return file;
  }
  return std::nullopt;
}

// Loaded only when it is asked for: the client library brings an HTTP client and its start-up time.
std::optional<elf_file> fetch(const std::string& build_id) {
  const char* urls = std::getenv(DEBUGINFOD_URLS_ENV_VAR);
  if (urls == nullptr || *urls == '\0' || build_id.empty()) return std::nullopt;
  void* library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  const auto begin = reinterpret_cast<decltype(&debuginfod_begin)>(dlsym(library, "debuginfod_begin"));
  const auto find = reinterpret_cast<decltype(&debuginfod_find_debuginfo)>(dlsym(library, "debuginfod_find_debuginfo"));
  const auto end = reinterpret_cast<decltype(&debuginfod_end)>(dlsym(library, "debuginfod_end"));
  if (begin == nullptr || find == nullptr || end == nullptr) return std::nullopt;
  debuginfod_client* client = begin();
  if (client == nullptr) return std::nullopt;
  char* path = nullptr;
  // A length of zero says that the build-id is given as text.
  const int file = find(client, reinterpret_cast<const unsigned char*>(build_id.c_str()), 0, &path);
  end(client);
  if (file < 0) return std::nullopt;
  close(file);
  auto result = open_with_build_id(path, build_id);
  std::free(path);
  return result;
}

}  // namespace

std::optional<elf_file> find_debug_file(const elf_file& stripped, const symbolizer_options& options) {
  const std::string build_id = stripped.build_id();
  if (build_id.size() > 2) {
    for (const fs::path& folder : options.debug_folders) {
      const fs::path path = folder / ".build-id" / build_id.substr(0, 2) / (build_id.substr(2) + ".debug");
      if (auto file = open_with_build_id(path, build_id)) return file;
    }
  }
  if (auto file = find_by_link(stripped, options)) return file;
  if (options.use_debuginfod) return fetch(build_id);
  return std::nullopt;
}

}  // namespace tenure::symbols
