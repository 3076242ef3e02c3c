// Whether the override engages: asked of a real child that runs on the heap, not concluded from anything.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>

namespace tenure::cli {

struct engagement {
  std::filesystem::path library;
  bool is_active = false;       // tenure_is_active() in the child
  std::string engine_version;   // tenure_version() in the child
  std::string malloc_library;   // the file that the child's malloc came from
  bool has_region = false;      // the child left a complete region file in its session
  std::string tls_model;        // how the library reaches its thread caches
  std::uint64_t tls_bytes = 0;  // of each thread's block
  std::string failure;          // one sentence; empty when it engages

  bool engages() const { return failure.empty(); }
};

engagement check_engagement();

// What the child does: tells about itself on standard output. For the hidden command `tenure probe`.
int probe_command();

}  // namespace tenure::cli
