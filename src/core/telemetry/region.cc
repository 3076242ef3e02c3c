#include "core/telemetry/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/format.h"
#include "core/budget/ledger.h"
#include "core/os/clock.h"
#include "core/os/file_length.h"
#include "core/os/virtual_memory.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

extern char** environ;
// Where the kernel put argc, argv and the environment; the loader exports it.
extern "C" void* __libc_stack_end __attribute__((weak));

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t generation_limit = 100000;
constexpr std::size_t path_capacity_bytes = region_path_capacity_bytes;
// The accounts, which come last, are mapped by the ledger, where they stay for good, unless they are copies.
constexpr std::size_t home_bytes = wire::accounts_offset_bytes;

int open_file(const char* path, int flags) noexcept {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600));
}
void close_file(int descriptor) noexcept { ::syscall(SYS_close, descriptor); }

std::uint32_t process_id() noexcept { return static_cast<std::uint32_t>(::syscall(SYS_getpid)); }

// Reads a file of /proc into [to, to + capacity). Bytes read; *cut says that there was more.
std::size_t copy_file(const char* path, std::byte* to, std::size_t capacity, bool* cut) noexcept {
  *cut = false;
  const int descriptor = open_file(path, O_RDONLY);
  if (descriptor < 0) return 0;
  std::size_t total = 0;
  for (;;) {
    char more;
    const bool full = total == capacity;
    const long got = ::syscall(SYS_read, descriptor, full ? static_cast<void*>(&more) : to + total,
                               full ? std::size_t{1} : capacity - total);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (full) {
      *cut = true;
      break;
    }
    total += static_cast<std::size_t>(got);
  }
  close_file(descriptor);
  return total;
}

// Second number of /proc/self/statm: resident OS pages.
std::uint64_t resident_bytes() noexcept {
  char text[128] = {};
  bool cut;
  copy_file("/proc/self/statm", reinterpret_cast<std::byte*>(text), sizeof text - 1, &cut);
  const char* at = text;
  while (*at >= '0' && *at <= '9') ++at;
  if (*at == ' ') ++at;
  std::uint64_t pages = 0;
  for (; *at >= '0' && *at <= '9'; ++at) pages = pages * 10 + static_cast<std::uint64_t>(*at - '0');
  return pages * os::page_bytes();
}

// A descriptor of a fresh file under the first free generation; negative, with errno, when there is none to be had.
// `path` keeps the name.
int create_file(const char* folder, char* path) noexcept {
  for (std::uint64_t generation = 0; generation < generation_limit; ++generation) {
    core::text_writer name(path, path_capacity_bytes);
    name.add(folder).add("/").add_decimal(process_id()).add(".").add_decimal(generation).add(".region").add("", 1);
    if (name.needed_bytes() > path_capacity_bytes) return errno = ENAMETOOLONG, -1;
    const int descriptor = open_file(path, O_CREAT | O_EXCL | O_RDWR);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

// Fresh memory of ours in place of what is there, which is given up.
bool map_nothing(std::byte* address, std::size_t bytes) noexcept {
  return ::mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

// `place` is ours to map over, or null.
std::byte* map_file(int descriptor, std::byte* place, std::size_t mapped_bytes) noexcept {
  if (!os::set_file_length(descriptor, wire::region_bytes)) return nullptr;
  const int fixed = place == nullptr ? 0 : MAP_FIXED;
  void* address = ::mmap(place, mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, descriptor, 0);
  if (address == MAP_FAILED) return nullptr;
  auto* base = static_cast<std::byte*>(address);
  // What is touched without asking again; the texts are filled by read(), which fails instead of raising SIGBUS.
  if (populate_shared(base, wire::text_offset_bytes) &&
      populate_shared(base + wire::ring_offset_bytes, wire::ring_records_offset_bytes - wire::ring_offset_bytes)) {
    return base;
  }
  if (place == nullptr || !map_nothing(place, mapped_bytes)) ::munmap(address, mapped_bytes);
  return errno = ENOSPC, nullptr;
}

char region_path[path_capacity_bytes];  // of the region that was made last; empty: none

char** environment() noexcept {
  if (environ != nullptr) return environ;
  if (&__libc_stack_end == nullptr || __libc_stack_end == nullptr) return nullptr;
  // The first allocation may come from the loader, before the C library has started: then the kernel's copy it is.
  auto* words = static_cast<std::uintptr_t*>(__libc_stack_end);
  const std::uintptr_t argument_count = words[0];
  if (argument_count > (1u << 22) || words[1 + argument_count] != 0) return nullptr;
  return reinterpret_cast<char**>(words + 2 + argument_count);
}

}  // namespace

bool populate_shared(std::byte* begin, std::size_t bytes) noexcept {
  const int saved_errno = errno;
  const std::uintptr_t page = os::page_bytes();
  const std::uintptr_t from = core::align_down(reinterpret_cast<std::uintptr_t>(begin), page);
  const std::uintptr_t to = core::align_up(reinterpret_cast<std::uintptr_t>(begin) + bytes, page);
  const bool refused = ::madvise(reinterpret_cast<void*>(from), to - from, MADV_POPULATE_WRITE) != 0;
  // A kernel before 5.14 does not know the call; then there is nothing better than to touch and see.
  const bool sound = !refused || errno == EINVAL;
  errno = saved_errno;
  return sound;
}

const char* session_folder() noexcept {
  static constexpr char name[] = "TENURE_SESSION=";
  char** entry = environment();
  for (; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, sizeof name - 1) == 0) {
      const char* folder = *entry + sizeof name - 1;
      return *folder == '\0' ? nullptr : folder;
    }
  }
  return nullptr;
}

