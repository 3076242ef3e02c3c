// A thread of the library's own: all signals blocked, never joined; the process ends without asking it.
//
// One that touches managed objects has the state of a thread that does (threads.h), made by whoever starts it: he goes
// on without the thread when there is no memory, which the thread could not.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "library/gc/lock.h"
#include "library/gc/threads.h"

namespace tenure::gc {

class worker {
 public:
  explicit constexpr worker(void (*body)(), bool has_state) noexcept : body_(body), has_state_(has_state) {}

  // Starts it if it does not run yet. False when the system has no thread to give, or no memory for it.
  bool start() noexcept {
    if (running_.load(std::memory_order_acquire)) return true;
    const holding guard(starting_);
    if (running_.load(std::memory_order_relaxed)) return true;
    state_ = has_state_ ? make_thread() : nullptr;
    if (has_state_ && state_ == nullptr) return false;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const bool made = ::pthread_create(&thread, nullptr, run, this) == 0;
    if (made) ::pthread_detach(thread);
    if (!made && state_ != nullptr) unmake_thread(state_);
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
  static void* run(void* started) {
    const worker& self = *static_cast<worker*>(started);
    if (self.state_ != nullptr) adopt(*self.state_);
    self.body_();
    return nullptr;
  }

  void (*const body_)();
  const bool has_state_;
  thread_state* state_ = nullptr;  // of the thread that was started last; written before it is
  lock starting_;
  std::atomic<bool> running_{false};
};

}  // namespace tenure::gc
