#include "core/telemetry/recorder.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/os/barrier.h"
#include "core/os/clock.h"
#include "core/os/file_length.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/attachment.h"
#include "core/telemetry/events.h"
#include "core/telemetry/known_stack.h"
#include "core/telemetry/record.h"
#include "core/telemetry/region.h"
#include "core/telemetry/stack_trie.h"
#include "core/telemetry/tape_ring.h"
#include "core/telemetry/telemetry_state.h"
#include "wire/ticks.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t reader_patience_ns = 2'000'000'000;

// What one thread needs to record: private memory, one to each ring of the tape, handed on with it.
struct recording_thread {
  tape_ring ring;
  known_stack stack;
  recording_thread* next_free = nullptr;
  recording_thread* next = nullptr;  // all that were ever made
  std::uint32_t number = 0;          // of its ring
  std::uint32_t thread_id = 0;
  std::uint32_t epoch = 0;  // of the tape that the ring lies in
  std::uint32_t misses = 0;
  bool inside = false;  // atomic: its thread is at the ring, or about to look whether it may be
};

// closing: nobody may begin to tell, and whoever is at it is waited for.
enum class tape_state : std::uint32_t { closed, open, refused, closing };

// A byte of memory that the kernel wipes in the child of any fork, those that call nobody included: there the mark is
// gone, and the parent's tape, which is not mapped either, is left alone. It goes too when the tape is closed.
std::uint8_t* mark = nullptr;  // atomic, pointer and byte; null until there is a tape

os::mutex tape_lock;      // opening and closing, handing rings out and back
std::uint32_t state = 0;  // atomic: enum tape_state
std::byte* tape = nullptr;
stack_trie trie;
recording_thread* all_threads = nullptr;
recording_thread* free_threads = nullptr;
std::uint32_t ring_count = 0;
std::uint32_t tape_epoch = 0;
std::uint32_t elsewhere_count = 0;  // atomic: threads that may be at a ring without their own `inside`

os::mutex shared_lock;                      // the shared ring, of threads that have none of their own
recording_thread* shared_thread = nullptr;  // guarded by shared_lock

struct own_state {
  recording_thread* thread = nullptr;
  bool inside = false;  // this thread is in here: a signal handler must not enter
  bool ended = false;
};
__attribute__((tls_model("initial-exec"))) thread_local own_state own;

wire::tape_header& header() noexcept { return *reinterpret_cast<wire::tape_header*>(tape); }

void count_lost_without_ring(bool is_allocation, std::uint64_t bytes) noexcept {
  if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != static_cast<std::uint32_t>(tape_state::open)) return;
  __atomic_fetch_add(is_allocation ? &header().lost_allocations : &header().lost_frees, 1, __ATOMIC_RELAXED);
  if (is_allocation) __atomic_fetch_add(&header().lost_bytes, bytes, __ATOMIC_RELAXED);
}

bool make_mark() noexcept {
  constexpr int wipe_on_fork = 18;  // MADV_WIPEONFORK
  std::uint8_t* page = mark;
  if (page == nullptr) page = static_cast<std::uint8_t*>(os::map_anywhere(os::page_bytes()));
  if (page == nullptr) return false;
  ::madvise(page, os::page_bytes(), wipe_on_fork);
  __atomic_store_n(page, 1, __ATOMIC_RELEASE);
  __atomic_store_n(&mark, page, __ATOMIC_RELEASE);
  return true;
}

bool is_marked() noexcept {
  const std::uint8_t* page = __atomic_load_n(&mark, __ATOMIC_ACQUIRE);
  return page == nullptr || __atomic_load_n(page, __ATOMIC_ACQUIRE) != 0;
}

tape_state state_now() noexcept { return static_cast<tape_state>(__atomic_load_n(&state, __ATOMIC_ACQUIRE)); }
void set_state(tape_state to) noexcept { __atomic_store_n(&state, static_cast<std::uint32_t>(to), __ATOMIC_RELEASE); }

