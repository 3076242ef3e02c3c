#include "core/telemetry/module_list.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstring>

#include "core/base/check.h"
#include "core/telemetry/events.h"
#include "core/telemetry/telemetry_state.h"
#include "core/telemetry/unwind.h"

namespace tenure::telemetry {
namespace {

constexpr std::size_t path_capacity_bytes = 4096;
char path_buffer[path_capacity_bytes];  // under the lock of the samples; stacks may be small

// The loader's name made absolute. A relative name is told as seen from the current folder; the build id decides
// whether that was right.
std::size_t path_of(const loaded_module& module, char* path) noexcept {
  if (module.name == nullptr || *module.name == '\0') {
    const long bytes = ::syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, path_capacity_bytes);
    return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
  }
  std::size_t used = 0;
  if (std::strchr(module.name, '/') != nullptr && *module.name != '/') {
    const long bytes = ::syscall(SYS_getcwd, path, path_capacity_bytes - 1);  // with its terminating zero
    if (bytes > 1) {
      used = static_cast<std::size_t>(bytes);
      path[used - 1] = '/';
    }
  }
  const std::size_t name_bytes = std::strlen(module.name);
  const std::size_t room = path_capacity_bytes - used;
  const std::size_t copied = name_bytes < room ? name_bytes : room;
  std::memcpy(path + used, module.name, copied);
  return used + copied;
}

bool tell(const loaded_module& module, std::uint64_t time_ns) noexcept {
  wire::module_event event{};
  event.time_ns = time_ns;
  event.begin = module.begin;
  event.end = module.end;
  event.bias = module.bias;
  event.build_id_bytes = static_cast<std::uint32_t>(build_id_of(module, event.build_id, sizeof event.build_id));
  event.path_bytes = static_cast<std::uint32_t>(path_of(module, path_buffer));
  return write_module(event, path_buffer);
}

std::uint64_t identity_of(const loaded_module& module) noexcept {
  std::uint8_t build_id[32] = {};
  build_id_of(module, build_id, sizeof build_id);
  std::uint64_t identity;
  std::memcpy(&identity, build_id, sizeof identity);
  return identity;
}

}  // namespace

std::size_t module_list::position_of(std::uint64_t address) const noexcept {
  std::size_t low = 0;
  std::size_t high = count_;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (entries_[middle].end <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool module_list::announce(const std::uint64_t* frames, std::size_t frame_count, std::uint64_t time_ns) noexcept {
  ++round_;
  bool replaced = false;
  const entry* last = nullptr;
  for (std::size_t i = 0; i < frame_count; ++i) {
    const std::uint64_t address = frames[i];
    if (last != nullptr && address >= last->begin && address < last->end) continue;
    const std::size_t position = position_of(address);
    const entry* found = &entries_[position];
    last = nullptr;
    if (position < count_ && address >= found->begin && found->verified == round_) {
      last = found;
    } else if (verify(address, time_ns)) {
      replaced = true;
    }
  }
  return replaced;
}

// Compares what the list says of `address` with what the loader says. True when it was something else.
bool module_list::verify(std::uint64_t address, std::uint64_t time_ns) noexcept {
  loaded_module module;
  if (!find_module(address, &module)) return false;
  std::size_t position = position_of(address);
  entry* at = &entries_[position];
  bool replaced = false;
  const std::uint32_t generation = rules_generation();
  bool same = position < count_ && at->begin == module.begin && at->end == module.end &&
              at->unwind_header == module.unwind_header && at->loader_entry == module.loader_entry;
  if (!same || at->generation != generation) {
    const std::uint64_t identity = identity_of(module);
    same = same && at->identity == identity;
    if (!same) {
      replaced = replace(module, identity);
      position = position_of(address);
      at = &entries_[position];
    }
    at->generation = generation;
  }
  TENURE_DCHECK(at->begin <= address && address < at->end);
  at->verified = round_;
  if (!at->told && has_region()) at->told = tell(module, time_ns);
  return replaced;
}

// Puts the module in, and out what overlaps it. True when there was such.
bool module_list::replace(const loaded_module& module, std::uint64_t identity) noexcept {
  const std::size_t first = position_of(module.begin);
  std::size_t behind = first;
  while (behind < count_ && entries_[behind].begin < module.end) ++behind;
  const bool overlapped = behind != first;
  std::memmove(&entries_[first], &entries_[behind], (count_ - behind) * sizeof(entry));
  count_ -= behind - first;
  // Full: the last one is forgotten and told again when it is met.
  if (count_ == capacity) --count_;
  const std::size_t position = first < count_ ? first : count_;
  std::memmove(&entries_[position + 1], &entries_[position], (count_ - position) * sizeof(entry));
  entries_[position] = {module.begin, module.end, module.unwind_header, module.loader_entry, identity, 0, 0, false};
  ++count_;
  return overlapped;
}

void module_list::forget_told() noexcept {
  for (std::size_t i = 0; i < count_; ++i) entries_[i].told = false;
}

void module_list::check() const noexcept {
  TENURE_CHECK(count_ <= capacity);
  for (std::size_t i = 0; i < count_; ++i) {
    TENURE_CHECK(entries_[i].begin < entries_[i].end);
    TENURE_CHECK(i == 0 || entries_[i - 1].end <= entries_[i].begin);
  }
}

}  // namespace tenure::telemetry