int create_beside_region(const char* extension, char (&path)[region_path_capacity_bytes]) noexcept {
  constexpr std::size_t replaced_bytes = sizeof "region" - 1;
  const std::size_t length = std::strlen(region_path);
  if (length < replaced_bytes) return errno = ENOENT, -1;
  core::text_writer name(path, sizeof path);
  name.add(region_path, length - replaced_bytes).add(extension).add("", 1);
  if (name.needed_bytes() > sizeof path) return errno = ENAMETOOLONG, -1;
  return open_file(path, O_CREAT | O_EXCL | O_RDWR);
}

bool read_wishes(const char* folder, wire::session_wishes* wishes) noexcept {
  char path[512];
  core::text_writer name(path, sizeof path);
  name.add(folder).add("/wishes").add("", 1);
  if (name.needed_bytes() > sizeof path) return false;
  bool cut;
  return copy_file(path, reinterpret_cast<std::byte*>(wishes), sizeof *wishes, &cut) == sizeof *wishes && !cut &&
         wishes->magic == wire::wishes_magic && wishes->version == wire::region_version &&
         wire::is_recording_word(wishes->recording);
}

bool region::create(const char* folder, wire::origin origin, region_use use) noexcept {
  TENURE_CHECK(!mapped() && folder != nullptr);
  // One process creates one region at a time; stacks may be small.
  const int descriptor = create_file(folder, region_path);
  if (descriptor < 0) return false;
  const bool is_home = use == region_use::home;
  mapped_bytes_ = is_home ? home_bytes : wire::region_bytes;
  std::byte* base = map_file(descriptor, is_home ? nullptr : left_, mapped_bytes_);
  __atomic_store_n(&base_, base, __ATOMIC_RELAXED);
  if (base != nullptr && is_home && !budget::move_to_file(descriptor, wire::accounts_offset_bytes, populate_shared)) {
    unmap();
    errno = ENOSPC;
  }
  if (base_ == nullptr) {
    const int saved_errno = errno;
    ::syscall(SYS_unlinkat, AT_FDCWD, region_path, 0);
    region_path[0] = '\0';
    errno = saved_errno;
  }
  close_file(descriptor);
  if (base_ == nullptr) return false;
  fill_header(origin);
  return true;
}

