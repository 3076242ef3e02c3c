#include "library/resource/sealed_ranges.h"

#include <sched.h>
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <list>
#include <new>

#include "library/resource/checks.h"
#include "library/resource/fork_guard.h"

namespace tenure::resources {
namespace {

struct sealed_range {
  std::uintptr_t begin;
  std::size_t bytes;
  const char* kind;
  char owner[64];
  call_site reset_at;
  std::vector<sited_object> objects;
};

// A flag, since the handler of a signal tries it too.
class flag_lock final : fork_guard {
 public:
  flag_lock() noexcept { enroll(); }
  bool try_lock() noexcept { return !taken_.test_and_set(std::memory_order_acquire); }
  void lock() noexcept {
    while (!try_lock()) ::sched_yield();
  }
  void unlock() noexcept { taken_.clear(std::memory_order_release); }

 private:
  void before_fork() noexcept override { lock(); }
  void after_fork(bool) noexcept override { unlock(); }

  std::atomic_flag taken_ = ATOMIC_FLAG_INIT;
};

flag_lock& range_lock() noexcept {
  static constinit std::atomic<flag_lock*> made = nullptr;  // never destroyed: the handler may come at any time
  return the_only(made);
}
// Never destroyed: pointers outlive static objects too.
std::list<sealed_range>& ranges() {
  static auto* const all = new std::list<sealed_range>;
  return *all;
}
std::size_t sealed_bytes = 0;
struct sigaction previous;

// The handler may run on the thread that holds the lock, and then says nothing.
bool try_lock_for_a_while() noexcept {
  for (int i = 0; i < 10'000; ++i) {
    if (range_lock().try_lock()) return true;
    ::sched_yield();
  }
  return false;
}

const sited_object* object_at(const sealed_range& range, std::uintptr_t address) noexcept {
  for (const sited_object& one : range.objects) {
    if (address - one.address < one.bytes) return &one;
  }
  return nullptr;
}

void explain(int signal, siginfo_t* info, void*) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (try_lock_for_a_while()) {
    for (const sealed_range& range : ranges()) {
      if (address - range.begin >= range.bytes) continue;
      const sited_object* object = object_at(range, address);
      const call_site used_at = capture_site();
      write_message(
          "use after reset", info->si_addr, object == nullptr ? 0 : object->bytes, range.kind, range.owner,
          {{"allocated", object == nullptr ? nullptr : &object->site}, {"reset", &range.reset_at}, {"used", &used_at}});
      break;
    }
    range_lock().unlock();
  }
  // Whoever was there before meets the same fault again.
  ::sigaction(signal, &previous, nullptr);
}

}  // namespace

void seal_range(std::uintptr_t begin, std::size_t bytes, const char* kind, const char* owner, const call_site& reset_at,
                std::vector<sited_object> objects, std::size_t limit_bytes) noexcept {
  seal_pages(reinterpret_cast<void*>(begin), bytes);
  std::list<sealed_range> added;
  try {
    added.push_back({begin, bytes, kind, {}, reset_at, std::move(objects)});
    std::strncpy(added.back().owner, owner, sizeof added.back().owner - 1);
  } catch (const std::bad_alloc&) {
    return unmap_checked(reinterpret_cast<void*>(begin), bytes);
  }
  std::list<sealed_range> removed;
  range_lock().lock();
  ranges().splice(ranges().end(), added);
  sealed_bytes += bytes;
  while (sealed_bytes > limit_bytes && !ranges().empty()) {
    sealed_bytes -= ranges().front().bytes;
    removed.splice(removed.end(), ranges(), ranges().begin());
  }
  range_lock().unlock();
  for (const sealed_range& one : removed) unmap_checked(reinterpret_cast<void*>(one.begin), one.bytes);
}

void explain_faults() noexcept {
  range_lock();  // is there before the handler wants it
  static const bool once = [] {
    struct sigaction action {};
    action.sa_sigaction = explain;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return ::sigaction(SIGSEGV, &action, &previous) == 0;
  }();
  static_cast<void>(once);
}

}  // namespace tenure::resources
