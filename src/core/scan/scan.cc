#include "core/scan/scan.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/sanitizers.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "core/os/bare_thread.h"
#include "core/os/clock.h"
#include "core/os/machine.h"
#include "core/os/stopped_threads.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_map.h"
#include "core/scan/heap_map.h"
#include "core/scan/reachability.h"
#include "core/scan/roots.h"
#include "core/telemetry/telemetry.h"
#include "wire/heap_map.h"
#include "wire/leak_scan.h"
#include "wire/region.h"

namespace tenure::core {
namespace {

constexpr std::size_t stack_bytes = 128 * 1024;

// The sanitizers keep books on threads and memory that a copy would read as the program's.
#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr bool can_copy = false;
#else
constexpr bool can_copy = true;
#endif

// Atomic: the process that scans, by its number. A child that is forked meanwhile does not.
std::uint32_t scanning_process = 0;
// Of the scan that the thread of ours is to make.
int answer_file = -1;
std::uint64_t answer_wish = 0;

wire::heap_statistics counted;  // the heap's counters when it was copied

struct scan_task {
  int file;
  own_stack own;
  std::uint64_t wish;  // what is to be told: wire/region.h

  bool wants(std::uint64_t what) const noexcept { return (wish & what) != 0; }
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

// Adds to what the file holds, from one place on. What comes behind something that was not written is left out.
template <class Record>
class record_writer {
 public:
  record_writer(int file, std::uint64_t begin, std::uint64_t* written, std::uint64_t* left_out) noexcept
      : file_(file), begin_(begin), written_(written), left_out_(left_out) {}
  record_writer(const record_writer&) = delete;
  record_writer& operator=(const record_writer&) = delete;
  ~record_writer() { flush(); }

  void put(const Record& record) noexcept {
    if (*left_out_ != 0 || *written_ + held_ == wire::leak_record_limit) {
      ++*left_out_;
      return;
    }
    buffer_[held_++] = record;
    if (held_ == capacity) flush();
  }

 private:
  void flush() noexcept {
    const bool is_written =
        held_ != 0 && write_at(file_, buffer_, held_ * sizeof(Record), begin_ + *written_ * sizeof(Record));
    *(is_written ? written_ : left_out_) += held_;
    held_ = 0;
  }

