#include "core/scan/scan.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/sanitizers.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "core/os/bare_thread.h"
#include "core/os/clock.h"
#include "core/os/machine.h"
#include "core/os/own_memory.h"
#include "core/os/stopped_threads.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/scan/reachability.h"
#include "core/telemetry/telemetry.h"
#include "wire/leak_scan.h"

namespace tenure::core {
namespace {

constexpr std::size_t stack_bytes = 128 * 1024;
constexpr std::uint64_t stop_patience_ns = 500'000'000;
// What the x86-64 ABI lets a function use below its stack pointer.
constexpr std::uintptr_t red_zone_bytes = 128;

// The sanitizers keep books on threads and memory that a copy would read as the program's.
#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr bool can_copy = false;
#else
constexpr bool can_copy = true;
#endif

// Atomic: the process that scans, by its number. A child that is forked meanwhile does not.
std::uint32_t scanning_process = 0;
int answer_file = -1;  // of the scan that the thread of ours is to make

// Of the thread that scans.
struct own_stack {
  std::uintptr_t frame;  // below it lies what the scan itself uses
  bool is_root;          // a thread of the program
};

bool write_at(int file, const void* data, std::size_t bytes, std::uint64_t offset) noexcept {
  const auto* at = static_cast<const char*>(data);
  while (bytes != 0) {
    const long written = ::syscall(SYS_pwrite64, file, at, bytes, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    bytes -= static_cast<std::size_t>(written);
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

// --- in the copy

// Its own descriptors of the program's pipes and sockets would keep those open.
void close_all_but(int file) noexcept {
#ifdef SYS_close_range
  if (file > 0) ::syscall(SYS_close_range, 0u, static_cast<unsigned>(file) - 1, 0u);
  ::syscall(SYS_close_range, static_cast<unsigned>(file) + 1, ~0u, 0u);
#endif
}

// Of the two, the kernel shall end this one, and the program shall have the processor.
void step_back() noexcept {
  const int file =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0));
  if (file >= 0) {
    ::syscall(SYS_write, file, "1000", 4);
    ::syscall(SYS_close, file);
  }
  ::syscall(SYS_setpriority, PRIO_PROCESS, 0, 10);
}

class root_finder {
 public:
  root_finder(const memory_map& map, reachability& reach, const own_stack& own, bool all_stopped) noexcept
      : map_(map), reach_(reach), own_(own), all_stopped_(all_stopped) {}

  void add_all() noexcept {
    add_registers();
    for (std::size_t i = 0; i < map_.count(); ++i) {
      const mapping& one = map_[i];
      if (may_hold_roots(one)) add_mapping(one);
    }
    visit_window_gaps(add_gap, this);
  }

 private:
  static bool may_hold_roots(const mapping& one) noexcept {
    return one.is_readable && one.is_writable && !one.is_shared;
  }

  static bool has_answered(const os::stopped_thread& one) noexcept { return one.stack_pointer != 0; }

  // Of the heap's own thread, which looks at pages and holds none of their blocks.
  static bool is_own(std::uintptr_t stack_pointer) noexcept {
    for (std::size_t i = 0; i < os::own_range_count(); ++i) {
      const os::memory_range range = os::own_range_at(i);
      if (stack_pointer >= range.begin && stack_pointer < range.end) return true;
    }
    return false;
  }

  void add_registers() noexcept {
    for (std::size_t i = 0; i < os::stopped_thread_count(); ++i) {
      const os::stopped_thread& one = os::stopped_thread_at(i);
      if (!has_answered(one) || is_own(one.stack_pointer)) continue;
      reach_.add_roots(one.saved_begin, one.saved_end);
      add_locals(one.thread_pointer);
    }
    if (own_.is_root) add_locals(own_pointer());
  }

  static std::uintptr_t own_pointer() noexcept { return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()); }

  // The C library points into the inside of the vector of a thread's dynamic thread-local blocks.
  void add_locals(std::uintptr_t thread_pointer) noexcept {
    const std::uintptr_t place = os::vector_of_locals(thread_pointer);
    const mapping* const there = map_.find(place);
    if (place % sizeof place != 0 || there == nullptr || !there->is_readable) return;
    reach_.add_holder(*reinterpret_cast<const std::uintptr_t*>(place));
  }

  // Where in the mapping roots begin: a stack that is in use, from its pointer on; one that was left behind, behind it.
  std::uintptr_t first_root(const mapping& one) noexcept {
    // A stack that the C library made ends in a guard; elsewhere, who knows what lies below.
    if (!one.is_behind_guard && !one.is_main_stack) return one.begin;
    std::uintptr_t lowest = one.end;
    if (own_.is_root) lowest = first_in_use(one, lowest, own_.frame, own_pointer());
    for (std::size_t i = 0; i < os::stopped_thread_count(); ++i) {
      const os::stopped_thread& thread = os::stopped_thread_at(i);
      if (has_answered(thread)) lowest = first_in_use(one, lowest, thread.stack_pointer, thread.thread_pointer);
    }
    if (lowest != one.end) return lowest;
    return one.is_behind_guard && all_stopped_ ? end_of_left_stack(one) : one.begin;
  }

  // Of what a program maps for the stacks of several threads, the lowest that is in use counts.
  static std::uintptr_t first_in_use(const mapping& one, std::uintptr_t lowest, std::uintptr_t stack_pointer,
                                     std::uintptr_t thread_pointer) noexcept {
    if (!one.holds(stack_pointer)) return lowest;
    // One that the C library made has the control block above it.
    const bool is_known = one.is_main_stack || (one.holds(thread_pointer) && stack_pointer < thread_pointer);
    if (!is_known || stack_pointer - one.begin < red_zone_bytes) return one.begin;
    return stack_pointer - red_zone_bytes < lowest ? stack_pointer - red_zone_bytes : lowest;
  }

  // A control block that no thread has: it and what lies below are a stack that the C library keeps for the next.
  std::uintptr_t end_of_left_stack(const mapping& one) noexcept {
    constexpr std::uintptr_t block_alignment = 64;
    std::uintptr_t found = 0;
    touched_.for_each(one.begin, one.end, [&](std::uintptr_t begin, std::uintptr_t end) {
      for (std::uintptr_t at = align_up(begin, block_alignment); found == 0 && at + block_alignment <= end;
           at += block_alignment) {
        if (os::looks_like_control_block(reinterpret_cast<const std::uintptr_t*>(at)) && !is_of_a_thread(at))
          found = at;
      }
    });
    if (found == 0) return one.begin;
    add_locals(found);  // kept for the next thread, as the stack is
    const std::uintptr_t page = os::page_bytes();
    return align_up(found + 1, page) < one.end ? align_up(found + 1, page) : one.end;
  }

  static bool is_of_a_thread(std::uintptr_t thread_pointer) noexcept {
    if (thread_pointer == own_pointer()) return true;
    for (std::size_t i = 0; i < os::stopped_thread_count(); ++i)
      if (os::stopped_thread_at(i).thread_pointer == thread_pointer) return true;
    return false;
  }

  void add_mapping(const mapping& one) noexcept {
    const std::uintptr_t begin = first_root(one);
    const std::uintptr_t window_end = page_address(window.mapped_pages);
    add_range(begin, one.end < window.begin ? one.end : window.begin);
    add_range(begin > window_end ? begin : window_end, one.end);
  }

  // Where the heap could not grow, because the program had mapped something there.
  static void add_gap(void* finder, std::uintptr_t begin, std::uintptr_t end) noexcept {
    auto* const self = static_cast<root_finder*>(finder);
    for (std::size_t i = self->map_.first_above(begin); i < self->map_.count() && self->map_[i].begin < end; ++i) {
      const mapping& one = self->map_[i];
      if (!may_hold_roots(one)) continue;
      const std::uintptr_t first = self->first_root(one);
      self->add_range(first > begin ? first : begin, one.end < end ? one.end : end);
    }
  }

  void add_range(std::uintptr_t at, std::uintptr_t end) noexcept {
    while (at < end) {
      os::memory_range hole{end, end};
      for (std::size_t i = 0; i < os::own_range_count(); ++i) hole = next_hole(at, hole, os::own_range_at(i));
      reach_.add_roots(at, hole.begin);
      at = hole.end;
    }
  }

  // The nearer one to `at` of two ranges that are no roots; what lies before `at` of it is left out.
  static os::memory_range next_hole(std::uintptr_t at, const os::memory_range& nearest,
                                    const os::memory_range& other) noexcept {
    if (other.end <= at || other.begin >= nearest.begin) return nearest;
    return {other.begin > at ? other.begin : at, other.end};
  }

  const memory_map& map_;
  reachability& reach_;
  const own_stack& own_;
  bool all_stopped_;
  touched_pages touched_;
};

// The records of one kind of leak behind those before.
class answer_writer {
 public:
  answer_writer(int file, const block_table& blocks, const reachability& reached,
                wire::leak_scan_header* header) noexcept
      : file_(file), blocks_(blocks), reached_(reached), header_(header) {}

