// tenure::frame_ring: bump memory for things that live for a number of frames.
//
//   frame 7            frame 8            frame 9
//   [objects....]      [objects...]       [objects. ^cursor   ]     three frames
//    retired by the next advance()         current
//
// Allocation bumps in the current frame. advance() begins the next one, and the oldest frame retires: what was
// allocated in it goes, destructors first, and its memory is used again. So a thing lives for as many advances as the
// ring has frames: what one stage makes another may still read while the next is being made. Once warm a loop allocates
// nothing.
//
//     tenure::frame_ring memory({.name = "frames", .frames = 2});
//     for (;;) {
//       memory.advance();
//       auto* draws = memory.create<draw_list>(&memory);   // read by the renderer while the next frame is made
//       ...
//     }
//
// Each frame is an arena: marks, kept memory and checks are described there. With checks on a retired frame's addresses
// fault, and the fault ends in a message with the sites of allocation, retirement and use.
//
// When: work in frames, ticks or batches that overlap by a fixed number. When not: overlap that is not known beforehand
// (arena::merge, or an arena for each).
//
// One thread at a time. Errors: std::bad_alloc; std::invalid_argument for a ring without frames. Cost: an arena's and
// two counters, docs/library/frame_ring.md. Source: iteration_allocator of foonathan/memory; game engines' frame
// allocators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <tenure/arena.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

struct frame_ring_options {
  std::string_view name = "frames";
  std::size_t frames = 2;  // at most 64
  std::size_t first_chunk_bytes = 4096;
  std::size_t largest_chunk_bytes = 1 << 20;
  std::size_t keep_bytes = 16 << 20;  // the most that a retired frame keeps
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new; not asked with checks on, which map
};

class TENURE_API frame_ring final : public memory_resource {
 public:
  explicit frame_ring(const frame_ring_options& options = {});
  // All frames retire, the oldest first.
  ~frame_ring() override;

  void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    void* const block = current_->allocate(bytes, alignment);
    count_allocation(bytes);
    return block;
  }
  // Nothing: the memory goes with its frame.
  void deallocate(void*, std::size_t, std::size_t = alignof(std::max_align_t)) noexcept {}

  // Makes an object in the current frame. Its destructor is called when the frame retires, if it does something.
  template <class Object, class... Arguments>
  Object* create(Arguments&&... arguments) {
    Object* const made = current_->create<Object>(std::forward<Arguments>(arguments)...);
    count_allocation(sizeof(Object));
    return made;
  }

  // Begins the next frame; the oldest one retires. Destructors must not allocate from the ring.
  void advance();
  std::uint64_t frame() const noexcept { return frame_; }  // advances so far
  std::size_t frame_count() const noexcept { return frames_.size(); }
  // The frame in which a block was allocated; UINT64_MAX for what is in none that lives.
  std::uint64_t frame_of(const void* block) const noexcept;
  bool has_checks() const noexcept { return current_->has_checks(); }

  bool owns(const void* block) const noexcept override;
  std::size_t trim() noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  struct one_frame {
    std::unique_ptr<arena> memory;
    std::uint64_t used_bytes = 0;  // once it is no longer the current one
    std::uint64_t used_blocks = 0;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate(bytes, alignment); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  void retire(one_frame& old);

  std::vector<one_frame> frames_;  // frame n has place n % frames_.size()
  arena* current_ = nullptr;
  std::uint64_t frame_ = 0;
  std::uint64_t bytes_before_ = 0;  // in use when the current frame began
  std::uint64_t blocks_before_ = 0;
};

}  // namespace tenure
