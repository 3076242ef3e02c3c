// The process's own telemetry: from its start, through its forks, to its end.
#include "core/telemetry/telemetry.h"

#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/base/options.h"
#include "core/budget/ledger.h"
#include "core/os/clock.h"
#include "core/telemetry/attachment.h"
#include "core/telemetry/record.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/region.h"
#include "core/telemetry/ring.h"
#include "core/telemetry/telemetry_state.h"

namespace tenure::telemetry {
namespace {

// What stands in for the region when there is none.
struct private_state {
  wire::heap_statistics statistics;
  wire::control_page control;
  std::uint64_t overhead_nanoseconds;
  std::uint64_t overhead_bytes;
};
private_state own;

}  // namespace

const std::uint32_t* current_switch = &own.control.recording;

namespace {

wire::control_page* current_control = &own.control;  // atomic

region process_region;
std::uint32_t current_malloc_owner = 0;                       // enum wire::malloc_owner, atomic
wire::heap_statistics* current_statistics = &own.statistics;  // atomic
std::uint64_t* current_overhead_ns = &own.overhead_nanoseconds;
std::uint64_t* current_overhead_bytes = &own.overhead_bytes;
std::uint64_t overhead_before_ns = 0;  // of an attached process: that its attacher has nothing to do with
std::uint32_t started = 0;
std::uint32_t finished = 0;
bool scans_at_exit = false;
std::uint64_t exit_wish = 0;
void (*scan_callback)(int file, std::uint64_t wish) = nullptr;  // atomic

// As they stood before fork, when the heap held its locks; the region itself is shared with a parent that runs on.
wire::heap_statistics before_fork_statistics;
const std::uint32_t* class_sizes = nullptr;  // atomic; of the heap, for ever
std::size_t class_count = 0;                 // written before it
bool before_fork_taken = false;
std::uint32_t forking_thread = 0;  // 0: not known

template <class T>
void publish(T*& pointer, T* value) noexcept {
  __atomic_store_n(&pointer, value, __ATOMIC_RELEASE);
}

// Word by word: other threads may be counting.
void copy_statistics(const wire::heap_statistics& from, wire::heap_statistics& to) noexcept {
  static_assert(sizeof from % sizeof(std::uint64_t) == 0);
  const auto* source = reinterpret_cast<const std::uint64_t*>(&from);
  auto* target = reinterpret_cast<std::uint64_t*>(&to);
  for (std::size_t i = 0; i < sizeof from / sizeof *source; ++i) {
    const std::uint64_t word = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
    if (word != 0 || __atomic_load_n(&target[i], __ATOMIC_RELAXED) != 0) {
      __atomic_store_n(&target[i], word, __ATOMIC_RELAXED);
    }
  }
}

// A reader that meets a block of a class before the class has a span must know how it is rounded.
void name_classes(wire::heap_statistics& in) noexcept {
  const std::uint32_t* const sizes = __atomic_load_n(&class_sizes, __ATOMIC_ACQUIRE);
  for (std::size_t i = 0; i < class_count; ++i)
    __atomic_store_n(&in.classes[i].block_bytes, sizes[i], __ATOMIC_RELAXED);
}

void use_private_state() noexcept {
  publish(current_statistics, &own.statistics);
  publish(current_control, &own.control);
  publish<const std::uint32_t>(current_switch, &own.control.recording);
  publish(current_overhead_ns, &own.overhead_nanoseconds);
  publish(current_overhead_bytes, &own.overhead_bytes);
}

void use_ring() noexcept {
  process_ring().attach(&process_region.ring(), process_region.ring_records(), wire::ring_capacity_bytes,
                        populate_shared);
}

void use_region() noexcept {
  wire::region_header& header = process_region.header();
  copy_statistics(own.statistics, process_region.statistics());
  name_classes(process_region.statistics());
  process_region.control().sample_interval_bytes = own.control.sample_interval_bytes;
  process_region.control().recording = own.control.recording;
  header.overhead_nanoseconds = own.overhead_nanoseconds;
  header.overhead_bytes = own.overhead_bytes;
  header.malloc_owner = __atomic_load_n(&current_malloc_owner, __ATOMIC_RELAXED);
  publish(current_statistics, &process_region.statistics());
  publish(current_control, &process_region.control());
  publish<const std::uint32_t>(current_switch, &process_region.control().recording);
  publish(current_overhead_ns, &header.overhead_nanoseconds);
  publish(current_overhead_bytes, &header.overhead_bytes);
  use_ring();
  process_region.open_for_readers();
}

wire::scan_wish scan_wished(const wire::session_wishes& wishes) noexcept {
  return static_cast<wire::scan_wish>(wishes.scan & wire::scan_wish_mask);
}

void open_region(wire::origin origin) noexcept {
  const int saved_errno = errno;
  const char* folder = session_folder();
  if (folder != nullptr) {
    if (process_region.create(folder, origin, region_use::home)) {
      use_region();
      own.control.recording = 0;  // without a region there is nowhere to tell it to
    } else {
      own.control.recording = 0;
      const char* reason = ::strerrordesc_np(errno);
      core::message sentence;
      sentence.add("tenure: no region file can be made in ").add(folder).add(" (TENURE_SESSION): ");
      sentence.add(reason == nullptr ? "unknown error" : reason).add("; this process will be missing in the report.\n");
      sentence.write_to(2);
    }
  }
  errno = saved_errno;
}

}  // namespace

void tell_size_classes(const std::uint32_t* block_bytes, std::size_t count) noexcept {
  class_count = count < wire::size_class_capacity ? count : wire::size_class_capacity;
  publish(class_sizes, block_bytes);
}

void start() noexcept {
  if (__atomic_exchange_n(&started, 1, __ATOMIC_ACQ_REL) != 0) return;
  set_sample_interval_bytes(static_cast<std::uint64_t>(core::value(core::option::sample_interval)));
  wire::session_wishes wishes;
  const char* folder = session_folder();
  if (folder != nullptr && read_wishes(folder, &wishes)) {
    own.control.recording = wishes.recording;
    scans_at_exit = scan_wished(wishes) == wire::scan_wish::at_exit;
    exit_wish = wishes.scan;
    // Everything is told: samples would tell some of it twice.
    if (wishes.recording != 0) set_sample_interval_bytes(0);
  }
  open_region(wire::origin::exec);
  if (folder == nullptr) listen_for_attachment(true);
}

bool enter_region(const char* folder, wire::origin origin, const wire::session_wishes& wishes) noexcept {
  overhead_before_ns = overhead_ns();
  if (!process_region.create(folder, origin, region_use::copies)) return false;
  // Atomic, since a thread that leaves may still look at the page, which lies where the last one was.
  wire::control_page& page = process_region.control();
  const std::uint64_t interval_bytes = wishes.recording != 0               ? 0
                                       : wishes.sample_interval_bytes != 0 ? wishes.sample_interval_bytes
                                                                           : own.control.sample_interval_bytes;
  __atomic_store_n(&page.sample_interval_bytes, interval_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&page.recording, wishes.recording, __ATOMIC_RELAXED);
  copy_counters();
  // Before the region can be read: who finds it without the file need not wait for one.
  const auto scan = __atomic_load_n(&scan_callback, __ATOMIC_ACQUIRE);
  const bool is_scan_wanted = scan_wished(wishes) == wire::scan_wish::at_once;
  const int scan_file = is_scan_wanted && origin == wire::origin::attached && scan != nullptr ? create_scan_file() : -1;
  if (!begin_telling(use_ring)) {
    if (scan_file >= 0) close_scan_file(scan_file);
    process_region.unmap();
    return false;
  }
  process_region.header().malloc_owner = __atomic_load_n(&current_malloc_owner, __ATOMIC_RELAXED);
  process_region.open_for_readers();
  publish(current_control, &page);
  publish<const std::uint32_t>(current_switch, &page.recording);
  if (scan_file >= 0) scan(scan_file, wishes.scan);
  return true;
}

void copy_counters() noexcept {
  copy_statistics(own.statistics, process_region.statistics());
  name_classes(process_region.statistics());
  budget::copy_to(process_region.account_copies(), populate_shared);
  wire::region_header& header = process_region.header();
  __atomic_store_n(&header.overhead_nanoseconds, overhead_ns() - overhead_before_ns, __ATOMIC_RELAXED);
  __atomic_store_n(&header.overhead_bytes, overhead_bytes(), __ATOMIC_RELAXED);
}

void leave_region(const std::uint32_t* word) noexcept {
  copy_counters();
  publish(current_control, &own.control);
  publish(current_switch, word);
  process_region.write_left();
  process_region.leave();
}

void before_fork() noexcept {
  copy_statistics(statistics(), before_fork_statistics);
  before_fork_taken = true;
  forking_thread = os::thread_id();
}

void after_fork_in_child() noexcept {
  if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == 0) return;
  const bool was_attached = is_attached();
  if (process_region.mapped() && !was_attached) {
    copy_statistics(before_fork_taken ? before_fork_statistics : process_region.statistics(), own.statistics);
    own.control.sample_interval_bytes = sample_interval_bytes();
    own.control.recording = __atomic_load_n(&control().recording, __ATOMIC_RELAXED);
    own.overhead_bytes = overhead_bytes();
  }
  own.overhead_nanoseconds = 0;
  before_fork_taken = false;
  use_private_state();
  process_ring().detach();
  process_region.unmap();
  leave_tape_after_fork();
  inherit_records(forking_thread);
  forking_thread = 0;
  __atomic_store_n(&finished, 0, __ATOMIC_RELEASE);
  if (!follow_attachment_in_child()) open_region(wire::origin::fork);
}