  void add(block_state state, wire::block_reach reach) noexcept {
    blocks_.for_each_live([&](const found_block& block) {
      if (block.state() != state) return;
      header_->sums[static_cast<std::uint32_t>(reach)].blocks += 1;
      header_->sums[static_cast<std::uint32_t>(reach)].bytes += block.run->block_bytes;
      if (reach == wire::block_reach::reachable) return;
      wire::leak_record record{};
      record.address = block.begin;
      record.bytes = block.run->block_bytes;
      record.sample_id = telemetry::sample_id_at(block.begin);
      record.reach = static_cast<std::uint32_t>(reach);
      if (reach == wire::block_reach::definite) record.held = reachability::held_by(block);
      if (reach == wire::block_reach::indirect) record.leader = reached_.leader_of(block);
      put(record);
    });
  }

  void flush() noexcept {
    const std::uint64_t offset = wire::leak_records_offset_bytes + header_->record_count * sizeof(wire::leak_record);
    if (held_ != 0 && write_at(file_, buffer_, held_ * sizeof(wire::leak_record), offset)) {
      header_->record_count += held_;
    } else {
      header_->left_out_records += held_;
    }
    held_ = 0;
  }

 private:
  void put(const wire::leak_record& record) noexcept {
    if (header_->left_out_records != 0 || header_->record_count + held_ == wire::leak_record_limit) {
      ++header_->left_out_records;
      return;
    }
    buffer_[held_++] = record;
    if (held_ == capacity) flush();
  }

