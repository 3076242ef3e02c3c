#include "core/telemetry/attachment.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/os/barrier.h"
#include "core/os/clock.h"
#include "core/os/file_length.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/record.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/ring.h"
#include "core/telemetry/telemetry_state.h"
#include "wire/bell.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t reader_patience_ns = 2'000'000'000;
constexpr std::size_t folder_capacity_bytes = 128;

std::uint64_t* bells = nullptr;    // the user's; null: nobody can attach
std::uint32_t own_pid = 0;         // as it was last asked for: a child that was forked past the handlers differs
bool rang_at_start = false;        // nothing was allocated before
std::uint32_t attached = 0;        // atomic
std::uint32_t answering = 0;       // atomic: a thread is at it
std::uint64_t last_missed_ns = 0;  // atomic: when the folder was last looked at
std::uint32_t attached_pid = 0;    // that the attacher was told of: this process, or one above it
wire::session_wishes wished;
char folder[folder_capacity_bytes];  // the attacher's

std::uint32_t ask_pid() noexcept { return static_cast<std::uint32_t>(::syscall(SYS_getpid)); }
std::uint64_t user_id() noexcept { return static_cast<std::uint64_t>(::syscall(SYS_geteuid)); }

std::uint64_t& own_bell() noexcept {
  TENURE_DCHECK(bells != nullptr && own_pid != 0);
  return bells[wire::bell_place(own_pid)];
}
// Its lower half, the first in memory: what the slow paths look at.
const std::uint32_t* bell_word() noexcept { return reinterpret_cast<const std::uint32_t*>(&own_bell()); }
std::uint64_t load(const std::uint64_t& bell) noexcept { return __atomic_load_n(&bell, __ATOMIC_ACQUIRE); }

void use_switch(const std::uint32_t* word) noexcept { __atomic_store_n(&current_switch, word, __ATOMIC_RELEASE); }

// The file is there for good once somebody has made it; negative when it is not to be had, or not ours alone.
int open_bells() noexcept {
  char path[folder_capacity_bytes];
  core::text_writer name(path, sizeof path);
  name.add(wire::bells_folder).add("/").add(wire::bells_prefix).add_decimal(user_id()).add(wire::bells_infix);
  name.add_decimal(wire::region_version).add("", 1);
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, 0));
  if (file < 0 && errno == ENOENT)
    file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags | O_CREAT, 0600));
  if (file < 0) return file;
  struct stat status {};
  const bool is_ours = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == user_id() &&
                       (status.st_mode & 077) == 0;
  const bool is_whole = is_ours && (status.st_size == static_cast<off_t>(wire::bells_bytes) ||
                                    os::set_file_length(file, wire::bells_bytes));
  if (is_whole) return file;
  ::syscall(SYS_close, file);
  return -1;
}

void map_bells() noexcept {
  const int file = open_bells();
  if (file < 0) return;
  void* memory = ::mmap(nullptr, wire::bells_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::syscall(SYS_close, file);
  if (memory == MAP_FAILED) return;
  // A tmpfs that is full shall be noticed here and not at the first look.
  auto* page = static_cast<std::byte*>(memory) +
               wire::bell_place(own_pid) * sizeof(std::uint64_t) / os::page_bytes() * os::page_bytes();
  if (!populate_shared(page, 1)) {
    ::munmap(memory, wire::bells_bytes);
    return;
  }
  bells = static_cast<std::uint64_t*>(memory);
}

void write_folder() noexcept {
  TENURE_DCHECK(attached_pid != 0);
  core::text_writer name(folder, sizeof folder);
  name.add(wire::bells_folder).add("/").add(wire::bells_prefix).add_decimal(user_id()).add(".");
  name.add_decimal(attached_pid).add(wire::attached_suffix).add("", 1);
}

// Whether the folder is there and its maker lives, who holds its lock.
bool is_attended() noexcept {
  const int file =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0));
  if (file < 0) return false;
  const bool is_free = ::syscall(SYS_flock, file, LOCK_SH | LOCK_NB) == 0;
  ::syscall(SYS_close, file);
  return !is_free;
}

// Rings the own bell, so that what this process starts hears it.
void ring_own(std::uint32_t attached_to) noexcept {
  std::uint64_t quiet = 0;
  __atomic_compare_exchange_n(&own_bell(), &quiet, wire::make_bell(own_pid, attached_to), false, __ATOMIC_ACQ_REL,
                              __ATOMIC_RELAXED);
}