// The mode, while the process is not about to leave.
std::uint32_t wanted_mode() noexcept {
  const std::uint32_t word = __atomic_load_n(&control().recording, __ATOMIC_ACQUIRE);
  return (word & wire::control_leave) != 0 ? 0 : word & wire::control_mode_mask;
}

// Under tape_lock.
bool open_tape() noexcept {
  static char path[region_path_capacity_bytes];
  TENURE_DCHECK(tape == nullptr && tape_lock.is_locked());
  const int saved_errno = errno;
  const int descriptor = create_beside_region("tape", path);
  void* memory = MAP_FAILED;
  if (descriptor >= 0 && os::set_file_length(descriptor, wire::tape_bytes)) {
    memory = ::mmap(nullptr, wire::tape_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  }
  if (memory != MAP_FAILED &&
      (!populate_shared(static_cast<std::byte*>(memory), wire::tape_nodes_offset_bytes) || !make_mark())) {
    ::munmap(memory, wire::tape_bytes);
    memory = MAP_FAILED;
    errno = ENOSPC;
  }
  // Who is attached to has asked for nothing: the command says it.
  if (memory == MAP_FAILED && !is_attached()) {
    const char* reason = ::strerrordesc_np(errno);
    core::message sentence;
    sentence.add("tenure: no tape can be made beside the region: ").add(reason == nullptr ? "unknown error" : reason);
    sentence.add("; this process is not recorded.\n");
    sentence.write_to(2);
  }
  if (descriptor >= 0) ::syscall(SYS_close, descriptor);
  errno = saved_errno;
  if (memory == MAP_FAILED) return false;
  // Not for the children of fork: each makes one of its own.
  ::madvise(memory, wire::tape_bytes, MADV_DONTFORK);
  tape = static_cast<std::byte*>(memory);
  ++tape_epoch;
  header().version = wire::tape_version;
  header().pid = static_cast<std::uint32_t>(::syscall(SYS_getpid));
  header().total_bytes = wire::tape_bytes;
  header().begin_ticks = wire::read_ticks();
  header().begin_ns = os::monotonic_ns();
  trie.attach(&header(), reinterpret_cast<wire::stack_node*>(tape + wire::tape_nodes_offset_bytes),
              wire::stack_node_capacity, populate_shared, announce_module_of);
  __atomic_store_n(&header().magic, wire::tape_magic, __ATOMIC_RELEASE);
  return true;
}

// Under tape_lock. Whether there is a tape to write to; it is opened by the first who asks.
bool have_tape() noexcept {
  if (state_now() == tape_state::closed && wanted_mode() != 0)
    set_state(open_tape() ? tape_state::open : tape_state::refused);
  return state_now() == tape_state::open;
}

// Under tape_lock. Ties the thread's memory to its ring; false when the ring's first page cannot be had.
bool attach_ring(recording_thread& thread) noexcept {
  TENURE_DCHECK(tape != nullptr && thread.number < wire::tape_ring_limit);
  const wire::ring_place place = wire::ring_place_of(thread.number);
  if (!populate_shared(tape + place.header_offset_bytes, wire::tape_ring_header_bytes)) return false;
  thread.ring.attach(reinterpret_cast<wire::tape_ring_header*>(tape + place.header_offset_bytes),
                     reinterpret_cast<std::uint64_t*>(tape + place.words_offset_bytes), place.capacity_words,
                     populate_shared);
  thread.epoch = tape_epoch;
  thread.stack.forget();
  thread.thread_id = 0;
  return true;
}

// A ring of a tape that was closed becomes one of the tape that there is now. False when there is none.
bool renew(recording_thread& thread) noexcept {
  os::lock_guard held(tape_lock);
  if (!have_tape()) return false;
  if (thread.epoch == tape_epoch) return true;
  if (!attach_ring(thread)) return false;
  __atomic_store_n(&header().ring_count, ring_count, __ATOMIC_RELEASE);
  return true;
}

// A ring that no thread has, with what belongs to it. Null when there is none to be had.
recording_thread* take_thread() noexcept {
  if (state_now() == tape_state::refused) return nullptr;
  os::lock_guard held(tape_lock);
  if (!have_tape()) return nullptr;
  recording_thread* thread = free_threads;
  if (thread != nullptr) {
    free_threads = thread->next_free;
  } else {
    if (ring_count == wire::tape_ring_limit) return nullptr;
    void* memory = os::map_anywhere(sizeof(recording_thread));
    if (memory == nullptr) return nullptr;
    thread = new (memory) recording_thread;
    thread->next = all_threads;
    all_threads = thread;
    thread->number = ring_count++;
    add_overhead_bytes(sizeof(recording_thread));
  }
  if (!attach_ring(*thread)) {
    thread->next_free = free_threads;
    free_threads = thread;
    return nullptr;
  }
  __atomic_store_n(&header().ring_count, ring_count, __ATOMIC_RELEASE);
  return thread;
}

bool is_reader_there(std::uint64_t now_ns) noexcept {
  const std::uint64_t seen_ns = __atomic_load_n(&header().reader_ns, __ATOMIC_RELAXED);
  const std::uint64_t last_ns = seen_ns > header().begin_ns ? seen_ns : header().begin_ns;
  return last_ns + reader_patience_ns > now_ns;
}

bool is_to_wait() noexcept { return wanted_mode() == static_cast<std::uint32_t>(wire::recording_mode::block); }

// A record is lost. Now and then, since a clock costs as much as the record: whether the reader is gone for good.
[[gnu::noinline, gnu::cold]] void miss_reader_at_times(recording_thread& thread) noexcept {
  constexpr std::uint32_t misses_between_looks = 1024;
  if (++thread.misses % misses_between_looks == 0) miss_reader(os::monotonic_ns());
}

// Waits for room, if there is somebody to wait for.
[[gnu::noinline, gnu::cold]] bool wait_for_room(tape_ring& ring) noexcept {
  constexpr std::uint64_t first_pause_ns = 20'000;
  constexpr std::uint64_t longest_pause_ns = 1'000'000;
  const std::uint64_t begin_ns = os::monotonic_ns();
  const int saved_errno = errno;
  bool found = false;
  std::uint64_t pause_ns = first_pause_ns;
  for (std::uint64_t now_ns = begin_ns; is_to_wait() && is_reader_there(now_ns); now_ns = os::monotonic_ns()) {
    const timespec pause{0, static_cast<long>(pause_ns)};
    ::syscall(SYS_nanosleep, &pause, nullptr);
    found = ring.has_room(wire::tape_record_limit_words);
    if (found) break;
    if (pause_ns < longest_pause_ns) pause_ns *= 2;
  }
  errno = saved_errno;
  const std::uint64_t end_ns = os::monotonic_ns();
  ring.count_wait(end_ns - begin_ns);
  if (!found) miss_reader(end_ns);
  return found;
}

[[gnu::always_inline]] inline bool make_room(recording_thread& thread) noexcept {
  if (__builtin_expect(thread.ring.has_room(wire::tape_record_limit_words), 1)) return true;
  if (is_to_wait()) return wait_for_room(thread.ring);
  miss_reader_at_times(thread);
  return false;
}

// Tells whose records follow, where that is not known.
bool announce(recording_thread& thread, std::uint32_t thread_id) noexcept {
  if (!make_room(thread)) return false;
  announce_thread(thread_id, os::monotonic_ns());
  thread.ring.write_thread(thread_id, wire::read_ticks());
  thread.thread_id = thread_id;
  return true;
}

// A child that was forked past the C library's handlers is not recorded: it has no region of its own either.
void leave_unannounced_fork() noexcept {
  leave_tape_after_fork();
  elsewhere_count = 1;  // this call
  set_state(tape_state::refused);
}

// Calls tell(thread) for the thread's own ring, or for the shared one with its lock held; lost() when there is none.
template <class Tell, class Lost>
void tell_with_any_ring(Tell&& tell, Lost&& lost) noexcept {
  if (!is_marked()) {
    const tape_state now = state_now();
    if (now == tape_state::open) return leave_unannounced_fork();
    if (now == tape_state::closing) return lost();
  }
  const std::uint32_t thread_id = os::thread_id();
  if (!own.ended && own.thread == nullptr) own.thread = take_thread();
  if (own.thread != nullptr) return renew(*own.thread) && announce(*own.thread, thread_id) ? tell(*own.thread) : lost();
  os::lock_guard held(shared_lock);
  if (shared_thread == nullptr) shared_thread = take_thread();
  if (shared_thread == nullptr || !renew(*shared_thread)) return lost();
  if (shared_thread->thread_id != thread_id) {
    shared_thread->stack.forget();
    if (!announce(*shared_thread, thread_id)) return lost();
  }
  tell(*shared_thread);
}

template <class Tell, class Lost>
[[gnu::noinline, gnu::cold]] void tell_elsewhere(Tell&& tell, Lost&& lost) noexcept {
  __atomic_fetch_add(&elsewhere_count, 1, __ATOMIC_SEQ_CST);
  tell_with_any_ring(tell, lost);
  __atomic_fetch_sub(&elsewhere_count, 1, __ATOMIC_SEQ_CST);
}

// Whether the thread's own ring can be told to at once. The mark is looked at from inside: whoever closes the tape
// takes it off first and then looks who is inside.
[[gnu::always_inline]] inline bool enter_own_ring(recording_thread* mine) noexcept {
  if (__builtin_expect(mine == nullptr, 0)) return false;
  __atomic_store_n(&mine->inside, true, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  return __builtin_expect(is_marked() && mine->thread_id != 0, 1);
}
[[gnu::always_inline]] inline void leave_own_ring(recording_thread* mine) noexcept {
  if (__builtin_expect(mine != nullptr, 1)) __atomic_store_n(&mine->inside, false, __ATOMIC_RELEASE);
}

template <class Tell, class Lost>
[[gnu::always_inline]] inline void tell_with_ring(Tell&& tell, Lost&& lost) noexcept {
  if (__builtin_expect(own.inside, 0)) return lost();
  own.inside = true;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  recording_thread* mine = own.thread;
  if (__builtin_expect(enter_own_ring(mine), 1)) {
    tell(*mine);
    leave_own_ring(mine);
  } else {
    leave_own_ring(mine);
    tell_elsewhere(tell, lost);
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  own.inside = false;
}

// While the process records, its switch is the word that says it.
[[gnu::always_inline]] inline bool tells_free_stacks() noexcept {
  const std::uint32_t* word = __atomic_load_n(&current_switch, __ATOMIC_RELAXED);
  return (__atomic_load_n(word, __ATOMIC_RELAXED) & wire::control_free_stacks) != 0;
}

}  // namespace

[[gnu::noinline]] void tell_allocation(const void* block, std::size_t bytes, wire::allocation_entry entry,
                                       const caller_place& caller) noexcept {
  tell_with_ring(
      [ =, &caller ](recording_thread & thread) __attribute__((always_inline)) {
        if (!make_room(thread)) return thread.ring.count_lost_allocation(bytes);
        const std::uint32_t stack = thread.stack.capture(trie, caller);
        thread.ring.write_allocation(reinterpret_cast<std::uintptr_t>(block), wire::read_ticks(), stack, bytes, entry);
      },
      [=]() noexcept { count_lost_without_ring(true, bytes); });
}

[[gnu::noinline]] void tell_free(const void* block, const caller_place& caller) noexcept {
  tell_with_ring(
      [ =, &caller ](recording_thread & thread) __attribute__((always_inline)) {
        const auto address = reinterpret_cast<std::uintptr_t>(block);
        if (!make_room(thread)) return thread.ring.count_lost_free();
        const bool with_stack = tells_free_stacks();
        const std::uint32_t stack = with_stack ? thread.stack.capture(trie, caller) : 0;
        if (with_stack) return thread.ring.write_free_with_stack(address, wire::read_ticks(), stack);
        thread.ring.write_free(address, wire::read_ticks());
      },
      []() noexcept { count_lost_without_ring(false, 0); });
}

[[gnu::noinline]] void tell_free_range(std::uintptr_t begin, std::size_t bytes, const caller_place& caller) noexcept {
  tell_with_ring(
      [ =, &caller ](recording_thread & thread) __attribute__((always_inline)) {
        if (!make_room(thread)) return thread.ring.count_lost_free();
        const bool with_stack = tells_free_stacks();
        const std::uint32_t stack = with_stack ? thread.stack.capture(trie, caller) : 0;
        if (with_stack) return thread.ring.write_free_range_with_stack(begin, bytes, wire::read_ticks(), stack);
        thread.ring.write_free_range(begin, bytes, wire::read_ticks());
      },
      []() noexcept { count_lost_without_ring(false, 0); });
}

void end_thread_recording() noexcept {
  recording_thread* mine = own.thread;
  own.ended = true;
  own.thread = nullptr;
  if (mine == nullptr) return;
  if (enter_own_ring(mine)) announce_thread(mine->thread_id, os::monotonic_ns());  // its name may have come later
  leave_own_ring(mine);
  os::lock_guard held(tape_lock);
  mine->next_free = free_threads;
  free_threads = mine;
}

void leave_tape_after_fork() noexcept {
  tape_lock.reset_after_fork();
  shared_lock.reset_after_fork();
  own.thread = nullptr;
  own.inside = false;
  if (mark != nullptr) os::unmap(mark, os::page_bytes());
  mark = nullptr;
  tape = nullptr;  // not mapped here
  trie.detach();
  shared_thread = nullptr;
  ring_count = 0;
  elsewhere_count = 0;
  free_threads = nullptr;
  // The parent's threads are gone, and what they had is memory of ours.
  while (recording_thread* thread = all_threads) {
    all_threads = thread->next;
    add_overhead_bytes(-static_cast<std::int64_t>(sizeof(recording_thread)));
    os::unmap(thread, sizeof(recording_thread));
  }
  set_state(tape_state::closed);
}

namespace {

// Behind a barrier on all threads: whoever enters from now on finds the mark gone.
bool is_anybody_inside() noexcept {
  TENURE_DCHECK(tape_lock.is_locked() && state_now() == tape_state::closing);
  os::process_barrier();
  if (__atomic_load_n(&elsewhere_count, __ATOMIC_ACQUIRE) != 0) return true;
  for (const recording_thread* thread = all_threads; thread != nullptr; thread = thread->next) {
    if (__atomic_load_n(&thread->inside, __ATOMIC_ACQUIRE)) return true;
  }
  return false;
}

}  // namespace

bool close_tape() noexcept {
  if (own.inside || !tape_lock.try_lock()) return false;
  if (state_now() == tape_state::open) set_state(tape_state::closing);
  if (state_now() == tape_state::closing) {
    __atomic_store_n(mark, 0, __ATOMIC_SEQ_CST);
    if (is_anybody_inside()) return tape_lock.unlock(), false;
    for (recording_thread* thread = all_threads; thread != nullptr; thread = thread->next) {
      thread->ring.detach();
      thread->thread_id = 0;
    }
    trie.detach();
    os::unmap(tape, wire::tape_bytes);
    tape = nullptr;
  }
  set_state(tape_state::closed);
  tape_lock.unlock();
  return true;
}

void forget_recorded_stacks() noexcept { trie.forget(); }

void check_recorder() noexcept {
  os::lock_guard held(tape_lock);
  trie.check();
  for (const recording_thread* thread = all_threads; thread != nullptr; thread = thread->next) {
    thread->ring.check();
    thread->stack.check();
  }
}

}  // namespace tenure::telemetry
