// What was learnt about a module, on disk by build-id, so that the next report need not read its DWARF again.
//
//   <cache>/<build-id>.symbols
//   header    magic, version, XXH3 checksum of all that follows it, fingerprint of the files it was read from, counts
//   entries   {address, first frame, frame count}, sorted by address
//   frames    {function, file, system name: offsets of strings; line; flags}
//   strings   each ended by a zero byte, each once
//
// It is written to a temporary file and renamed, so that a reader finds a whole table or none. A table that is damaged,
// of another version or of other files is ignored and written anew. The folder is bounded: the tables that have not
// been used for the longest time go first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "instruments/symbols/symbolizer.h"

namespace tenure::symbols {

class symbol_cache {
 public:
  using table = std::map<std::uint64_t, std::vector<frame>>;

  // What is on disk for a build-id. A fingerprint of zero takes any: the files themselves are out of reach.
  static std::optional<table> load(const std::filesystem::path& folder, const std::string& build_id,
                                   std::uint64_t fingerprint);

  // False when it cannot be written; a cache is a convenience, so nobody needs to hear of it. Tables of more than
  // `limit_bytes` are not written, and the folder is brought below it.
  static bool save(const std::filesystem::path& folder, const std::string& build_id, std::uint64_t fingerprint,
                   const table& entries, std::uint64_t limit_bytes);

  // Marks a table as used.
  static void touch(const std::filesystem::path& folder, const std::string& build_id);
};

}  // namespace tenure::symbols
