// The memory limit that the control groups put on this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace tenure::cli {

struct cgroup_limit {
  int version = 0;                     // of the hierarchy that controls memory; 0: none was found
  std::optional<std::uint64_t> bytes;  // the lowest on the way to the root; absent: none
};

cgroup_limit own_cgroup_limit();

// The same from given files, for tests: /proc/self/cgroup and the folder where the hierarchies are mounted.
cgroup_limit read_cgroup_limit(const std::filesystem::path& membership, const std::filesystem::path& mount);

}  // namespace tenure::cli
