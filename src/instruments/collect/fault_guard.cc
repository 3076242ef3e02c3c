#include "instruments/collect/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <utility>

namespace tenure::collect {
namespace {

struct guarded_range {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};  // 0: the slot is free
  std::atomic<bool> faulted{false};
};

std::array<guarded_range, 4096> ranges;
std::size_t page_bytes = 4096;
struct sigaction previous_action;

// Runs inside the fault: system calls only.
void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (guarded_range& range : ranges) {
    if (address < range.begin.load(std::memory_order_acquire) || address >= range.end.load(std::memory_order_acquire))
      continue;
    void* const page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
    if (::mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      break;
    range.faulted.store(true, std::memory_order_release);
    return;
  }
  // Not ours: the instruction faults again and meets whoever was responsible before.
  ::sigaction(SIGBUS, &previous_action, nullptr);
}

void install_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

}  // namespace

fault_guard::fault_guard(void* begin, std::size_t size_bytes) {
  install_once();
  static std::mutex lock;
  const std::scoped_lock hold(lock);
  for (std::size_t slot = 0; slot < ranges.size(); ++slot) {
    guarded_range& range = ranges[slot];
    if (range.end.load() != 0) continue;
    range.faulted = false;
    range.begin = reinterpret_cast<std::uintptr_t>(begin);
    range.end = reinterpret_cast<std::uintptr_t>(begin) + size_bytes;
    slot_ = slot;
    return;
  }
}

fault_guard& fault_guard::operator=(fault_guard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

bool fault_guard::has_faulted() const { return slot_ != no_slot && ranges[slot_].faulted.load(); }

void fault_guard::release() {
  if (slot_ != no_slot) ranges[slot_].end.store(0);
  slot_ = no_slot;
}

}  // namespace tenure::collect
