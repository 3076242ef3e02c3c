#include "instruments/cli/cgroup_limit.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

// "max" in v2, and a number near 2^63 in v1, say that there is none.
std::optional<std::uint64_t> read_limit(const fs::path& file) {
  std::string text;
  if (!std::getline(std::ifstream(file), text) || text.empty() || text == "max") return std::nullopt;
  const std::uint64_t bytes = std::strtoull(text.c_str(), nullptr, 10);
  constexpr std::uint64_t unlimited = std::uint64_t{1} << 62;
  return bytes < unlimited ? std::optional(bytes) : std::nullopt;
}

std::optional<std::uint64_t> lowest_on_the_way(const fs::path& root, const std::string& group, const char* name) {
  std::optional<std::uint64_t> lowest;
  fs::path folder = root / fs::path(group).relative_path();
  // Inside a container the path may be the host's: what is mounted is then the group itself.
  if (!fs::exists(folder / name)) folder = root;
  while (true) {
    if (const auto limit = read_limit(folder / name)) lowest = std::min(lowest.value_or(*limit), *limit);
    if (folder == root || !folder.has_relative_path()) return lowest;
    folder = folder.parent_path();
  }
}

}  // namespace

cgroup_limit read_cgroup_limit(const fs::path& membership, const fs::path& mount) {
  cgroup_limit result;
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    // "0::/group" is v2; "7:memory:/group" the controller of v1.
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers.find(",memory,") != controllers.npos) {
      return {1, lowest_on_the_way(mount / "memory", group, "memory.limit_in_bytes")};
    }
    if (controllers != ",,") continue;
    std::string enabled;
    std::getline(std::ifstream(mount / "cgroup.controllers"), enabled);
    if ((" " + enabled + " ").find(" memory ") == std::string::npos) continue;
    result = {2, lowest_on_the_way(mount, group, "memory.max")};
  }
  return result;
}

cgroup_limit own_cgroup_limit() { return read_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup"); }

}  // namespace tenure::cli