  static constexpr std::size_t capacity = 128;
  int file_;
  const block_table& blocks_;
  const reachability& reached_;
  wire::leak_scan_header* header_;
  std::size_t held_ = 0;
  wire::leak_record buffer_[capacity];
};

wire::scan_refusal look_through(int file, const own_stack& own, wire::leak_scan_header* header) noexcept {
  memory_map map;
  if (!map.read()) return wire::scan_refusal::no_memory;
  block_table blocks;
  if (!blocks.build()) return wire::scan_refusal::no_memory;
  reachability reach(blocks, map);
  if (!reach.prepare()) return wire::scan_refusal::no_memory;
  root_finder(map, reach, own, header->unstopped == 0).add_all();
  reach.conclude();
  header->root_bytes = reach.root_bytes();
  header->heuristic_blocks = reach.heuristic_blocks();
  header->unread_lists = blocks.unread_lists();
  answer_writer writer(file, blocks, reach, header);
  writer.add(block_state::reachable, wire::block_reach::reachable);
  writer.add(block_state::definite, wire::block_reach::definite);
  writer.add(block_state::possible, wire::block_reach::possible);
  writer.add(block_state::indirect, wire::block_reach::indirect);
  writer.flush();
  return wire::scan_refusal::none;
}

[[noreturn]] void run_copy(int file, const own_stack& own, wire::leak_scan_header* header) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  close_all_but(file);
  step_back();
  header->refusal = static_cast<std::uint32_t>(look_through(file, own, header));
  header->scan_ns = os::monotonic_ns() - begin_ns;
  const bool is_written = write_at(file, header, sizeof *header, 0);
  ::syscall(SYS_exit_group, is_written ? 0 : 1);
  __builtin_unreachable();
}

// --- in the process

// Copies the process while nobody moves, and waits for what the copy finds.
void copy_and_wait(int file, const own_stack& own, wire::leak_scan_header* header) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  lock_heap();
  const std::uint64_t locked_ns = os::monotonic_ns();
  const os::stop_outcome stopped = os::stop_other_threads(stop_patience_ns);
  const std::uint64_t stopped_ns = os::monotonic_ns();
  header->threads = static_cast<std::uint32_t>(os::stopped_thread_count()) + (own.is_root ? 1 : 0);
  header->unstopped = stopped.unstopped;
  header->time_ns = stopped_ns;
  const long child = stopped.is_listed ? os::copy_process() : -1;
  if (child == 0) run_copy(file, own, header);
  const std::uint64_t copied_ns = os::monotonic_ns();
  if (stopped.is_listed) os::let_threads_go();
  unlock_heap();
  const std::uint64_t end_ns = os::monotonic_ns();
  wire::scan_refusal refusal = wire::scan_refusal::none;
  if (!stopped.is_listed) {
    refusal = wire::scan_refusal::threads_unknown;
  } else if (child < 0) {
    refusal = wire::scan_refusal::no_copy;
  } else {
    os::wait_for_copy(child);
    wire::leak_scan_header written{};
    const long got = ::syscall(SYS_pread64, file, &written, sizeof written, 0);
    if (got != static_cast<long>(sizeof written) || written.version != wire::leak_scan_version) {
      refusal = wire::scan_refusal::copy_died;
    } else {
      *header = written;
      refusal = static_cast<wire::scan_refusal>(written.refusal);
    }
  }
  header->refusal = static_cast<std::uint32_t>(refusal);
  header->lock_ns = locked_ns - begin_ns;
  header->stop_ns = stopped_ns - locked_ns;
  header->copy_ns = copied_ns - stopped_ns;
  header->pause_ns = end_ns - begin_ns;
}

