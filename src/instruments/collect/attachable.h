// Attachable: whether a process that runs can be attached to (wire/bell.h), and if not, why not and what to do.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <vector>

namespace tenure::collect {

enum class attach_refusal {
  no_process,  // there is none, or it has ended
  cannot,      // Tenure is not loaded, or this user or this command cannot
  failed,      // Tenure itself failed
};

struct attach_failure {
  attach_refusal kind = attach_refusal::cannot;
  std::string sentence;
};

struct attachable {
  std::uint32_t pid = 0;
  std::uint32_t user_id = 0;
  std::filesystem::path bells;  // the file that it listens to
};

// `library`: what to preload, for the sentence that says how.
std::expected<attachable, attach_failure> find_attachable(std::uint32_t pid, const std::string& library);

// Every process that this user may attach to, in order of their numbers. Reads /proc/PID/maps of all of them.
std::vector<attachable> find_all_attachable();

}  // namespace tenure::collect