  static constexpr std::size_t capacity = 128;
  int file_;
  std::uint64_t begin_;
  std::uint64_t* written_;
  std::uint64_t* left_out_;
  std::size_t held_ = 0;
  Record buffer_[capacity];
};

// The records of one kind of leak behind those before.
void tell_leaks(int file, const reachability& reached, block_state state, wire::block_reach reach,
                wire::leak_scan_header* header) noexcept {
  record_writer<wire::leak_record> writer(file, wire::leak_records_offset_bytes, &header->record_count,
                                          &header->left_out_records);
  reached.blocks().for_each_live([&](const found_block& block) {
    if (block.state() != state) return;
    header->sums[static_cast<std::uint32_t>(reach)].blocks += 1;
    header->sums[static_cast<std::uint32_t>(reach)].bytes += block.run->block_bytes;
    if (reach == wire::block_reach::reachable) return;
    wire::leak_record record{};
    record.address = block.begin;
    record.bytes = block.run->block_bytes;
    record.sample_id = telemetry::sample_id_at(block.begin);
    record.reach = static_cast<std::uint32_t>(reach);
    if (reach == wire::block_reach::definite) record.held = reachability::held_by(block);
    if (reach == wire::block_reach::indirect) record.leader = reached.leader_of(block);
    writer.put(record);
  });
}

// The block, and those by which it is reached.
void note_way_to(const block_table& blocks, found_block block) noexcept {
  while (!block.is_noted(is_told)) {
    block.note(is_told);
    const std::uintptr_t place = reachability::place_of(block);
    if (!is_mapped(reinterpret_cast<const void*>(place))) return;
    const found_block holder = blocks.find(place);
    if (holder.run == nullptr) return;  // what lies in the heap's window and is not the heap's
    block = holder;
  }
}

// `tells_all`: not only those that were sampled, and the ways to them.
void tell_held(int file, const reachability& reached, bool tells_all, wire::leak_scan_header* header) noexcept {
  if (!tells_all) {
    reached.for_each_reached([&](const found_block& block) {
      if (telemetry::sample_id_at(block.begin) != 0) note_way_to(reached.blocks(), block);
    });
  }
  const std::uint64_t begin = wire::leak_records_offset_bytes + header->record_count * sizeof(wire::leak_record);
  record_writer<wire::held_record> writer(file, begin, &header->held_count, &header->left_out_held);
  reached.for_each_reached([&](const found_block& block) {
    if (!tells_all && !block.is_noted(is_told)) return;
    wire::held_record record{};
    record.address = block.begin;
    record.bytes = block.run->block_bytes;
    record.sample_id = telemetry::sample_id_at(block.begin);
    record.place = reachability::place_of(block);
    const std::uintptr_t pointer = *reinterpret_cast<const std::uintptr_t*>(record.place);
    record.inside = pointer - block.begin;
    record.reach = static_cast<std::uint32_t>(block.state() == block_state::possible ? wire::block_reach::possible
                                                                                     : wire::block_reach::reachable);
    writer.put(record);
  });
}

void tell_roots(int file, root_finder& roots, wire::leak_scan_header* header) noexcept {
  const std::uint64_t begin = wire::leak_records_offset_bytes + header->record_count * sizeof(wire::leak_record) +
                              header->held_count * sizeof(wire::held_record);
  std::uint64_t left_out = 0;
  record_writer<wire::root_range> writer(file, begin, &header->root_count, &left_out);
  roots.for_each_range(
      [](void* to, const wire::root_range& range) noexcept {
        static_cast<record_writer<wire::root_range>*>(to)->put(range);
      },
      &writer);
}

void add_roots(reachability& reach, root_finder& roots) noexcept {
  roots.for_each_vector(
      [](void* to, std::uintptr_t place) noexcept { static_cast<reachability*>(to)->add_holder(place); }, &reach);
  roots.for_each_range(
      [](void* to, const wire::root_range& range) noexcept {
        static_cast<reachability*>(to)->add_roots(range.begin, range.end);
      },
      &reach);
}

wire::scan_refusal map_heap(const scan_task& task, wire::leak_scan_header* header) noexcept {
  heap_map map;
  if (!map.build()) return wire::scan_refusal::no_memory;
  header->unread_lists = map.unread_lists();
  const bool is_written = map.bytes() <= wire::heap_map_limit_bytes &&
                          write_at(task.file, &counted, sizeof counted, wire::map_statistics_offset_bytes) &&
                          write_at(task.file, map.begin(), map.bytes(), wire::map_spans_offset_bytes);
  if (!is_written) return wire::scan_refusal::no_memory;
  header->heap_map_bytes = map.bytes();
  return wire::scan_refusal::none;
}

wire::scan_refusal look_through(const scan_task& task, wire::leak_scan_header* header) noexcept {
  memory_map map;
  if (!map.read()) return wire::scan_refusal::no_memory;
  block_table blocks;
  if (!blocks.build()) return wire::scan_refusal::no_memory;
  reachability reach(blocks, map, task.wants(wire::scan_tells_holders));
  root_finder roots(map, task.own, header->unstopped == 0);
  if (!reach.prepare() || !roots.prepare()) return wire::scan_refusal::no_memory;
  add_roots(reach, roots);
  reach.conclude();
  header->root_bytes = reach.root_bytes();
  header->heuristic_blocks = reach.heuristic_blocks();
  header->unread_lists = blocks.unread_lists();
  tell_leaks(task.file, reach, block_state::reachable, wire::block_reach::reachable, header);
  tell_leaks(task.file, reach, block_state::definite, wire::block_reach::definite, header);
  tell_leaks(task.file, reach, block_state::possible, wire::block_reach::possible, header);
  tell_leaks(task.file, reach, block_state::indirect, wire::block_reach::indirect, header);
  if (!task.wants(wire::scan_tells_holders)) return wire::scan_refusal::none;
  // Of a process that ends everything was recorded: each block has its stack.
  tell_held(task.file, reach, task.own.is_root, header);
  tell_roots(task.file, roots, header);
  return wire::scan_refusal::none;
}

[[noreturn]] void run_copy(const scan_task& task, wire::leak_scan_header* header) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  close_all_but(task.file);
  step_back();
  header->refusal = static_cast<std::uint32_t>(task.wants(wire::scan_maps_heap) ? map_heap(task, header)
                                                                                : look_through(task, header));
  header->scan_ns = os::monotonic_ns() - begin_ns;
  const bool is_written = write_at(task.file, header, sizeof *header, 0);
  ::syscall(SYS_exit_group, is_written ? 0 : 1);
  __builtin_unreachable();
}

// --- in the process

// Copies the process while nobody moves, and waits for what the copy finds.
void copy_and_wait(const scan_task& task, wire::leak_scan_header* header) noexcept {
  const std::uint64_t begin_ns = os::monotonic_ns();
  lock_heap();
  const std::uint64_t locked_ns = os::monotonic_ns();
  const os::stop_outcome stopped = os::stop_other_threads(stop_patience_ns);
  const std::uint64_t stopped_ns = os::monotonic_ns();
  header->threads = static_cast<std::uint32_t>(os::stopped_thread_count()) + (task.own.is_root ? 1 : 0);
  header->unstopped = stopped.unstopped;
  header->time_ns = stopped_ns;
  // They may lie in memory that the copy shares with the process.
  if (task.wants(wire::scan_maps_heap)) std::memcpy(&counted, &telemetry::statistics(), sizeof counted);
  const long child = stopped.is_listed ? os::copy_process() : -1;
  if (child == 0) run_copy(task, header);
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
    const long got = ::syscall(SYS_pread64, task.file, &written, sizeof written, 0);
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

[[gnu::noinline]] void scan(int file, std::uint64_t wish, bool is_on_program_thread) noexcept {
  const scan_task task{file,
                       {reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), is_on_program_thread,
                        static_cast<std::uint32_t>(::syscall(SYS_gettid))},
                       wish};
  const int saved_errno = errno;
  wire::leak_scan_header header = empty_answer(can_copy ? wire::scan_refusal::none : wire::scan_refusal::unsupported);
  if (can_copy) copy_and_wait(task, &header);
  give_answer(file, header);
  errno = saved_errno;
}

void run_thread() noexcept {
  scan(answer_file, answer_wish, false);
  end_scan();
}

// On a slow path of whichever thread has heard the bell, with a lock of the heap's perhaps.
void start_scan(int file, std::uint64_t wish) noexcept {
  // This thread has just told the command of the sampled blocks: it does not hold them.
  os::clear_vector_registers();
  if (!begin_scan()) return give_answer(file, empty_answer(wire::scan_refusal::already_scanning));
  answer_file = file;
  answer_wish = wish;
  if (os::start_bare_thread(run_thread, stack_bytes, &hot)) return;
  end_scan();
  give_answer(file, empty_answer(wire::scan_refusal::no_thread));
}

}  // namespace

bool begin_scan() noexcept {
  const auto own = static_cast<std::uint32_t>(::syscall(SYS_getpid));
  return __atomic_exchange_n(&scanning_process, own, __ATOMIC_ACQ_REL) != own;
}
void end_scan() noexcept { __atomic_store_n(&scanning_process, 0, __ATOMIC_RELEASE); }

// A look at stacks is over in moments: another scan may go on for longer, and the program is not held up for it.
static bool begin_scan_in_time() noexcept {
  const std::uint64_t end_ns = os::monotonic_ns() + stop_patience_ns;
  while (!begin_scan()) {
    if (os::monotonic_ns() >= end_ns) return false;
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

void prepare_scans() noexcept { telemetry::on_scan_wish(start_scan); }

[[gnu::noinline]] void scan_at_exit() noexcept {
  if (!telemetry::wants_scan_at_exit()) return;
  const bool is_ours = begin_scan_in_time();
  const int file = telemetry::create_scan_file();
  if (file < 0) return;
  if (!is_ours) return give_answer(file, empty_answer(wire::scan_refusal::already_scanning));
  // The locks are held further out on this stack.
  if (hot.busy) return give_answer(file, empty_answer(wire::scan_refusal::inside_the_heap));
  // What functions further out keep in registers comes to lie in this frame, above scan()'s.
  __builtin_unwind_init();
  scan(file, telemetry::exit_scan_wish(), true);
  asm volatile("" ::: "memory");  // no tail call: the frame is needed
}

}  // namespace tenure::core
