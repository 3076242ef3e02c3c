// What is one for the whole process and stands under a lock, around fork(): without more, a child in whose parent
// another thread held the lock would wait for that thread for ever.
//
//   fork()   before_fork()  of all, the latest first    their locks are taken, so what they guard is whole
//   parent   after_fork()   of all, the oldest first    and given back
//   child    after_fork()   the same                    by the only thread there is
//
// What is one for the process is made at its first use, by the_only(). A fork waits for that as well: what was begun in
// the parent, nobody would end in the child. The handlers of fork() themselves are there from the start, as those that
// are registered while a fork is under way are not called for it, and once more from the first use on, so that they
// come before those of a heap that was loaded later.
//
// A thread never holds two of these locks, so their order is of no matter. Locks of single objects are not here: a
// pool, a cache or a resource that another thread was in at that moment is not to be used in the child.
#pragma once

#include <atomic>
#include <mutex>

namespace tenure::resources {

class fork_guard {
 public:
  // Held while something is made.
  static std::mutex& making() noexcept;

  fork_guard(const fork_guard&) = delete;
  fork_guard& operator=(const fork_guard&) = delete;

 protected:
  fork_guard() = default;
  // It never ends.
  ~fork_guard() = default;
  // To be called once, where before_fork() can be.
  void enroll() noexcept;

 private:
  struct all_guards;
  static const bool is_registered;
  virtual void before_fork() noexcept = 0;
  virtual void after_fork(bool is_child) noexcept = 0;

  fork_guard* older_ = nullptr;
  fork_guard* newer_ = nullptr;
};

// A lock of this kind. Not to be taken again by the thread that holds it.
class process_lock final : fork_guard {
 public:
  process_lock() noexcept { enroll(); }
  void lock() { mutex_.lock(); }
  bool try_lock() { return mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  void before_fork() noexcept override { mutex_.lock(); }
  void after_fork(bool) noexcept override { mutex_.unlock(); }

  std::mutex mutex_;
};

// The one of its type, which `made` leads to. Never destroyed: static objects may use it to their end. Thread-safe.
template <class Type>
Type& the_only(std::atomic<Type*>& made) {
  if (Type* const there = made.load(std::memory_order_acquire)) return *there;
  const std::lock_guard held(fork_guard::making());
  Type* there = made.load(std::memory_order_relaxed);
  if (there == nullptr) made.store(there = new Type, std::memory_order_release);
  return *there;
}

}  // namespace tenure::resources
