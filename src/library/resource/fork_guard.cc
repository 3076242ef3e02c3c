#include "library/resource/fork_guard.h"

#include <pthread.h>

#include "core/base/check.h"

namespace tenure::resources {

// Nobody enrolls while a fork is under way, and nothing is made.
struct fork_guard::all_guards {
  std::mutex making;
  std::mutex lock;
  fork_guard* oldest = nullptr;
  fork_guard* newest = nullptr;

  all_guards() { TENURE_CHECK(::pthread_atfork(before, after_in_parent, after_in_child) == 0); }
  static all_guards& get() {
    static auto* const all = new all_guards;  // static resources end after everything else
    return *all;
  }

  static void before() {
    get().making.lock();
    get().lock.lock();
    for (fork_guard* one = get().newest; one != nullptr; one = one->older_) one->before_fork();
  }
  static void after(bool is_child) {
    for (fork_guard* one = get().oldest; one != nullptr; one = one->newer_) one->after_fork(is_child);
    get().lock.unlock();
    get().making.unlock();
  }
  static void after_in_parent() { after(false); }
  static void after_in_child() { after(true); }
};

const bool fork_guard::is_registered = (fork_guard::all_guards::get(), true);

std::mutex& fork_guard::making() noexcept { return all_guards::get().making; }

void fork_guard::enroll() noexcept {
  all_guards& all = all_guards::get();
  const std::lock_guard held(all.lock);
  older_ = all.newest;
  (older_ == nullptr ? all.oldest : older_->newer_) = this;
  all.newest = this;
}

}  // namespace tenure::resources
