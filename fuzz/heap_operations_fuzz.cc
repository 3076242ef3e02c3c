// A byte string is a program for the heap: each operation is read from it, done, and held against a shadow of what is
// live. Works on the heap's own functions, below malloc, so that the sanitizers see its every structure.
//
//   byte 0       settings: the sampling interval
//   then, per operation:
//   byte         operation
//   byte         slot of the shadow
//   2 bytes      size, on a scale that reaches from 0 to 4 MiB
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/options.h"
#include "core/heap/heap.h"
#include "core/heap/named_heap.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"

namespace {

using namespace tenure::core;

constexpr std::size_t slot_count = 256;
constexpr std::size_t checked_bytes = 64;  // content checked at both ends of a block

struct slot {
  unsigned char* place = nullptr;
  std::size_t size = 0;
  std::size_t usable = 0;
  bool named = false;
};

[[noreturn]] void fault(const char* sentence) {
  std::fprintf(stderr, "%s\n", sentence);
  std::abort();
}

class reader {
 public:
  reader(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  // Small ones often, each order of magnitude sometimes.
  std::size_t size() {
    const std::size_t fraction = byte();
    const std::size_t shift = byte() % 15;
    return (fraction << shift) + shift % 3 - (fraction != 0 ? 1 : 0);
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

class shadow {
 public:
  shadow() : heap_(create_named_heap("fuzz")) {
    if (heap_ == nullptr) fault("a heap could not be created");
  }
  ~shadow() {
    for (slot& each : slots_) {
      if (each.place != nullptr && !each.named) release(each);
    }
    destroy_named_heap(heap_);
    check_heap();
  }
  shadow(const shadow&) = delete;
  shadow& operator=(const shadow&) = delete;

  void step(reader& input) {
    const std::uint8_t operation = input.byte() % 12;
    slot& which = slots_[input.byte()];
    const std::size_t size = input.size();
    switch (operation) {
      case 0:
      case 1:
      case 2:
        return replace(which, allocate(size, tenure::wire::allocation_entry::malloc), size, 16, false);
      case 3:
        return replace_zeroed(which, size);
      case 4: {
        const std::size_t alignment = std::size_t{1} << (size % 17);
        return replace(which, allocate_aligned(size, alignment, tenure::wire::allocation_entry::aligned), size,
                       alignment, false);
      }
      case 5:
      case 6:
        return resize(which, size == 0 ? 1 : size);
      case 7:
      case 8:
        if (which.place != nullptr) release(which);
        return;
      case 9: {
        const std::size_t alignment = std::size_t{1} << (size % 13);
        return replace(which, heap_->allocate(size, alignment), size, alignment, true);
      }
      case 10:
        if (size % 16 == 0) return empty_heap();
        return check_interior(which, size);
      default:
        if (size % 16 == 0) purge();
        if (size % 16 == 1) flush_own_cache();
        if (size % 16 == 2) compare_walk();
    }
  }

  // The walk must tell each block of the shadow.
  void compare_walk() {
    found_ = 0;
    walk_totals totals{};
    if (!walk_live_blocks(&shadow::visit, this, &totals)) fault("the walk could not be made");
    std::size_t live = 0;
    for (const slot& each : slots_) live += each.place != nullptr ? 1 : 0;
    if (found_ != live) fault("the walk did not tell every live block once");
  }

 private:
  static bool visit(void* context, const live_block& block) {
    auto* self = static_cast<shadow*>(context);
    for (const slot& each : self->slots_) {
      if (each.place != block.address) continue;
      if (each.usable != block.bytes) fault("the walk told a wrong size");
      if (each.named != (block.heap_name != nullptr)) fault("the walk told a wrong heap");
      ++self->found_;
    }
    return true;
  }

  unsigned char mark(const slot& of) const { return static_cast<unsigned char>((&of - slots_) * 7 + 3); }

  void mark_ends(slot& which) {
    const std::size_t part = which.usable < checked_bytes ? which.usable : checked_bytes;
    std::memset(which.place, mark(which), part);
    std::memset(which.place + which.usable - part, mark(which), part);
  }
  void check_ends(const slot& which, std::size_t usable, bool back) const {
    const std::size_t part = usable < checked_bytes ? usable : checked_bytes;
    for (std::size_t index = 0; index < part; ++index) {
      if (which.place[index] != mark(which)) fault("the front of a block was written over");
      if (back && which.place[usable - 1 - index] != mark(which)) fault("the back of a block was written over");
    }
  }

  void place(slot& which, void* block, std::size_t size, std::size_t alignment, bool named) {
    if (block == nullptr) fault("an allocation of ordinary size failed");
    if (reinterpret_cast<std::uintptr_t>(block) % (alignment < 16 ? 16 : alignment) != 0)
      fault("a block is not aligned");
    which = {static_cast<unsigned char*>(block), size, usable_bytes(block), named};
    if (which.usable < size || which.usable == 0) fault("a block is smaller than asked");
    for (const slot& each : slots_) {
      if (&each == &which || each.place == nullptr) continue;
      if (which.place < each.place + each.usable && each.place < which.place + which.usable) fault("blocks overlap");
    }
    mark_ends(which);
  }

  void replace(slot& which, void* block, std::size_t size, std::size_t alignment, bool named) {
    if (which.place != nullptr) release(which);
    place(which, block, size, alignment, named);
  }

  void replace_zeroed(slot& which, std::size_t size) {
    auto* block = static_cast<unsigned char*>(allocate_zeroed(size));
    if (block != nullptr && size > 0 && (block[0] != 0 || std::memcmp(block, block + 1, size - 1) != 0)) {
      fault("zeroed memory is dirty");
    }
    replace(which, block, size, 16, false);
  }

  void resize(slot& which, std::size_t size) {
    if (which.place == nullptr || which.named) return;
    check_ends(which, which.usable, true);
    const std::size_t kept = which.usable < size ? which.usable : size;
    which.place = static_cast<unsigned char*>(reallocate(which.place, size));
    if (which.place == nullptr) fault("a reallocation of ordinary size failed");
    check_ends(which, kept < checked_bytes ? kept : checked_bytes, false);
    place(which, which.place, size, 16, false);
  }

  void release(slot& which) {
    check_ends(which, which.usable, true);
    deallocate(which.place);
    which.place = nullptr;
  }

  void check_interior(const slot& which, std::size_t offset) const {
    if (which.place == nullptr) return;
    std::size_t bytes = 0;
    const void* start = block_start(which.place + offset % which.usable, &bytes);
    if (start != which.place || bytes != which.usable) fault("an interior pointer was not led to its block");
  }

  void empty_heap() {
    std::uint64_t live = 0;
    for (slot& each : slots_) {
      if (!each.named || each.place == nullptr) continue;
      ++live;
      each.place = nullptr;
    }
    if (heap_->statistics().live_blocks != live) fault("a heap counts other blocks than the shadow");
    heap_->free_all();
    if (heap_->statistics().live_blocks != 0) fault("a heap that was emptied has blocks");
  }

  slot slots_[slot_count];
  named_heap* heap_;
  std::size_t found_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  initialize();
  reader input(data, size);
  static const std::int64_t intervals[] = {524288, 65536, 4096, 0};
  set_value(option::sample_interval, intervals[input.byte() % 4]);
  shadow live;
  while (!input.empty()) live.step(input);
  live.compare_walk();
  return 0;
}
