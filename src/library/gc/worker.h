// A thread of the library's own: all signals blocked, never joined; the process ends without asking it.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "library/gc/lock.h"

namespace tenure::gc {

class worker {
 public:
  // Starts it if it does not run yet. False when the system has no thread to give.
  bool start(void (*body)()) noexcept {
    if (running_.load(std::memory_order_acquire)) return true;
    const holding guard(starting_);
    if (running_.load(std::memory_order_relaxed)) return true;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const bool made = ::pthread_create(&thread, nullptr, run, reinterpret_cast<void*>(body)) == 0;
    if (made) ::pthread_detach(thread);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    running_.store(made, std::memory_order_release);
    return made;
  }
  // In the child of a fork, which has no such thread.
  void reset() noexcept {
    starting_.reset();
    running_.store(false, std::memory_order_relaxed);
  }

 private:
  static void* run(void* body) {
    reinterpret_cast<void (*)()>(body)();
    return nullptr;
  }

  lock starting_;
  std::atomic<bool> running_{false};
};

}  // namespace tenure::gc
