// Where the drop-in heap is: the shared library that LD_PRELOAD names.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

namespace tenure::cli {

// $TENURE_LIBRARY if set; otherwise beside the command: ../lib as it is built and installed, then the multiarch and
// private folders that packages use. The error is one sentence with the places that were looked at.
std::expected<std::filesystem::path, std::string> find_preload_library();

// The library at `path`, which `source` names ("--preload", "TENURE_LIBRARY"), if the loader of this machine could load
// it; the error is one sentence.
std::expected<std::filesystem::path, std::string> library_named(const std::string& source,
                                                                const std::filesystem::path& path);

// Whether a program that `library` is preloaded into would call its malloc.
bool defines_malloc(const std::filesystem::path& library);

// The folder of the running command's own file.
std::filesystem::path own_folder();

}  // namespace tenure::cli
