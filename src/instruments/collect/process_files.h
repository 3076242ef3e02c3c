// Process files: the few things read from /proc/PID while a program runs. Each fails quietly when the process is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenure::collect {

// Resident bytes from statm; nothing when the process is gone or a zombie.
std::optional<std::uint64_t> read_resident_bytes(std::uint32_t pid);

// Whole text of /proc/PID/smaps in `buffer`, whose memory is reused from call to call.
bool read_smaps(std::uint32_t pid, std::string& buffer);

// Whether the process has `path` mapped: how we know that a process id told by a program means that program here, and
// is not the number of another one in its own namespace.
bool has_mapped(std::uint32_t pid, std::string_view path);

// The children of a process that have not been waited for; none where the kernel does not tell.
std::vector<std::uint32_t> children_of(std::uint32_t pid);
// Path of the program that the process is; "[name]" where it may not be read.
std::string executable_of(std::uint32_t pid);
// The most that was resident at once since its exec; 0 when the process is gone or a zombie.
std::uint64_t peak_resident_bytes_of(std::uint32_t pid);

// Whether `pid` is a child of this process, or a child of one, and so on.
bool is_descendant(std::uint32_t pid);

// Processor time of this process, and CLOCK_MONOTONIC.
std::uint64_t own_processor_ns();
std::uint64_t monotonic_ns();

}  // namespace tenure::collect
