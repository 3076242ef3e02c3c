// tenure::heap: a first-class heap as a std::pmr::memory_resource.
//
// A heap has a name, spans of its own and exact counts; its destruction frees all its blocks at once. It shows up by
// name in tenure_walk(), in the statistics and in the report of `tenure run`.
//
//     tenure::heap sessions("sessions");
//     std::pmr::vector<int> ids(&sessions);
//     ids.resize(1000);
//     std::printf("%llu bytes\n", (unsigned long long)sessions.statistics().live_bytes);
//     // the destructor frees whatever is left
//
// Thread-safe, except that nobody may use a heap while it is destroyed. Cost: one lock a call.
#pragma once

#include <memory_resource>
#include <new>

#include <tenure/tenure.h>

namespace tenure {

class heap final : public std::pmr::memory_resource {
 public:
  // Throws std::bad_alloc when there is no memory for the heap's record (about 10 KiB).
  explicit heap(const char* name) : handle_(tenure_heap_create(name)) {
    if (handle_ == nullptr) throw std::bad_alloc();
  }
  ~heap() override { tenure_heap_destroy(handle_); }
  heap(const heap&) = delete;
  heap& operator=(const heap&) = delete;

  const char* name() const noexcept { return tenure_heap_name(handle_); }

  tenure_heap_stats statistics() const noexcept {
    tenure_heap_stats figures{};
    figures.struct_size = sizeof figures;
    tenure_heap_statistics(handle_, &figures);
    return figures;
  }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = tenure_heap_allocate(handle_, bytes, alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  void do_deallocate(void* block, std::size_t, std::size_t) override { tenure_heap_free(handle_, block); }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  tenure_heap* handle_;
};

}  // namespace tenure
