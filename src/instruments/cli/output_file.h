// Output file: appears whole under its name, or not at all.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

namespace tenure::cli {

// Whether write_output() can work, found out before a program is run for an hour. The error is one sentence.
std::expected<void, std::string> check_output(const std::filesystem::path& path);

// Whether the two name one file, or both standard output, so that the second would replace the first.
bool are_one_output(const std::filesystem::path& one, const std::filesystem::path& other);

// Writes beside the target and renames; a device, a pipe or "-" (standard output) is written to directly.
std::expected<void, std::string> write_output(const std::filesystem::path& path, std::string_view contents);

// All of `contents` to an open descriptor.
bool write_all(int descriptor, std::string_view contents);

}  // namespace tenure::cli