void silence(std::uint64_t bell) noexcept {
  __atomic_compare_exchange_n(&own_bell(), &bell, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool enter(wire::origin origin) noexcept {
  if (!is_attended() || !read_wishes(folder, &wished)) return false;
  __atomic_store_n(&last_missed_ns, os::monotonic_ns(), __ATOMIC_RELAXED);
  if (!enter_region(folder, origin, wished)) return false;
  __atomic_store_n(&attached, 1, __ATOMIC_RELEASE);
  return true;
}

void answer_bell() noexcept {
  TENURE_DCHECK(__atomic_load_n(&answering, __ATOMIC_RELAXED) != 0);
  const std::uint64_t bell = load(own_bell());
  if (wire::bell_process(bell) != own_pid) return;
  attached_pid = wire::bell_attached(bell);
  write_folder();
  const wire::origin origin = rang_at_start ? wire::origin::exec : wire::origin::attached;
  rang_at_start = false;
  if (!enter(origin)) silence(bell);
}

void close_ring() noexcept { process_ring().detach(); }

void leave() noexcept {
  if (!close_tape() || !end_telling(close_ring)) return;
  const std::uint64_t bell = load(own_bell());
  if (!is_attended()) silence(bell);
  __atomic_store_n(&attached, 0, __ATOMIC_RELEASE);
  leave_region(bell_word());
}

void follow_control() noexcept {
  TENURE_DCHECK(__atomic_load_n(&answering, __ATOMIC_RELAXED) != 0 && is_attached());
  std::uint32_t& word = control().recording;
  if ((__atomic_load_n(&word, __ATOMIC_ACQUIRE) & wire::control_leave) != 0) return leave();
  if ((__atomic_fetch_and(&word, ~wire::control_copy, __ATOMIC_ACQ_REL) & wire::control_copy) != 0) copy_counters();
}

bool begin_answer() noexcept { return __atomic_exchange_n(&answering, 1, __ATOMIC_ACQUIRE) == 0; }
void end_answer() noexcept { __atomic_store_n(&answering, 0, __ATOMIC_RELEASE); }

}  // namespace

bool is_attached() noexcept { return __atomic_load_n(&attached, __ATOMIC_ACQUIRE) != 0; }

void listen_for_attachment(bool is_start) noexcept {
  const int saved_errno = errno;
  own_pid = ask_pid();
  // Without it nobody could be sure that no thread is at the rings any more.
  if (is_start && !os::process_barrier_missing()) map_bells();
  if (bells != nullptr && is_start) {
    const auto parent = static_cast<std::uint32_t>(::syscall(SYS_getppid));
    const std::uint64_t bell = load(bells[wire::bell_place(parent)]);
    if (parent != 0 && wire::bell_process(bell) == parent) ring_own(wire::bell_attached(bell));
    rang_at_start = wire::bell_process(load(own_bell())) == own_pid;
  }
  if (bells != nullptr) use_switch(bell_word());
  errno = saved_errno;
}

[[gnu::cold]] bool follow_switch() noexcept {
  const int saved_errno = errno;
  if (begin_answer()) {
    if (own_pid == ask_pid()) is_attached() ? follow_control() : answer_bell();
    end_answer();
  }
  errno = saved_errno;
  const std::uint32_t word = __atomic_load_n(&control().recording, __ATOMIC_RELAXED);
  return (word & wire::control_mode_mask) != 0 && (word & wire::control_leave) == 0;
}

bool follow_attachment_in_child() noexcept {
  if (bells == nullptr) return false;
  const bool was_attached = is_attached();
  end_answer();
  __atomic_store_n(&attached, 0, __ATOMIC_RELEASE);
  listen_for_attachment(false);
  if (!was_attached) return true;
  ring_own(attached_pid);
  const int saved_errno = errno;
  enter(wire::origin::fork);
  errno = saved_errno;
  return true;
}

bool hold_attachment() noexcept {
  constexpr int most_turns = 10'000;
  for (int turn = 0; turn < most_turns; ++turn) {
    if (begin_answer()) return true;
    ::sched_yield();
  }
  return false;
}

void miss_reader(std::uint64_t now_ns) noexcept {
  if (!is_attached()) return;
  const std::uint64_t seen_ns = __atomic_load_n(&control().reader_ns, __ATOMIC_RELAXED);
  std::uint64_t last_ns = __atomic_load_n(&last_missed_ns, __ATOMIC_RELAXED);
  if ((seen_ns > last_ns ? seen_ns : last_ns) + reader_patience_ns > now_ns) return;
  if (!__atomic_compare_exchange_n(&last_missed_ns, &last_ns, now_ns, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    return;
  const int saved_errno = errno;
  if (!is_attended()) __atomic_fetch_or(&control().recording, wire::control_leave, __ATOMIC_ACQ_REL);
  errno = saved_errno;
}

}  // namespace tenure::telemetry
