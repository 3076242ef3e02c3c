// Who still points into an arena: a conservative look at words that could be addresses.
//
//   stack of this thread ──────────┐
//   other threads, standing still ─┤
//   live heap blocks ──────────────┼─▶ words ──▶ in used memory of the arena? ──▶ escape
//   places of the caller ──────────┘
//
// Memory is read by the kernel (process_vm_readv), so what another thread unmaps meanwhile is skipped. The arena's own
// records hold addresses of its chunks; they are left out.
#include <pthread.h>
#include <sys/uio.h>
#include <tenure/tenure.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "library/resource/arena_checks.h"

namespace tenure {
namespace {

struct range {
  std::uintptr_t begin;
  std::uintptr_t end;
};

template <class Element>
range storage_of(const std::vector<Element>& of) {
  const auto begin = reinterpret_cast<std::uintptr_t>(of.data());
  return {begin, begin + of.capacity() * sizeof(Element)};
}

struct scan {
  std::vector<range> targets;   // used memory of the arena
  std::vector<range> left_out;  // what holds such addresses by right
  std::vector<arena::escape>* found;
  std::size_t limit;

  bool is_full() const { return found->size() >= limit; }

  static bool lies_in(const std::vector<range>& ranges, std::uintptr_t address) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const range& one) { return address >= one.begin && address < one.end; });
  }

  // Other threads may stand still meanwhile, with any lock in their hands: nothing is allocated here.
  void look_at(std::uintptr_t begin, std::size_t bytes, const char* place, unsigned thread = 0) {
    constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
    std::array<std::uintptr_t, 1024> words;  // below what is looked at of this thread's stack
    const std::uintptr_t end = (begin + bytes) & ~(word_bytes - 1);
    std::uintptr_t at = (begin + word_bytes - 1) & ~(word_bytes - 1);
    while (at < end && !is_full()) {
      const std::size_t wanted = std::min(sizeof words, end - at);
      const iovec local{words.data(), wanted};
      const iovec remote{reinterpret_cast<void*>(at), wanted};
      const ssize_t got = ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0);
      if (got < static_cast<ssize_t>(word_bytes)) return;
      for (std::size_t i = 0; i < static_cast<std::size_t>(got) / word_bytes && !is_full(); ++i) {
        if (!lies_in(targets, words[i]) || lies_in(left_out, at + i * word_bytes)) continue;
        found->push_back({reinterpret_cast<const void*>(at + i * word_bytes), reinterpret_cast<const void*>(words[i]),
                          place, thread});
      }
      at += static_cast<std::size_t>(got);
    }
  }

  static int look_at_block(void* context, const void* block, std::size_t bytes, const char*) {
    auto* self = static_cast<scan*>(context);
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    if (!lies_in(self->targets, begin)) self->look_at(begin, bytes, "heap block");
    return self->is_full() ? 0 : 1;
  }
};

int look_at_other_stack(void* context, const void* begin, std::size_t bytes, unsigned thread) {
  auto* const looking = static_cast<scan*>(context);
  looking->look_at(reinterpret_cast<std::uintptr_t>(begin), bytes, "stack", thread);
  return looking->is_full() ? 0 : 1;
}

range stack_above(const void* frame) {
  pthread_attr_t attributes;
  void* lowest = nullptr;
  std::size_t bytes = 0;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return {0, 0};
  ::pthread_attr_getstack(&attributes, &lowest, &bytes);
  ::pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uintptr_t>(frame), reinterpret_cast<std::uintptr_t>(lowest) + bytes};
}

}  // namespace

std::vector<arena::escape> arena::find_escapes(std::span<const place> places, std::size_t limit) const {
  std::vector<escape> result;
  result.reserve(limit);
  scan looking{{}, {}, &result, limit};
  for (const chunk& one : chunks_) looking.left_out.push_back({one.begin, one.begin + one.bytes});
  for_each_live([&](const live_block& one) {
    const auto begin = reinterpret_cast<std::uintptr_t>(one.address);
    looking.targets.push_back({begin, begin + one.bytes});
  });
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  looking.left_out.push_back({self, self + sizeof *this});
  looking.left_out.push_back(storage_of(chunks_));
  looking.left_out.push_back(storage_of(result));
  looking.left_out.push_back(storage_of(looking.targets));
  if (checked_) looking.left_out.push_back(storage_of(checked_->objects));
  const range stack = stack_above(__builtin_frame_address(0));
  for (const place& one : places) looking.look_at(reinterpret_cast<std::uintptr_t>(one.begin), one.bytes, one.name);
  // Its own list of what is left out holds the addresses as well.
  looking.left_out.push_back(storage_of(looking.left_out));
  looking.left_out.back() = storage_of(looking.left_out);
  looking.look_at(stack.begin, stack.end - stack.begin, "stack");
  if (!looking.is_full()) tenure_walk_stacks(look_at_other_stack, &looking);
  if (!looking.is_full()) tenure_walk(scan::look_at_block, &looking, nullptr);
  return result;
}

std::size_t arena::report_escapes(std::span<const place> places) const {
  constexpr std::size_t told = 10;
  const std::vector<escape> found = find_escapes(places);
  const resources::call_site here = resources::capture_site();
  for (std::size_t i = 0; i < std::min(told, found.size()); ++i) {
    const auto address = reinterpret_cast<std::uintptr_t>(found[i].points_to);
    const resources::sited_object* object = checked_ ? checked_->find(address) : nullptr;
    std::array<char, 160> what{};
    if (found[i].thread != 0) {
      std::snprintf(what.data(), what.size(), "escape from an arena: a word at %p (stack of thread %u) points to it",
                    found[i].at, found[i].thread);
    } else {
      std::snprintf(what.data(), what.size(), "escape from an arena: a word at %p (%s) points to it", found[i].at,
                    found[i].place);
    }
    resources::write_message(what.data(), found[i].points_to, object == nullptr ? 0 : object->bytes, kind(), name(),
                             {{"allocated", object == nullptr ? nullptr : &object->site}, {"looked for", &here}});
  }
  return found.size();
}

void* arena::allocate_checked(std::size_t bytes, std::size_t alignment) {
  const std::uintptr_t chunk_end = current_ < chunks_.size() ? chunks_[current_].begin + chunks_[current_].bytes : 0;
  std::uintptr_t begin = (cursor_ + (alignment - 1)) & ~(static_cast<std::uintptr_t>(alignment) - 1);
  if (begin > chunk_end || chunk_end - begin < bytes) {
    next_chunk(bytes, alignment);
    begin = (cursor_ + (alignment - 1)) & ~(static_cast<std::uintptr_t>(alignment) - 1);
  }
  checked_->objects.push_back({begin, bytes, resources::capture_site()});
  cursor_ = begin + bytes;
  publish();
  return reinterpret_cast<void*>(begin);
}

}  // namespace tenure
