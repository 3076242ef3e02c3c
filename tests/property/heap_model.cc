#include "heap_model.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "support/engaged.h"
#include "support/memory_probe.h"

namespace tenure::testing {
namespace {

struct walked_block {
  std::uintptr_t place;
  std::size_t size;
  bool named;
  friend bool operator<(const walked_block& left, const walked_block& right) { return left.place < right.place; }
  friend bool operator==(const walked_block& left, const walked_block& right) {
    return left.place == right.place && left.size == right.size;
  }
};

// Room for two walks, in pages that are not the heap's.
constexpr std::size_t walk_capacity = 1 << 18;
walked_block* new_walk_room() {
  void* room = mmap(nullptr, walk_capacity * sizeof(walked_block), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) std::abort();
  return static_cast<walked_block*>(room);
}
walked_block* const first_walk = new_walk_room();
walked_block* const second_walk = new_walk_room();

struct walk_progress {
  walked_block* into;
  std::size_t count;
};

int note_block(void* context, const void* block, size_t size, const char* heap_name) {
  auto* progress = static_cast<walk_progress*>(context);
  if (progress->count == walk_capacity) return 0;
  progress->into[progress->count++] = {reinterpret_cast<std::uintptr_t>(block), size, heap_name != nullptr};
  return 1;
}

// The live blocks in order of address; 0 when the walk could not be made.
std::size_t walk_into(walked_block* into) {
  walk_progress progress{into, 0};
  tenure_walk_result result{};
  if (heap_under_test().walk(note_block, &progress, &result) != 1 || result.unread_lists != 0) return 0;
  if (result.blocks != progress.count) return 0;
  std::sort(into, into + progress.count);
  return progress.count;
}

template <class function>
function* required(const char* name) {
  function* found = exported<function>(name);
  if (found == nullptr) {
    std::fprintf(stderr, "the library under test does not export %s\n", name);
    std::abort();
  }
  return found;
}
#define TENURE_REQUIRED(name) required<decltype(::name)>(#name)

std::size_t power_of(const operation& what) { return std::size_t{1} << (what.alignment_power % 17); }

}  // namespace

const heap_interface& heap_under_test() {
  static const heap_interface found = {
      TENURE_REQUIRED(tenure_block_start),
      TENURE_REQUIRED(tenure_block_size),
      TENURE_REQUIRED(tenure_walk),
      TENURE_REQUIRED(tenure_statistics_get),
      TENURE_REQUIRED(tenure_option_set),
      TENURE_REQUIRED(tenure_purge),
      TENURE_REQUIRED(tenure_check),
      TENURE_REQUIRED(tenure_heap_create),
      TENURE_REQUIRED(tenure_heap_allocate),
      TENURE_REQUIRED(tenure_heap_free),
      TENURE_REQUIRED(tenure_heap_statistics),
      TENURE_REQUIRED(tenure_heap_destroy),
  };
  return found;
}

std::string to_text(const operation& what) {
  static const char* const names[] = {"allocate",   "allocate_zeroed", "allocate_aligned", "resize",       "free",
                                      "sized_free", "heap_allocate",   "heap_free",        "heap_destroy", "purge"};
  return std::string(names[static_cast<std::size_t>(what.kind)]) + " slot " + std::to_string(what.slot) + " size " +
         std::to_string(what.size_bytes) + " alignment " + std::to_string(power_of(what));
}

heap_model::heap_model() {
  for (tenure_heap*& heap : heaps_) heap = heap_under_test().heap_create("model");
  walked_before_ = walk_into(first_walk);
  before_.struct_size = sizeof before_;
  heap_under_test().statistics_get(&before_);
}

heap_model::~heap_model() {
  for (slot& each : slots_) {
    if (each.place != nullptr && each.heap == default_heap) std::free(each.place);
  }
  for (tenure_heap* heap : heaps_) {
    if (heap != nullptr) heap_under_test().heap_destroy(heap);
  }
}

const char* heap_model::place_block(slot& into, void* block, std::size_t size, std::size_t alignment, int heap) {
  if (block == nullptr) return "an allocation of ordinary size failed";
  if (!is_aligned(block, std::max<std::size_t>(alignment, 16))) return "a block is not aligned as asked";
  into = {static_cast<char*>(block), size, heap_under_test().block_size(block), next_seed_++, heap};
  if (into.usable < size) return "a block is smaller than asked";
  if (heap == default_heap && into.usable == 0) return "a block has no usable byte";
  fill_pattern(into.place, into.usable, into.seed);
  return nullptr;
}

const char* heap_model::resize(slot& which, std::size_t size) {
  const slot before = which;
  void* block = std::realloc(before.place, size);
  which.place = nullptr;
  if (size == 0 && before.place != nullptr) return block == nullptr ? nullptr : "realloc to 0 gave a block";
  if (block == nullptr) return "realloc to an ordinary size failed";
  if (before.place != nullptr && !has_pattern(block, std::min(size, before.usable), before.seed)) {
    return "realloc lost the content";
  }
  return place_block(which, block, size, 16, default_heap);
}

const char* heap_model::release(slot& which) {
  if (!has_pattern(which.place, which.usable, which.seed)) return "a block was written over before it was freed";
  if (which.heap == default_heap) {
    std::free(which.place);
  } else {
    heap_under_test().heap_free(heaps_[which.heap], which.place);
  }
  which.place = nullptr;
  return nullptr;
}

const char* heap_model::destroy_heap(int which) {
  heap_under_test().heap_destroy(heaps_[which]);
  for (slot& each : slots_) {
    if (each.heap == which) each = slot{};
  }
  heaps_[which] = heap_under_test().heap_create("model");
  return heaps_[which] == nullptr ? "a heap could not be created" : nullptr;
}

const char* heap_model::apply(const operation& what) {
  slot& which = slots_[what.slot];
  const int heap = what.slot % heap_count;
  const bool occupied = which.place != nullptr;
  switch (what.kind) {
    case operation_kind::allocate:
      if (occupied) return release(which);
      return place_block(which, std::malloc(what.size_bytes), what.size_bytes, 16, default_heap);
    case operation_kind::allocate_zeroed: {
      if (occupied) return release(which);
      void* block = std::calloc(1, what.size_bytes);
      if (block != nullptr && !is_zero(block, what.size_bytes)) return "calloc gave dirty memory";
      return place_block(which, block, what.size_bytes, 16, default_heap);
    }
    case operation_kind::allocate_aligned: {
      if (occupied) return release(which);
      void* block = std::aligned_alloc(power_of(what), what.size_bytes);
      return place_block(which, block, what.size_bytes, power_of(what), default_heap);
    }
    case operation_kind::resize:
      if (occupied && which.heap != default_heap) return nullptr;
      return resize(which, what.size_bytes);
    case operation_kind::free:
    case operation_kind::heap_free:
      return occupied ? release(which) : nullptr;
    case operation_kind::free_from_interior_start: {
      if (!occupied) return nullptr;
      std::size_t size = 0;
      void* start = heap_under_test().block_start(which.place + what.size_bytes % which.usable, &size);
      if (start != which.place || size != which.usable) return "an interior pointer was not led to its block";
      return release(which);
    }
    case operation_kind::heap_allocate: {
      if (occupied) return release(which);
      void* block = heap_under_test().heap_allocate(heaps_[heap], what.size_bytes, power_of(what));
      return place_block(which, block, what.size_bytes, power_of(what), heap);
    }
    case operation_kind::heap_destroy:
      // Rarely, or the heaps would never be full.
      return what.size_bytes % 8 == 0 ? destroy_heap(heap) : nullptr;
    case operation_kind::purge:
      if (what.size_bytes % 8 == 0) heap_under_test().purge();
      return nullptr;
    case operation_kind::count_:
      break;
  }
  return nullptr;
}

const char* heap_model::compare() {
  for (const char* fault :
       {compare_content(), compare_overlap(), compare_interior(), compare_walk(), compare_statistics()}) {
    if (fault != nullptr) return fault;
  }
  heap_under_test().check();
  return nullptr;
}

const char* heap_model::compare_content() const {
  for (const slot& each : slots_) {
    if (each.place != nullptr && !has_pattern(each.place, each.usable, each.seed)) return "a block was written over";
  }
  return nullptr;
}

const char* heap_model::compare_overlap() const {
  const slot* order[slot_count];
  std::size_t count = 0;
  for (const slot& each : slots_) {
    if (each.place != nullptr) order[count++] = &each;
  }
  std::sort(order, order + count, [](const slot* left, const slot* right) { return left->place < right->place; });
  for (std::size_t index = 1; index < count; ++index) {
    if (order[index - 1]->place + order[index - 1]->usable > order[index]->place) return "two blocks overlap";
  }
  return nullptr;
}

const char* heap_model::compare_interior() const {
  for (const slot& each : slots_) {
    if (each.place == nullptr || each.usable == 0) continue;
    for (const std::size_t offset : {std::size_t{0}, each.usable / 3, each.usable - 1}) {
      std::size_t size = 0;
      if (heap_under_test().block_start(each.place + offset, &size) != each.place || size != each.usable) {
        return "an interior pointer was not led to its block";
      }
    }
  }
  return nullptr;
}

// The walk tells what it told before the first operation, and the model's blocks, and nothing else.
const char* heap_model::compare_walk() {
  std::size_t expected = walked_before_;
  const std::size_t found = walk_into(second_walk);
  if (found == 0) return "the walk could not be made";
  walked_block* const end = second_walk + found;
  for (const slot& each : slots_) {
    if (each.place == nullptr) continue;
    ++expected;
    const walked_block wanted{reinterpret_cast<std::uintptr_t>(each.place), each.usable, each.heap != default_heap};
    const auto place = std::lower_bound(second_walk, end, wanted);
    if (place == end || !(*place == wanted)) return "the walk did not tell a live block";
    if (place->named != wanted.named) return "the walk told the wrong heap";
  }
  if (found != expected) return "the walk told blocks that are not live, or told one twice";
  for (std::size_t index = 0; index < walked_before_; ++index) {
    const auto place = std::lower_bound(second_walk, end, first_walk[index]);
    if (place == end || !(*place == first_walk[index])) return "the walk lost a block of somebody else's";
  }
  return nullptr;
}

const char* heap_model::compare_statistics() const {
  std::uint64_t blocks = before_.live_blocks, bytes = before_.live_bytes;
  std::uint64_t heap_blocks[heap_count] = {}, heap_bytes[heap_count] = {};
  for (const slot& each : slots_) {
    if (each.place == nullptr) continue;
    if (each.heap == default_heap) {
      ++blocks;
      bytes += each.usable;
    } else {
      ++heap_blocks[each.heap];
      heap_bytes[each.heap] += each.usable;
    }
  }
  tenure_statistics now{};
  now.struct_size = sizeof now;
  if (heap_under_test().statistics_get(&now) != 1) return "there are no statistics";
  if (now.live_blocks != blocks) return "the statistics count other blocks than the model";
  if (now.live_bytes != bytes) return "the statistics count other bytes than the model";
  if (now.committed_bytes != now.live_bytes + now.cached_bytes + now.batch_bytes + now.fragmented_bytes +
                                 now.free_dirty_bytes + now.named_span_bytes) {
    return "the parts of the statistics do not sum to what is committed";
  }
  for (std::size_t index = 0; index < heap_count; ++index) {
    tenure_heap_stats figures{};
    figures.struct_size = sizeof figures;
    if (heap_under_test().heap_statistics(heaps_[index], &figures) != 1) return "a heap has no statistics";
    if (figures.live_blocks != heap_blocks[index]) return "a heap counts other blocks than the model";
    if (figures.live_bytes != heap_bytes[index]) return "a heap counts other bytes than the model";
  }
  return nullptr;
}

}  // namespace tenure::testing