void region::fill_header(wire::origin origin) noexcept {
  wire::region_header& head = header();
  head.version = wire::region_version;
  head.header_bytes = sizeof(wire::region_header);
  head.total_bytes = wire::region_bytes;
  head.pid = process_id();
  head.parent_pid = static_cast<std::uint32_t>(::syscall(SYS_getppid));
  head.origin = static_cast<std::uint32_t>(origin);
  head.life = static_cast<std::uint32_t>(wire::life::starting);
  head.start_monotonic_ns = os::monotonic_ns();
  head.start_realtime_ns = os::realtime_ns();
  head.page_bytes = static_cast<std::uint32_t>(os::page_bytes());
  bool cut;
  head.cmdline_bytes = static_cast<std::uint32_t>(copy_file(
      "/proc/self/cmdline", base_ + wire::text_cmdline_offset_bytes, wire::text_cmdline_capacity_bytes, &cut));
  const long length = ::syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", base_ + wire::text_executable_offset_bytes,
                                wire::text_executable_capacity_bytes);
  head.executable_bytes = length > 0 ? static_cast<std::uint32_t>(length) : 0;
}

void region::open_for_readers() noexcept {
  TENURE_CHECK(mapped());
  __atomic_store_n(&header().life, static_cast<std::uint32_t>(wire::life::running), __ATOMIC_RELAXED);
  __atomic_store_n(&header().magic, wire::region_magic, __ATOMIC_RELEASE);
}

void region::unmap() noexcept {
  if (base_ != nullptr) ::munmap(base_, mapped_bytes_);
  if (left_ != nullptr && left_ != base_) ::munmap(left_, wire::region_bytes);
  left_ = nullptr;
  __atomic_store_n(&base_, nullptr, __ATOMIC_RELAXED);
}

void region::leave() noexcept {
  TENURE_CHECK(mapped() && mapped_bytes_ == wire::region_bytes);
  const int saved_errno = errno;
  left_ = base_;
  __atomic_store_n(&base_, nullptr, __ATOMIC_RELAXED);
  // Refused: then the file's pages stay ours until the next one, which does no harm either.
  map_nothing(left_, wire::region_bytes);
  errno = saved_errno;
}

void region::write_last_words() noexcept {
  if (!mapped()) return;
  wire::region_header& head = header();
  head.exit_resident_bytes = resident_bytes();
  bool cut;
  const std::size_t bytes =
      copy_file("/proc/self/smaps", base_ + wire::text_smaps_offset_bytes, wire::text_smaps_capacity_bytes, &cut);
  head.exit_smaps_truncated = cut ? 1 : 0;
  head.exit_smaps_bytes = static_cast<std::uint32_t>(bytes);
  head.end_monotonic_ns = os::monotonic_ns();
  __atomic_store_n(&head.life, static_cast<std::uint32_t>(wire::life::exited), __ATOMIC_RELEASE);
}

void region::write_left() noexcept {
  header().end_monotonic_ns = os::monotonic_ns();
  __atomic_store_n(&header().life, static_cast<std::uint32_t>(wire::life::left), __ATOMIC_RELEASE);
}

wire::region_header& region::header() const noexcept {
  TENURE_DCHECK(mapped());
  return *reinterpret_cast<wire::region_header*>(base_ + wire::header_offset_bytes);
}
wire::control_page& region::control() const noexcept {
  TENURE_DCHECK(mapped());
  return *reinterpret_cast<wire::control_page*>(base_ + wire::control_offset_bytes);
}
wire::heap_statistics& region::statistics() const noexcept {
  TENURE_DCHECK(mapped());
  return *reinterpret_cast<wire::heap_statistics*>(base_ + wire::statistics_offset_bytes);
}
wire::ring_header& region::ring() const noexcept {
  TENURE_DCHECK(mapped());
  return *reinterpret_cast<wire::ring_header*>(base_ + wire::ring_offset_bytes);
}

void region::check() const noexcept {
  if (!mapped()) return;
  TENURE_CHECK(core::is_aligned(reinterpret_cast<std::uintptr_t>(base_), 4096));
  TENURE_CHECK(header().version == wire::region_version);
  TENURE_CHECK(header().total_bytes == wire::region_bytes);
  TENURE_CHECK(header().cmdline_bytes <= wire::text_cmdline_capacity_bytes);
  TENURE_CHECK(header().executable_bytes <= wire::text_executable_capacity_bytes);
}

}  // namespace tenure::telemetry
