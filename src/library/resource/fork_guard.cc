#include "library/resource/fork_guard.h"

#include <pthread.h>

#include <atomic>

#include "core/base/check.h"

namespace tenure::resources {

// Nobody enrolls while a fork is under way, and nothing is made.
struct fork_guard::all_guards {
  // Handlers are called in the reverse order of their registration, and these have to come before the heap's: who holds
  // a lock here may wait for memory. A preloaded heap registers its own when this library has been loaded, so there
  // are a second pair from the first use on; the first pair is for a fork that was under way then.
  enum class registration { at_load, at_first_use };

  std::mutex making;
  std::mutex lock;
  fork_guard* oldest = nullptr;
  fork_guard* newest = nullptr;
  std::atomic<pthread_t> forks = 0;  // the thread that has taken all of this; two may fork at once
  registration taken_by{};           // read by that thread alone
  std::atomic<bool> is_used = false;

  all_guards() { enter<registration::at_load>(); }
  static all_guards& get() {
    static auto* const all = new all_guards;  // static resources end after everything else
    return *all;
  }
  void note_use() noexcept {
    if (!is_used.load(std::memory_order_relaxed) && !is_used.exchange(true)) enter<registration::at_first_use>();
  }

 private:
  template <registration which>
  static void enter() {
    TENURE_CHECK(::pthread_atfork(before<which>, after_in_parent<which>, after_in_child<which>) == 0);
  }
  template <registration which>
  static void before() {
    all_guards& all = get();
    if (all.forks.load(std::memory_order_relaxed) == ::pthread_self()) return;
    all.making.lock();
    all.lock.lock();
    all.taken_by = which;
    all.forks.store(::pthread_self(), std::memory_order_relaxed);
    for (fork_guard* one = all.newest; one != nullptr; one = one->older_) one->before_fork();
  }
  template <registration which>
  static void after(bool is_child) {
    all_guards& all = get();
    if (all.forks.load(std::memory_order_relaxed) != ::pthread_self() || all.taken_by != which) return;
    for (fork_guard* one = all.oldest; one != nullptr; one = one->newer_) one->after_fork(is_child);
    all.forks.store(0, std::memory_order_relaxed);
    all.lock.unlock();
    all.making.unlock();
  }
  template <registration which>
  static void after_in_parent() {
    after<which>(false);
  }
  template <registration which>
  static void after_in_child() {
    after<which>(true);
  }
};

const bool fork_guard::is_registered = (fork_guard::all_guards::get(), true);

std::mutex& fork_guard::making() noexcept {
  all_guards::get().note_use();
  return all_guards::get().making;
}

void fork_guard::enroll() noexcept {
  all_guards& all = all_guards::get();
  all.note_use();
  const std::lock_guard held(all.lock);
  older_ = all.newest;
  (older_ == nullptr ? all.oldest : older_->newer_) = this;
  all.newest = this;
}

}  // namespace tenure::resources
