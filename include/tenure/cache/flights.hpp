// Loads that are under way: one a key, whoever else wants it waits for that one.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>

#include <tenure/eviction/policy.hpp>

namespace tenure::detail {

template <class K, class handle, class Hash, class Equal>
class flights : eviction::not_copied {
 public:
  class flight : eviction::not_copied {
   public:
    flight() : leader_(std::this_thread::get_id()) {}

    void land(handle result, std::exception_ptr failure) {
      const std::lock_guard hold(lock_);
      result_ = std::move(result);
      failure_ = std::move(failure);
      has_landed_ = true;
      landed_.notify_all();
    }
    // Throws what the load threw; std::logic_error when this thread waits for itself.
    handle wait() {
      if (leader_ == std::this_thread::get_id()) {
        throw std::logic_error("tenure::cache: a loader asks for the key that it loads");
      }
      std::unique_lock hold(lock_);
      landed_.wait(hold, [this] { return has_landed_; });
      if (failure_ != nullptr) std::rethrow_exception(failure_);
      return result_;
    }

   private:
    const std::thread::id leader_;
    std::mutex lock_;
    std::condition_variable landed_;
    bool has_landed_ = false;
    handle result_;
    std::exception_ptr failure_;
  };

  // The flight for `key`, and whether the caller is to load. `look` is asked first, with the lock held: a load that landed
  // just now has left its result in the cache. Null when look() found it.
  template <class function>
  std::pair<std::shared_ptr<flight>, bool> join(const K& key, function look) {
    const std::lock_guard hold(lock_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) return {found->second, false};
    if (look()) return {nullptr, false};
    return {by_key_.emplace(key, std::make_shared<flight>()).first->second, true};
  }

  void leave(const K& key) noexcept {
    const std::lock_guard hold(lock_);
    by_key_.erase(by_key_.find(key));
  }

 private:
  std::mutex lock_;
  std::unordered_map<K, std::shared_ptr<flight>, Hash, Equal> by_key_;
};

}  // namespace tenure::detail
