#include "instruments/analyze/memory_parts.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace tenure::analyze {
namespace {

using collect::mapping;

struct part_names {
  const char* name;
  const char* code;
};
constexpr std::array<part_names, part_kind_count> names = {{
    {"heap: live blocks", "heap_live"},
    {"heap: rounding", "heap_rounding"},
    {"heap: thread caches", "heap_thread_caches"},
    {"heap: free blocks", "heap_central_free"},
    {"heap: free pages", "heap_free_dirty"},
    {"heap: metadata", "heap_metadata"},
    {"other anonymous", "other_anonymous"},
    {"stacks", "stacks"},
    {"files", "files"},
    {"shared memory", "shared_memory"},
    {"Tenure itself", "tenure_region"},
    {"unexplained", "unexplained"},
}};

constexpr std::size_t shown_details = 3;

std::string_view mapped_name(std::string_view path) {
  constexpr std::string_view deleted = " (deleted)";
  if (path.ends_with(deleted)) path.remove_suffix(deleted.size());
  return path.substr(path.rfind('/') + 1);
}

bool is_heap(const mapping& one, const wire::heap_statistics& heap) {
  return one.begin < heap.window_end && one.end > heap.window_begin;
}

// `file` is the file whose mapping ends where this anonymous one begins, if any: then this is its zeroed data.
part_kind classify(const mapping& one, std::string_view file) {
  const std::string_view name = one.name;
  for (const char* const shared : {".region", ".region (deleted)", ".tape", ".tape (deleted)"})
    if (name.ends_with(shared)) return part_kind::tenure_region;
  if (mapped_name(name.empty() ? file : name).starts_with("libtenure-malloc")) return part_kind::tenure_region;
  if (name.starts_with("[stack") || name.starts_with("[anon:stack")) return part_kind::stacks;
  if (name.starts_with("/dev/shm/") || name.starts_with("/memfd:") || name.starts_with("/SYSV") ||
      name.starts_with("/dev/zero") || name.starts_with("[anon_shmem"))
    return part_kind::shared_memory;
  if (name.starts_with('/')) return part_kind::files;
  if (name.empty()) return file.empty() ? part_kind::other_anonymous : part_kind::files;
  if (name == "[heap]" || name.starts_with("[anon:")) return part_kind::other_anonymous;
  if (name == "[vdso]" || name == "[vvar]" || name == "[vvar_vclock]" || name == "[vsyscall]") return part_kind::files;
  return part_kind::unexplained;
}

// glibc maps a thread's stack with a guard that nobody may touch below it; the kernel gives it no name.
bool is_thread_stack(const mapping& one, const mapping* below) {
  constexpr std::uint64_t guard_limit_bytes = 64 * 1024;
  return one.name.empty() && one.permissions == "rw-p" && below != nullptr && below->end == one.begin &&
         below->name.empty() && below->permissions == "---p" && below->end - below->begin <= guard_limit_bytes;
}

// The sizes of the parts, and within each by name.
struct sums {
  std::array<std::uint64_t, part_kind_count> bytes{};
  std::array<std::map<std::string, std::uint64_t>, part_kind_count> details;
  std::array<std::optional<estimate>, part_kind_count> sampled;

  std::uint64_t& of(part_kind kind) { return bytes[static_cast<std::size_t>(kind)]; }
  void add(part_kind kind, std::string_view detail, std::uint64_t resident_bytes) {
    of(kind) += resident_bytes;
    if (!detail.empty() && resident_bytes != 0)
      details[static_cast<std::size_t>(kind)][std::string(detail)] += resident_bytes;
  }
};

// Takes at most what is left.
std::uint64_t take(std::uint64_t& left, std::uint64_t wanted) {
  const std::uint64_t taken = std::min(left, wanted);
  left -= taken;
  return taken;
}

std::uint64_t whole(double bytes) { return bytes > 0 ? static_cast<std::uint64_t>(std::llround(bytes)) : 0; }

void split_heap(std::uint64_t resident_bytes, const wire::heap_statistics& heap, const amount& live, sums& into) {
  std::uint64_t free_blocks_bytes = 0;
  for (const wire::size_class_statistics& one : heap.classes) {
    const std::uint64_t blocks = one.central_free_blocks + one.transfer_blocks;
    // From a file that anybody may write: no sum of nonsense.
    if (one.block_bytes != 0 && blocks < resident_bytes / one.block_bytes)
      free_blocks_bytes += blocks * one.block_bytes;
  }
  std::uint64_t left = resident_bytes;
  into.of(part_kind::heap_free_dirty) += take(left, heap.free_dirty_bytes);
  into.of(part_kind::heap_live) += take(left, whole(live.bytes.value));
  into.of(part_kind::heap_rounding) += take(left, whole(live.usable_bytes.value - live.bytes.value));
  into.of(part_kind::heap_central_free) += take(left, free_blocks_bytes);
  into.of(part_kind::heap_thread_caches) += left;
  into.sampled[static_cast<std::size_t>(part_kind::heap_live)] = live.bytes;
}

}  // namespace

const char* name_of(part_kind kind) { return names[static_cast<std::size_t>(kind)].name; }
const char* code_of(part_kind kind) { return names[static_cast<std::size_t>(kind)].code; }

memory_breakdown break_down_memory(const collect::memory_map& map, const amount& live) {
  memory_breakdown result;
  result.time_ns = map.time_ns;
  sums parts;
  std::string_view file;  // whose mappings we are in
  std::uint64_t file_end = 0;
  const mapping* below = nullptr;
  for (const mapping& one : map.mappings) {
    const mapping* const previous = std::exchange(below, &one);
    result.resident_bytes += one.resident_bytes;
    result.swapped_bytes += one.swapped_bytes;
    if (one.name.starts_with('/')) file = one.name;
    const bool follows_file = one.begin == file_end;
    if (one.name.starts_with('/') || follows_file) file_end = one.end;
    if (is_heap(one, map.statistics)) {
      result.heap_resident_bytes += one.resident_bytes;
      continue;
    }
    const std::string_view of_file = follows_file ? file : std::string_view();
    if (is_thread_stack(one, previous)) {
      parts.add(part_kind::stacks, "threads", one.resident_bytes);
      continue;
    }
    const part_kind kind = classify(one, of_file);
    parts.add(kind, kind == part_kind::stacks ? "main thread" : mapped_name(one.name.empty() ? of_file : one.name),
              one.resident_bytes);
  }
  split_heap(result.heap_resident_bytes, map.statistics, live, parts);
  parts.of(part_kind::heap_metadata) += take(parts.of(part_kind::other_anonymous), map.statistics.metadata_bytes);

  for (std::size_t index = 0; index < part_kind_count; ++index) {
    if (parts.bytes[index] == 0) continue;
    memory_part part{static_cast<part_kind>(index), names[index].name, parts.bytes[index], parts.sampled[index], {}};
    for (const auto& [name, bytes] : parts.details[index])
      part.details.push_back({part.kind, name, bytes, std::nullopt, {}});
    std::sort(part.details.begin(), part.details.end(),
              [](const memory_part& a, const memory_part& b) { return a.resident_bytes > b.resident_bytes; });
    if (part.details.size() > shown_details) part.details.resize(shown_details);
    result.parts.push_back(std::move(part));
  }
  return result;
}

}  // namespace tenure::analyze
