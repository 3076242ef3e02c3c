#include "core/telemetry/module_list.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstring>

#include "core/base/check.h"
#include "core/telemetry/events.h"
#include "core/telemetry/telemetry_state.h"

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
  const byte_range build_id = build_id_of(module);
  if (build_id.begin != 0 && build_id.end - build_id.begin <= sizeof event.build_id) {
    event.build_id_bytes = static_cast<std::uint32_t>(build_id.end - build_id.begin);
    std::memcpy(event.build_id, reinterpret_cast<const void*>(build_id.begin), event.build_id_bytes);
  }
  event.path_bytes = static_cast<std::uint32_t>(path_of(module, path_buffer));
  return write_module(event, path_buffer);
}

constexpr std::uint64_t first_page_bytes = 4096;
constexpr std::uint64_t build_id_part_bytes = 16;

std::uint64_t hash_of(std::uint64_t hash, std::uint64_t address, std::size_t words) noexcept {
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t word;
    std::memcpy(&word, reinterpret_cast<const void*>(address + i * sizeof word), sizeof word);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

// The build id's address, if identity_of() may read it without looking whether it is still mapped: that is so in the
// first page of the image, whatever file it is now.
std::uint64_t quick_build_id(const loaded_module& module) noexcept {
  const byte_range build_id = build_id_of(module);
  const byte_range first_page{module.begin, module.begin + first_page_bytes};
  const bool quick =
      build_id.end - build_id.begin >= build_id_part_bytes && first_page.holds(build_id.begin, build_id_part_bytes);
  return quick ? build_id.begin : 0;
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

// Tells two files apart that were mapped at one place: by the build id, or, where there is none, by the program headers
// and the beginning of the unwind information.
std::uint64_t module_list::identity_of(const loaded_module& module, std::uint64_t build_id) noexcept {
  if (build_id != 0) return hash_of(0, build_id, build_id_part_bytes / sizeof(std::uint64_t));
  constexpr std::size_t image_words = 64;
  constexpr std::size_t unwind_words = 3;  // the header and the first row of its table: no header is shorter
  if (module.end - module.begin < first_page_bytes) return 0;
  const std::uint64_t image = hash_of(1, module.begin, image_words);
  return module.unwind_header == 0 ? image : hash_of(image, module.unwind_header, unwind_words);
}

// Compares what the list says of `address` with what is there now. True when it was something else.
bool module_list::verify(std::uint64_t address, std::uint64_t time_ns) noexcept {
  loaded_module module;
  if (!find_module(address, &module)) return false;
  std::size_t position = position_of(address);
  const entry* known = &entries_[position];
  const bool same = position < count_ && known->begin == module.begin && known->end == module.end &&
                    known->unwind_header == module.unwind_header && known->loader_entry == module.loader_entry &&
                    known->identity == identity_of(module, known->build_id);
  const bool replaced = !same && replace(module);
  position = position_of(address);
  entry& at = entries_[position];
  TENURE_DCHECK(at.begin <= address && address < at.end);
  at.verified = round_;
  if (!at.told && has_region() && tell(module, time_ns)) {
    at.told = true;
    __atomic_store_n(&told_count_, told_count_ + 1, __ATOMIC_RELAXED);
  }
  return replaced;
}

// Puts the module in, and out what overlaps it. True when there was such.
bool module_list::replace(const loaded_module& module) noexcept {
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
  const std::uint64_t build_id = quick_build_id(module);
  entries_[position] = {
      module.begin, module.end, module.unwind_header, module.loader_entry, build_id, identity_of(module, build_id), 0,
      false};
  ++count_;
  return overlapped;
}

void module_list::forget_told() noexcept {
  for (std::size_t i = 0; i < count_; ++i) entries_[i].told = false;
  __atomic_store_n(&told_count_, 0, __ATOMIC_RELAXED);
}

void module_list::check() const noexcept {
  TENURE_CHECK(count_ <= capacity);
  for (std::size_t i = 0; i < count_; ++i) {
    TENURE_CHECK(entries_[i].begin < entries_[i].end);
    TENURE_CHECK(i == 0 || entries_[i - 1].end <= entries_[i].begin);
  }
}

}  // namespace tenure::telemetry