void give_answer(int file, const wire::leak_scan_header& header) noexcept {
  const std::uint64_t magic = wire::leak_scan_magic;
  if (write_at(file, &header, sizeof header, 0)) write_at(file, &magic, sizeof magic, 0);
  telemetry::close_scan_file(file);
}

wire::leak_scan_header empty_answer(wire::scan_refusal refusal) noexcept {
  wire::leak_scan_header header{};
  header.version = wire::leak_scan_version;
  header.refusal = static_cast<std::uint32_t>(refusal);
  return header;
}

[[gnu::noinline]] void scan(int file, bool is_on_program_thread) noexcept {
  const own_stack own{reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), is_on_program_thread};
  const int saved_errno = errno;
  wire::leak_scan_header header = empty_answer(can_copy ? wire::scan_refusal::none : wire::scan_refusal::unsupported);
  if (can_copy) copy_and_wait(file, own, &header);
  give_answer(file, header);
  errno = saved_errno;
}

bool begin_scan() noexcept {
  const auto own = static_cast<std::uint32_t>(::syscall(SYS_getpid));
  return __atomic_exchange_n(&scanning_process, own, __ATOMIC_ACQ_REL) != own;
}
void end_scan() noexcept { __atomic_store_n(&scanning_process, 0, __ATOMIC_RELEASE); }

void run_thread() noexcept {
  scan(answer_file, false);
  end_scan();
}

// On a slow path of whichever thread has heard the bell, with a lock of the heap's perhaps.
void start_scan(int file) noexcept {
  // This thread has just told the command of the sampled blocks: it does not hold them.
  os::clear_vector_registers();
  if (!begin_scan()) return give_answer(file, empty_answer(wire::scan_refusal::already_scanning));
  answer_file = file;
  if (os::start_bare_thread(run_thread, stack_bytes, &hot)) return;
  end_scan();
  give_answer(file, empty_answer(wire::scan_refusal::no_thread));
}

}  // namespace

void prepare_scans() noexcept { telemetry::on_scan_wish(start_scan); }

[[gnu::noinline]] void scan_at_exit() noexcept {
  if (!telemetry::wants_scan_at_exit() || !begin_scan()) return;
  const int file = telemetry::create_scan_file();
  if (file < 0) return;
  // The locks are held further out on this stack.
  if (hot.busy) return give_answer(file, empty_answer(wire::scan_refusal::inside_the_heap));
  // What functions further out keep in registers comes to lie in this frame, above scan()'s.
  __builtin_unwind_init();
  scan(file, true);
  asm volatile("" ::: "memory");  // no tail call: the frame is needed
}

}  // namespace tenure::core