void tell_malloc_owner(wire::malloc_owner owner) noexcept {
  const auto word = static_cast<std::uint32_t>(owner);
  __atomic_store_n(&current_malloc_owner, word, __ATOMIC_RELAXED);
  if (process_region.mapped()) __atomic_store_n(&process_region.header().malloc_owner, word, __ATOMIC_RELAXED);
}

void finish() noexcept {
  if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == 0) return;
  if (__atomic_exchange_n(&finished, 1, __ATOMIC_ACQ_REL) != 0) return;
  const int saved_errno = errno;
  settle_records();
  if (hold_attachment()) {
    if (is_attached()) copy_counters();
    process_region.write_last_words();
  }
  errno = saved_errno;
}

void on_scan_wish(void (*scan)(int file, std::uint64_t wish)) noexcept {
  __atomic_store_n(&scan_callback, scan, __ATOMIC_RELEASE);
}
bool wants_scan_at_exit() noexcept { return scans_at_exit && process_region.mapped(); }
std::uint64_t exit_scan_wish() noexcept { return exit_wish; }

int create_scan_file() noexcept {
  static char path[region_path_capacity_bytes];
  const int file = process_region.mapped() ? create_beside_region("leaks", path) : -1;
  if (file >= 0) ::syscall(SYS_flock, file, LOCK_EX | LOCK_NB);
  return file;
}

