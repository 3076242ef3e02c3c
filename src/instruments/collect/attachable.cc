#include "instruments/collect/attachable.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "wire/bell.h"
#include "wire/region.h"

namespace tenure::collect {
namespace {

namespace fs = std::filesystem;

// What /proc/PID/status says of it.
struct process_status {
  std::string name;
  char state = '?';
  std::uint32_t user_id = 0;  // effective
  bool is_filtered = false;   // seccomp
};

std::optional<process_status> read_status(std::uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  process_status result;
  bool is_complete = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "Name:") words >> result.name;
    if (key == "State:") words >> result.state;
    if (key == "Uid:") words >> result.user_id >> result.user_id;
    int filter = 0;
    if (key == "Seccomp:" && words >> filter) result.is_filtered = filter == 2;
    // A thread has such a folder too.
    if (key == "Tgid:") is_complete = line == fmt::format("Tgid:\t{}", pid);
  }
  return is_complete ? std::optional(result) : std::nullopt;
}

// What is mapped that matters.
struct seen_maps {
  fs::path bells;  // of any version
  std::uint64_t bells_inode = 0;
  bool is_readable = false;
  bool has_heap = false;     // one of Tenure's libraries
  bool has_region = false;   // somebody watches already
  bool has_library = false;  // anything that the loader has brought
  bool is_empty = true;      // a thread of the kernel
};

void look_at(std::string_view line, std::string_view bells_name, seen_maps& seen) {
  seen.is_empty = false;
  const std::size_t begin = line.find('/');
  if (begin == std::string_view::npos) return;
  const std::string_view path = line.substr(begin);
  const std::string_view file = path.substr(path.rfind('/') + 1);
  seen.has_library |= file.find(".so") != std::string_view::npos;
  seen.has_heap |= file.starts_with("libtenure-malloc.so") || file.starts_with("libtenure.so");
  seen.has_region |= file.ends_with(".region");
  if (!path.starts_with(bells_name)) return;
  seen.bells = path;
  std::istringstream words{std::string(line.substr(0, begin))};
  std::string skipped;
  words >> skipped >> skipped >> skipped >> skipped >> seen.bells_inode;
}

seen_maps read_maps(std::uint32_t pid, std::uint32_t user_id) {
  seen_maps seen;
  const std::string bells_name =
      fmt::format("{}/{}{}{}", wire::bells_folder, wire::bells_prefix, user_id, wire::bells_infix);
  std::ifstream file(fmt::format("/proc/{}/maps", pid));
  seen.is_readable = file.good();
  for (std::string line; std::getline(file, line);) look_at(line, bells_name, seen);
  return seen;
}

// In a container of its own, names and numbers of files and processes mean others.
bool is_in_our_namespaces(std::uint32_t pid) {
  for (const char* const kind : {"mnt", "pid"}) {
    std::error_code error;
    const fs::path theirs = fs::read_symlink(fmt::format("/proc/{}/ns/{}", pid, kind), error);
    if (!error && theirs != fs::read_symlink(fmt::format("/proc/self/ns/{}", kind), error)) return false;
  }
  return true;
}

bool is_file_there(const seen_maps& maps) {
  struct stat status {};
  return ::lstat(maps.bells.c_str(), &status) == 0 && status.st_ino == maps.bells_inode;
}

// Why not, of a process that can be looked at; empty: it can.
std::string objection(std::uint32_t pid, const process_status& status, const seen_maps& maps,
                      const std::string& library) {
  const std::string process = fmt::format("process {} ({})", pid, status.name);
  if (maps.is_empty) return fmt::format("{} is a thread of the kernel, which has no heap.", process);
  if (!is_in_our_namespaces(pid))
    return fmt::format("{} lives in a container: run `tenure attach` inside of it.", process);
  if (maps.has_region && maps.bells.empty())
    return fmt::format("{} is watched already, by the `tenure run` or `tenure record` that started it.", process);
  if (!maps.bells.empty()) {
    const std::string expected = fmt::format("{}", wire::region_version);
    const std::string version = maps.bells.filename().string();
    const std::string told = version.substr(version.rfind(wire::bells_infix) + sizeof wire::bells_infix - 1);
    if (told.substr(0, told.find(' ')) != expected)
      return fmt::format("{} runs on another version of Tenure than this command: use the one it was started with.",
                         process);
    if (!is_file_there(maps))
      return fmt::format("{} cannot be reached any more: {} was removed since it started.", process,
                         fs::path(wire::bells_folder).string());
    if (status.is_filtered)
      return fmt::format("{} has a seccomp filter, which might end it when it opens a file to tell what it does.",
                         process);
    return {};
  }
  if (maps.has_heap)
    return fmt::format(
        "{} runs on a Tenure that cannot be attached to: an older version, or {} was not there when it "
        "started; start it anew.",
        process, wire::bells_folder);
  if (!maps.has_library)
    return fmt::format("Tenure is not loaded in {}, which is statically linked: link it with tenure-malloc.o.",
                       process);
  return fmt::format(
      "Tenure is not loaded in {}: start it as LD_PRELOAD={} CMD, and it can be attached to at any time.", process,
      library);
}

}  // namespace

std::expected<attachable, attach_failure> find_attachable(std::uint32_t pid, const std::string& library) {
  const auto refuse = [](attach_refusal kind, std::string sentence) {
    return std::unexpected(attach_failure{kind, std::move(sentence)});
  };
  const auto status = read_status(pid);
  if (!status) return refuse(attach_refusal::no_process, fmt::format("there is no process {}.", pid));
  if (status->state == 'Z' || status->state == 'X')
    return refuse(attach_refusal::no_process, fmt::format("process {} ({}) has ended.", pid, status->name));
  const seen_maps maps = read_maps(pid, status->user_id);
  const bool is_another_users = ::geteuid() != 0 && status->user_id != ::geteuid();
  if (is_another_users || !maps.is_readable)
    return refuse(attach_refusal::cannot,
                  fmt::format("process {} ({}) belongs to another user or does not let itself be looked at: attach as "
                              "that user, or as root.",
                              pid, status->name));
  if (std::string why = objection(pid, *status, maps, library); !why.empty())
    return refuse(attach_refusal::cannot, std::move(why));
  return attachable{pid, status->user_id, maps.bells};
}

std::vector<attachable> find_all_attachable() {
  std::vector<attachable> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    std::uint32_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    if (auto one = find_attachable(pid, {})) found.push_back(std::move(*one));
  }
  std::sort(found.begin(), found.end(), [](const attachable& a, const attachable& b) { return a.pid < b.pid; });
  return found;
}

}  // namespace tenure::collect
