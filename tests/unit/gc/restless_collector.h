// A thread that collects a heap again and again, young cycles and full ones, until stop() or its end.
#pragma once

#include <tenure/gc.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace tenure::test {

class restless_collector {
 public:
  explicit restless_collector(gc::heap& of)
      : thread_([this, &of] {
          for (int i = 0; !is_over_; ++i) {
            i % 2 == 0 ? of.collect() : of.collect_young();
            // Where a cycle takes long, or processors are few, threads that it stops would not come to anything.
            std::this_thread::sleep_for(std::chrono::microseconds(50));
          }
        }) {}
  ~restless_collector() { stop(); }
  restless_collector(const restless_collector&) = delete;
  restless_collector& operator=(const restless_collector&) = delete;

  void stop() {
    is_over_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace tenure::test
