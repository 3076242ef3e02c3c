#include "core/os/stopped_threads.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/os/clock.h"
#include "core/os/futex.h"
#include "core/os/machine.h"
#include "core/os/signal_mask.h"
#include "core/os/virtual_memory.h"

#ifndef __WALL
#define __WALL 0x40000000
#endif

namespace tenure::os {
namespace {

constexpr int stop_signal = 33;  // SIGSETXID of glibc; it hides the name
constexpr std::size_t most_threads = 65536;
constexpr std::uint64_t look_again_ns = 1'000'000;

// unheard: the kernel had no room for the signal, or somebody else's handler may have got it.
enum state : std::uint32_t { asked = 0, stopped = 1, gone = 2, unheard = 3 };

// As the kernel defines it; the C library refuses to set this signal's.
struct kernel_action {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
constexpr unsigned long flag_restorer = 0x04000000;

stopped_thread* threads = nullptr;
std::uint32_t thread_count = 0;  // atomic
std::uint32_t answers = 0;       // atomic, a futex
// Atomic, a futex: odd while threads are stopped. Who has answered sleeps until it changes: it may be odd again by the
// time when a thread that was let go looks.
std::uint32_t turn = 0;
kernel_action before{};
std::uint32_t unlisted = 0;  // threads beyond most_threads

bool set_action(const kernel_action* action, kernel_action* old) noexcept {
  return ::syscall(SYS_rt_sigaction, stop_signal, action, old, sizeof action->mask) == 0;
}

bool is_ours(const siginfo_t* about) noexcept {
  return about->si_code == SI_QUEUE && about->si_value.sival_ptr == &turn;
}

stopped_thread* find_thread(std::uint32_t id) noexcept {
  const std::uint32_t count = __atomic_load_n(&thread_count, __ATOMIC_ACQUIRE);
  for (std::uint32_t i = 0; i < count; ++i)
    if (threads[i].id == id) return &threads[i];
  return nullptr;
}

void describe(stopped_thread* own, const ucontext_t* context) noexcept {
  const auto here = reinterpret_cast<std::uintptr_t>(&own);
  const auto signal_stack = reinterpret_cast<std::uintptr_t>(context->uc_stack.ss_sp);
  const bool is_apart = here - signal_stack < context->uc_stack.ss_size;
  own->stack_pointer = interrupted_stack_pointer(*context);
  own->thread_pointer = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  own->saved_begin = reinterpret_cast<std::uintptr_t>(context);
  own->saved_end = is_apart ? signal_stack + context->uc_stack.ss_size : own->stack_pointer;
}

void answer(int signal, siginfo_t* about, void* context) noexcept {
  const int saved_errno = errno;
  if (is_ours(about)) {
    stopped_thread* own = find_thread(thread_id());
    // One that comes too late has nothing to do.
    const std::uint32_t now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
    if (own != nullptr && now % 2 != 0) {
      describe(own, static_cast<const ucontext_t*>(context));
      __atomic_store_n(&own->state, stopped, __ATOMIC_RELEASE);
      __atomic_fetch_add(&answers, 1, __ATOMIC_RELEASE);
      futex_wake(&answers, 1);
      while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) == now) futex_wait(&turn, now, 0);
    }
  } else if (reinterpret_cast<std::uintptr_t>(before.handler) > 1) {
    before.handler(signal, about, context);
  }
  errno = saved_errno;
}

// Puts our handler in place. *was_replaced: another one was there than what we know of. The C library sets its own when
// the program starts its first thread, which may be at any moment.
bool take_signal(bool* was_replaced) noexcept {
  const kernel_action ours{answer, SA_SIGINFO | SA_RESTART | SA_ONSTACK | flag_restorer, return_from_handler, ~0ull};
  kernel_action old{};
  if (!set_action(&ours, &old)) return false;
  *was_replaced = old.handler != answer;
  if (*was_replaced) before = old;
  return true;
}

// While nobody moves who could set another handler meanwhile.
void give_signal_back() noexcept {
  kernel_action ours{};
  if (set_action(nullptr, &ours) && ours.handler == answer) set_action(&before, nullptr);
}

// Whether there is nobody to be asked, or the state that the thread has from now on.
state send(std::uint32_t id) noexcept {
  siginfo_t about{};
  about.si_signo = stop_signal;
  about.si_code = SI_QUEUE;
  about.si_pid = static_cast<pid_t>(::syscall(SYS_getpid));
  about.si_value.sival_ptr = &turn;
  if (::syscall(SYS_rt_tgsigqueueinfo, about.si_pid, id, stop_signal, &about) == 0) return asked;
  return errno == ESRCH ? gone : unheard;
}

struct directory_entry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

std::uint32_t parse_number(const char* text) noexcept {
  std::uint32_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + static_cast<std::uint32_t>(*text - '0');
  return *text == '\0' ? value : 0;
}

// A first thread that has ended while others run stays in the list and answers nothing.
bool is_dead_leader(std::uint32_t id) noexcept {
  if (id != static_cast<std::uint32_t>(::syscall(SYS_getpid))) return false;
  const int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC, 0));
  if (file < 0) return false;
  char text[128] = {};
  const long got = ::syscall(SYS_read, file, text, sizeof text - 1);
  ::syscall(SYS_close, file);
  const char* const after_name = got > 0 ? std::strrchr(text, ')') : nullptr;
  return after_name != nullptr && (std::strncmp(after_name, ") Z", 3) == 0 || std::strncmp(after_name, ") X", 3) == 0);
}

std::uint32_t state_of(const stopped_thread& one) noexcept { return __atomic_load_n(&one.state, __ATOMIC_ACQUIRE); }
bool is_waited_for(const stopped_thread& one) noexcept { return state_of(one) == asked || state_of(one) == unheard; }

