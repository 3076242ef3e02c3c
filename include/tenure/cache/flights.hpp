// Loads that are under way: one a key, whoever else wants it waits for that one.
//
//   bucket   [ lock | flight -> flight ]     16 of them, by the key's identity
//
// A flight is made before the lock is taken and ends after it: no constructor, destructor or allocation is under a
// lock, since each may end in the cache (keys are the user's, and memory may be had from shrinkers).
#pragma once

#include <array>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include <tenure/eviction/policy.hpp>

namespace tenure::detail {

template <class K, class handle, class Equal>
class flights : eviction::not_copied {
 public:
  class flight : eviction::not_copied {
   public:
    flight(const K& key, std::uint64_t identity)
        : key_(key), identity_(identity), leader_(std::this_thread::get_id()) {}

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
    friend class flights;
    const K key_;
    const std::uint64_t identity_;
    const std::thread::id leader_;
    std::shared_ptr<flight> next_;  // in the bucket
    std::mutex lock_;
    std::condition_variable landed_;
    bool has_landed_ = false;
    handle result_;
    std::exception_ptr failure_;
  };

  // The flight for `key`, and whether the caller is to load. `look` is asked with the lock held: a load that landed
  // just now has left its result in the cache. Null when look() found it.
  template <class function>
  std::pair<std::shared_ptr<flight>, bool> join(const K& key, std::uint64_t identity, function look) {
    bucket& in = bucket_of(identity);
    {
      const std::lock_guard hold(in.lock);
      if (auto found = in.find(key, identity); found != nullptr) return {std::move(found), false};
    }
    auto made = std::make_shared<flight>(key, identity);
    const std::lock_guard hold(in.lock);
    if (auto found = in.find(key, identity); found != nullptr) return {std::move(found), false};
    if (look()) return {nullptr, false};
    made->next_ = std::move(in.first);
    in.first = made;
    return {std::move(made), true};
  }

  // By the one that was to load.
  void leave(const flight& one) noexcept {
    bucket& in = bucket_of(one.identity_);
    std::shared_ptr<flight> gone;
    const std::lock_guard hold(in.lock);
    std::shared_ptr<flight>* at = &in.first;
    while (at->get() != &one) at = &(*at)->next_;
    gone = std::move(*at);
    *at = std::move(gone->next_);
  }

 private:
  struct bucket {
    std::shared_ptr<flight> find(const K& key, std::uint64_t identity) const {
      for (const flight *one = first.get(), *before = nullptr; one != nullptr; before = one, one = one->next_.get()) {
        if (one->identity_ == identity && Equal{}(one->key_, key)) return before == nullptr ? first : before->next_;
      }
      return nullptr;
    }
    std::mutex lock;
    std::shared_ptr<flight> first;
  };
  bucket& bucket_of(std::uint64_t identity) noexcept { return buckets_[identity % buckets_.size()]; }

  std::array<bucket, 16> buckets_;
};

}  // namespace tenure::detail
