// tenure-bench-trace: from a recording of `tenure record` to a trace that tenure-bench-heap can replay.
//
//   tenure record -o run.tenure -- sqlite3 :memory: '.read load.sql'
//   tenure-bench-trace run.tenure run.trace
//
// Of several processes the one with the most events is taken. A recording tells a realloc as a free and an allocation
// of the same thread, in this order where the block stayed and in the other one where it moved; they become one
// operation again. Frees of blocks that the recording does not know are left out.
#include <algorithm>
#include <cstdio>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "instruments/collect/recording_reader.h"
#include "trace.h"
#include "wire/event.h"

namespace tenure::bench {
namespace {

using record::event;
using record::event_kind;

bool is_realloc(const event& one) {
  return one.kind == event_kind::allocation && one.entry == static_cast<std::uint8_t>(wire::allocation_entry::realloc);
}

trace_kind kind_of(const event& one) {
  switch (static_cast<wire::allocation_entry>(one.entry)) {
    case wire::allocation_entry::calloc:
      return trace_kind::allocate_zeroed;
    case wire::allocation_entry::aligned:
      return trace_kind::allocate_aligned;
    default:
      return trace_kind::allocate;
  }
}

// Whether a realloc of these sizes stays where the block is, in the heap that was recorded.
bool could_stay(std::uint64_t old_bytes, std::uint64_t bytes) {
  constexpr std::uint64_t largest_small_bytes = 65536;
  if (old_bytes > largest_small_bytes) return bytes > largest_small_bytes;
  return bytes <= old_bytes + std::max<std::uint64_t>(old_bytes / 4, 16) && 2 * bytes >= old_bytes;
}

// Operations of one process, in order. The last one may still become part of a realloc.
class trace_builder {
 public:
  void take(const event& one) {
    if (one.kind == event_kind::stray_free) return;
    const auto thread = numbers_.try_emplace(one.thread, static_cast<std::uint32_t>(numbers_.size())).first->second;
    if (one.slot >= bytes_.size()) bytes_.resize(one.slot + std::size_t{1});
    trace_operation* before =
        operations_.empty() || operations_.back().thread != thread ? nullptr : &operations_.back();
    if (one.kind == event_kind::allocation) {
      take_allocation(one, thread, before);
    } else {
      take_free(one, thread, before);
    }
  }

  bool write(const char* path) const {
    std::FILE* file = std::fopen(path, "wbe");
    if (file == nullptr) return false;
    const trace_header header{.threads = static_cast<std::uint32_t>(numbers_.size()),
                              .slots = static_cast<std::uint32_t>(bytes_.size()),
                              .operations = operations_.size()};
    const bool written =
        std::fwrite(&header, sizeof header, 1, file) == 1 &&
        std::fwrite(operations_.data(), sizeof(trace_operation), operations_.size(), file) == operations_.size();
    return std::fclose(file) == 0 && written;
  }
  std::size_t size() const { return operations_.size(); }

 private:
  // The slot of what was freed last is the next one that is given out.
  void take_allocation(const event& one, std::uint32_t thread, trace_operation* before) {
    const std::uint64_t old_bytes = bytes_[one.slot];
    bytes_[one.slot] = one.bytes;
    may_have_moved_ = is_realloc(one);
    const bool follows = before != nullptr && before->kind == trace_kind::free && before->slot == one.slot;
    if (may_have_moved_ && follows && could_stay(old_bytes, one.bytes)) {
      *before = {one.bytes, one.slot, one.slot, thread, trace_kind::reallocate, {}};
      may_have_moved_ = false;
      return;
    }
    operations_.push_back({one.bytes, one.slot, one.slot, thread, kind_of(one), {}});
  }

  void take_free(const event& one, std::uint32_t thread, trace_operation* before) {
    const bool has_moved = std::exchange(may_have_moved_, false) && before != nullptr && before->slot != one.slot;
    if (has_moved) {
      before->kind = trace_kind::reallocate;
      before->from_slot = one.slot;
      return;
    }
    operations_.push_back({0, one.slot, one.slot, thread, trace_kind::free, {}});
  }

  std::vector<trace_operation> operations_;
  std::vector<std::uint64_t> bytes_;                // by slot
  std::map<std::uint32_t, std::uint32_t> numbers_;  // of threads, by the recording's
  bool may_have_moved_ = false;                     // the last operation is the first half of a realloc, perhaps
};

int convert(const char* recording, const char* trace) {
  auto reader = collect::recording_reader::open(recording);
  if (!reader) {
    std::fprintf(stderr, "tenure-bench-trace: %s\n", reader.error().c_str());
    return 2;
  }
  std::vector<trace_builder> processes;
  reader->read([&](std::size_t process, std::span<const event> events) {
    if (process >= processes.size()) processes.resize(process + 1);
    for (const event& one : events) processes[process].take(one);
    return true;
  });
  const auto largest = std::max_element(processes.begin(), processes.end(),
                                        [](const auto& one, const auto& other) { return one.size() < other.size(); });
  if (largest == processes.end() || largest->size() == 0 || reader->run().damage) {
    std::fprintf(stderr, "tenure-bench-trace: %s holds no events, or is damaged\n", recording);
    return 1;
  }
  if (!largest->write(trace)) {
    std::perror(trace);
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace tenure::bench

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: tenure-bench-trace RECORDING TRACE\n");
    return 2;
  }
  return tenure::bench::convert(arguments[1], arguments[2]);
}