// Unlocked by hand, for the children that were forked meanwhile and have it too.
void close_scan_file(int file) noexcept {
  ::syscall(SYS_flock, file, LOCK_UN);
  ::syscall(SYS_close, file);
}

wire::heap_statistics& statistics() noexcept { return *__atomic_load_n(&current_statistics, __ATOMIC_ACQUIRE); }
wire::control_page& control() noexcept { return *__atomic_load_n(&current_control, __ATOMIC_ACQUIRE); }
wire::control_page& own_control() noexcept { return own.control; }

void add_overhead_ns(std::uint64_t nanoseconds) noexcept {
  __atomic_fetch_add(__atomic_load_n(&current_overhead_ns, __ATOMIC_ACQUIRE), nanoseconds, __ATOMIC_RELAXED);
}
void add_overhead_bytes(std::int64_t bytes) noexcept {
  __atomic_fetch_add(__atomic_load_n(&current_overhead_bytes, __ATOMIC_ACQUIRE), static_cast<std::uint64_t>(bytes),
                     __ATOMIC_RELAXED);
}
std::uint64_t overhead_ns() noexcept {
  return __atomic_load_n(__atomic_load_n(&current_overhead_ns, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
}
std::uint64_t overhead_bytes() noexcept {
  return __atomic_load_n(__atomic_load_n(&current_overhead_bytes, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
}
bool has_region() noexcept { return process_region.mapped(); }

}  // namespace tenure::telemetry
