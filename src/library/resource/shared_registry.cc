// The segments of this process: for allocators, which know where theirs is mapped, and for children of fork(), which
// have the parent's locks until they close them.
#include <algorithm>
#include <atomic>
#include <vector>

#include "library/resource/fork_guard.h"
#include "library/resource/shared_segment.h"

namespace tenure::resources {
namespace {

class all_segments final : fork_guard {
 public:
  std::mutex lock;
  std::mutex joining;
  std::vector<shared_segment*> list;

  all_segments() noexcept { enroll(); }
  static all_segments& get() {
    static constinit std::atomic<all_segments*> made = nullptr;  // static resources end after everything else
    return the_only(made);
  }

 private:
  void before_fork() noexcept override {
    joining.lock();
    lock.lock();
  }
  void after_fork(bool is_child) noexcept override {
    for (shared_segment* one : list) {
      if (is_child) one->forget_after_fork();
    }
    lock.unlock();
    joining.unlock();
  }
};

}  // namespace

void enter_segment(shared_segment& segment) {
  const std::lock_guard held(all_segments::get().lock);
  all_segments::get().list.push_back(&segment);
}

void remove_segment(shared_segment& segment) noexcept {
  const std::lock_guard held(all_segments::get().lock);
  std::erase(all_segments::get().list, &segment);
}

shared* find_segment(const void* begin) noexcept {
  const std::lock_guard held(all_segments::get().lock);
  const auto& list = all_segments::get().list;
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto* one) { return one->begin() == begin; });
  return found == list.end() ? nullptr : (*found)->owner;
}

std::mutex& joining_mutex() noexcept { return all_segments::get().joining; }

}  // namespace tenure::resources
