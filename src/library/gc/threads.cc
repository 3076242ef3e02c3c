#include "library/gc/threads.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "core/base/check.h"
#include "library/gc/allocation.h"
#include "library/gc/cycle.h"
#include "library/gc/heap_state.h"
#include "library/gc/out_of_memory.h"
#include "library/gc/relocation.h"

namespace tenure::gc::detail {

namespace {
// Of every thread that has no runs of its own yet: all used up.
constinit allocation_runs no_runs;
}  // namespace

constinit thread_record unregistered_thread(&no_runs);
TENURE_GC_TLS __thread thread_record* current_thread = &unregistered_thread;

}  // namespace tenure::gc::detail

namespace tenure::gc {

using detail::hole;

namespace {

lock list_lock;
thread_state* list_first = nullptr;  // guarded by list_lock
pthread_key_t exit_key;
pthread_once_t exit_key_made = PTHREAD_ONCE_INIT;

// Null when there is no memory for it.
slot_segment* make_segment(slot_segment* before) noexcept {
  void* at = ::mmap(nullptr, slot_segment::size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* segment = new (at) slot_segment;
  segment->before = before;
  if (before != nullptr) segment->slots[0].store(hole, std::memory_order_relaxed);
  return segment;
}

void end_thread(void* argument) {
  auto* ended = static_cast<thread_state*>(argument);
  retire_runs(*ended);
  {
    const holding guard(list_lock);
    thread_state** link = &list_first;
    while (*link != ended) link = &(*link)->next;
    *link = ended->next;
    disown(*ended);
    // Shaded pointers that the marker has not taken yet.
    while (void* target = ended->ring.take()) leave_shaded(window::get().place(target));
    detail::current_thread = &detail::unregistered_thread;
  }
  for (slot_segment* at = ended->first_segment; at != nullptr;) {
    slot_segment* after = at->after.load(std::memory_order_relaxed);
    ::munmap(at, slot_segment::size_bytes);
    at = after;
  }
  free_runs(*ended);
  ended->~thread_state();
  std::free(ended);
}

void make_exit_key() { TENURE_CHECK(::pthread_key_create(&exit_key, end_thread) == 0); }

thread_state* register_thread() noexcept {
  thread_state* made = make_thread();
  if (made != nullptr) adopt(*made);
  return made;
}

}  // namespace

thread_state* make_thread() noexcept {
  slot_segment* first = make_segment(nullptr);
  if (first == nullptr) return nullptr;
  void* memory = std::malloc(sizeof(thread_state));
  if (memory == nullptr) {
    ::munmap(first, slot_segment::size_bytes);
    return nullptr;
  }
  auto* made = new (memory) thread_state;
  made->first_segment = first;
  made->segment.store(first, std::memory_order_relaxed);
  made->top.store(first->first(), std::memory_order_relaxed);
  made->limit = first->end();
  return made;
}

void unmake_thread(thread_state* made) noexcept {
  ::munmap(made->first_segment, slot_segment::size_bytes);
  made->~thread_state();
  std::free(made);
}

void adopt(thread_state& made) noexcept {
  ::pthread_once(&exit_key_made, make_exit_key);
  // Only a program with dozens of such keys has the system allocate here.
  if (::pthread_setspecific(exit_key, &made) != 0) end_out_of_memory("the end of a thread that has gc::locals");
  made.id = ::syscall(SYS_gettid);
  {
    const holding guard(list_lock);
    made.next = list_first;
    list_first = &made;
  }
  detail::current_thread = &made;
}

lock& threads_lock() noexcept { return list_lock; }
thread_state* first_thread() noexcept { return list_first; }

thread_state* find_or_register_thread() noexcept {
  detail::thread_record* self = detail::current_thread;
  return self == &detail::unregistered_thread ? register_thread() : static_cast<thread_state*>(self);
}

thread_state& this_thread() noexcept {
  thread_state* self = find_or_register_thread();
  if (self == nullptr) end_out_of_memory("the gc::locals of a thread");
  return *self;
}

thread_state& registered_thread() {
  thread_state* self = find_or_register_thread();
  if (self == nullptr) throw std::bad_alloc();
  return *self;
}

bool reach_next_segment(thread_state& self) noexcept {
  if (self.top.load(std::memory_order_relaxed) != self.limit) return true;
  slot_segment* now = self.segment.load(std::memory_order_relaxed);
  slot_segment* after = now->after.load(std::memory_order_relaxed);
  if (after == nullptr) {
    after = make_segment(now);
    if (after == nullptr) return false;
    now->after.store(after, std::memory_order_release);
  }
  self.top.store(after->first(), std::memory_order_release);
  self.segment.store(after, std::memory_order_release);
  self.limit = after->end();
  return true;
}

void forget_other_threads() noexcept {
  thread_state* self = nullptr;
  if (detail::current_thread != &detail::unregistered_thread) self = &this_thread();
  for (thread_state* at = list_first; at != nullptr;) {
    thread_state* next = at->next;
    if (at != self) disown(*at);
    if (at != self) retire_runs(*at);  // its slots are mapped memory that nothing can reach any more, and stay so
    at = next;
  }
  list_first = self;
  if (self != nullptr) self->next = nullptr;
  list_lock.reset();
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

root_slot* push_slow(void* target) noexcept {
  thread_state& self = this_thread();
  if (!reach_next_segment(self)) end_out_of_memory("more gc::locals of a thread");
  root_slot* taken = self.top.load(std::memory_order_relaxed);
  taken->store(target, std::memory_order_release);
  self.top.store(taken + 1, std::memory_order_release);
  published(target);
  return taken;
}

// The slot below the top is a hole: given up before, or the border to the segment before.
void pop_slow() noexcept {
  thread_state& self = this_thread();
  root_slot* top = self.top.load(std::memory_order_relaxed);
  while (top[-1].load(std::memory_order_relaxed) == hole) {
    slot_segment* now = self.segment.load(std::memory_order_relaxed);
    if (top != now->first()) {
      --top;
      top->store(nullptr, std::memory_order_release);
      self.top.store(top, std::memory_order_release);
      continue;
    }
    slot_segment* before = now->before;
    top = before->end();
    self.limit = top;
    self.segment.store(before, std::memory_order_release);
    self.top.store(top, std::memory_order_release);
  }
}

void pop_out_of_order(root_slot* given) noexcept {
  thread_state& self = this_thread();
  bool own = false;
  for (slot_segment* at = self.first_segment; at != nullptr && !own; at = at->after.load(std::memory_order_relaxed)) {
    own = at->holds(given);
  }
  if (!own) {
    std::fputs(
        "tenure: a gc::local was destroyed by another thread than the one that made it; what moves between threads is "
        "a gc::root\n",
        stderr);
    std::abort();
  }
  given->store(hole, std::memory_order_release);
  // The top may stand at the start of a segment, with this slot as the last one of the segment before.
  root_slot* top = self.top.load(std::memory_order_relaxed);
  if (top[-1].load(std::memory_order_relaxed) == hole) pop_slow();
}

}  // namespace tenure::gc::detail
