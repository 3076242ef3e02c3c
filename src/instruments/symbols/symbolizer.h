// Symbolizer: from a return address in a watched program to function, file and line.
//
// It works outside the program, afterwards, one visible frame at a time:
//
//   address ──► module (path, build-id, bias) ──► symbol cache on disk, by build-id ──► answer
//                                                       │ miss
//                                                       ▼
//                    file on disk, its build-id compared with the recorded one
//                       ├── DWARF, its own or of a separate debug file: functions, inlined frames, file:line
//                       ├── .symtab, .dynsym: the function whose range holds the address
//                       └── otherwise module+0xoffset; nothing is named that was not seen
//
// Not thread-safe: one symbolizer a thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tenure::symbols {

// A file mapped with executable pages in the watched program.
struct module {
  std::string path = {};
  std::string build_id = {};  // lower-case hexadecimal; empty when the file has none
  std::uint64_t begin = 0;    // mapped range
  std::uint64_t end = 0;
  std::uint64_t bias = 0;  // address - bias is the address in the file's own program headers
};

struct frame {
  std::string function = {};  // demangled; "module+0xoffset" when nothing is known
  std::string file = {};      // empty when unknown
  std::uint32_t line = 0;
  bool is_inlined = false;       // this function's body was inlined into the next frame of the answer
  std::string system_name = {};  // as the linker knows it; empty when it is the same as `function` or unknown
  bool is_named = false;         // `function` is a name that was seen, not module+0xoffset
};

// A variable, or where one would be.
struct variable {
  std::string name = {};     // demangled; "module+0xoffset" when nothing is known
  std::uint64_t offset = 0;  // of the address within it
  bool is_named = false;
};

struct symbolizer_options {
  // Where separate debug files are looked for, as .build-id/xx/yyyy.debug and by .gnu_debuglink.
  std::vector<std::filesystem::path> debug_folders = {"/usr/lib/debug"};
  // The cache's folder; empty: no cache. default_cache_folder() is $XDG_CACHE_HOME/tenure or ~/.cache/tenure.
  std::filesystem::path cache_folder;
  std::uint64_t cache_limit_bytes = 256ull << 20;
  // Fetch missing debug files from $DEBUGINFOD_URLS. Off by default, because a slow server stalls the report.
  bool use_debuginfod = false;
  // Told whenever something is about to be looked for in the symbols of a module, which may take long where they have
  // to be read first; not of what was known already. For a line that says what is waited for.
  std::function<void(const std::string& module_path)> observer = {};
};

std::filesystem::path default_cache_folder();

struct symbolizer_statistics {
  std::uint64_t lookups = 0;
  std::uint64_t cache_hits = 0;       // answered from the cache on disk
  std::uint64_t modules_opened = 0;   // files whose symbols had to be read
  std::uint64_t modules_refused = 0;  // missing, unreadable, or with another build-id than the recorded one
};

class symbolizer {
 public:
  explicit symbolizer(symbolizer_options options = {});
  ~symbolizer();  // writes what was learnt to the cache
  symbolizer(const symbolizer&) = delete;
  symbolizer& operator=(const symbolizer&) = delete;

  // The frames at a return address, innermost first: inlined functions, then the function that contains them. Looks up
  // address - 1 - bias, since a return address belongs to the instruction after the call. Never empty.
  std::vector<frame> resolve(const module& of, std::uint64_t address);

  // Where the file says that the byte at `offset` of it is loaded, in its own addresses; absent where the file is not
  // at hand, or is another than the module, or does not load that byte.
  std::optional<std::uint64_t> address_at(const module& of, std::uint64_t offset);

  // The variable that lies at an address of the module.
  variable variable_at(const module& of, std::uint64_t address);
  // The thread-local variable of the program that lies so far from a thread pointer.
  std::optional<variable> thread_local_at(const module& program, std::int64_t offset);

  // One sentence for each module whose symbols could not be used, in the order they were met.
  const std::vector<std::string>& notes() const;

  const symbolizer_statistics& statistics() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace tenure::symbols