// Nothing when the thread has answered meanwhile.
void change(stopped_thread& one, std::uint32_t from, std::uint32_t to) noexcept {
  __atomic_compare_exchange_n(&one.state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void send_to(stopped_thread& one) noexcept {
  change(one, unheard, asked);
  change(one, asked, send(one.id));
}

void ask(std::uint32_t id) noexcept {
  TENURE_DCHECK(thread_count < most_threads);
  const bool is_dead = is_dead_leader(id);
  threads[thread_count] = {id, is_dead ? gone : asked, 0, 0, 0, 0};
  __atomic_store_n(&thread_count, thread_count + 1, __ATOMIC_RELEASE);
  if (!is_dead) send_to(threads[thread_count - 1]);
}

// Asks each thread that has not been asked. How many; negative when they cannot be listed.
int ask_new_threads() noexcept {
  const int folder =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (folder < 0) return -1;
  const std::uint32_t own = thread_id();
  int asked_now = 0;
  unlisted = 0;
  alignas(directory_entry) char buffer[4096];
  for (;;) {
    const long got = ::syscall(SYS_getdents64, folder, buffer, sizeof buffer);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const directory_entry*>(buffer + at);
      at += entry->length;
      const std::uint32_t id = parse_number(entry->name);
      if (id == 0 || id == own || find_thread(id) != nullptr) continue;
      if (thread_count == most_threads) {
        ++unlisted;
        continue;
      }
      ask(id);
      ++asked_now;
    }
  }
  ::syscall(SYS_close, folder);
  return asked_now;
}

std::uint32_t count_waiting() noexcept {
  std::uint32_t waiting = 0;
  for (std::uint32_t i = 0; i < thread_count; ++i)
    if (is_waited_for(threads[i])) ++waiting;
  return waiting;
}

// A signal that went to somebody else's handler is lost. One that has not been taken yet is answered as well as the
// second one: then it finds its thread stopped or let go.
void ask_again(bool everybody) noexcept {
  bool was_replaced = false;
  take_signal(&was_replaced);
  const auto pid = static_cast<std::uint32_t>(::syscall(SYS_getpid));
  for (std::uint32_t i = 0; i < thread_count; ++i) {
    stopped_thread& one = threads[i];
    if (!is_waited_for(one)) continue;
    if (::syscall(SYS_tgkill, pid, one.id, 0) != 0 && errno == ESRCH) {
      change(one, state_of(one), gone);
    } else if (everybody || was_replaced || state_of(one) == unheard) {
      send_to(one);
    }
  }
}

// Until all have answered, or it is end_ns. Those that have ended meanwhile cannot be told from those that wait. After
// 16 looks, and then after twice as many each time, everybody who is waited for is asked once more, whatever became of
// the first signal.
std::uint32_t wait_for_answers(std::uint64_t end_ns) noexcept {
  for (std::uint32_t looks = 1;; ++looks) {
    const std::uint32_t seen = __atomic_load_n(&answers, __ATOMIC_ACQUIRE);
    const std::uint32_t waiting = count_waiting();
    if (waiting == 0 || monotonic_ns() >= end_ns) return waiting;
    futex_wait(&answers, seen, look_again_ns);
    ask_again(looks >= 16 && (looks & (looks - 1)) == 0);
  }
}

}  // namespace

stop_outcome stop_other_threads(std::uint64_t patience_ns) noexcept {
  TENURE_CHECK(__atomic_load_n(&turn, __ATOMIC_RELAXED) % 2 == 0);
  if (threads == nullptr) threads = static_cast<stopped_thread*>(map_anywhere(most_threads * sizeof(stopped_thread)));
  if (threads == nullptr) return {false, 0};
  bool was_replaced;
  if (!take_signal(&was_replaced)) return {false, 0};
  __atomic_store_n(&thread_count, 0, __ATOMIC_RELEASE);
  __atomic_fetch_add(&turn, 1, __ATOMIC_RELEASE);
  const std::uint64_t end_ns = monotonic_ns() + patience_ns;
  // A thread that has not been stopped yet may start others.
  for (;;) {
    const int asked_now = ask_new_threads();
    if (asked_now < 0) {
      let_threads_go();
      return {false, 0};
    }
    const std::uint32_t waiting = wait_for_answers(end_ns);
    if (asked_now == 0 || monotonic_ns() >= end_ns) return {true, waiting + unlisted};
  }
}

void let_threads_go() noexcept {
  // A signal that comes late must not end the program; and once they run on, one of them may set a handler.
  if (count_waiting() == 0 && unlisted == 0) give_signal_back();
  __atomic_fetch_add(&turn, 1, __ATOMIC_RELEASE);
  futex_wake(&turn, INT_MAX);
}

std::size_t stopped_thread_count() noexcept { return __atomic_load_n(&thread_count, __ATOMIC_ACQUIRE); }
const stopped_thread& stopped_thread_at(std::size_t index) noexcept {
  TENURE_DCHECK(index < stopped_thread_count());
  return threads[index];
}

long copy_process() noexcept {
  const int saved_errno = errno;
  const std::uint64_t mask = set_signal_mask(all_signals);
  const long child = ::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
  if (child != 0) set_signal_mask(mask);
  errno = saved_errno;
  return child;
}

bool wait_for_copy(long child) noexcept {
  const int saved_errno = errno;
  int status = -1;
  long got = 0;
  do {
    got = ::syscall(SYS_wait4, child, &status, __WALL, nullptr);
  } while (got < 0 && errno == EINTR);
  errno = saved_errno;
  return got == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace tenure::os
