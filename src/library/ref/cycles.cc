#include <tenure/cyclic_rc.hpp>

#include <pthread.h>

#include <algorithm>

#include "core/base/check.h"

namespace tenure {
namespace detail {
namespace {

constexpr std::uint64_t least_candidates = 1024;

struct cycle_state {
  cyclic_header* candidates;
  std::uint64_t due;  // so many candidates are collected by make_cyclic
  bool is_collecting;
  bool collects_at_end;
  cycle_statistics figures;
};
constinit thread_local cycle_state state{nullptr, least_candidates, false, false, {}};

// Where the process ends, and with it its first thread, keys have no destructors.
struct last_collection {
  ~last_collection() { collect_cycles(); }
};
thread_local last_collection at_exit;

// A key's destructor runs after those of thread_local objects, which let go of references too.
void collect_at_end() noexcept {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    TENURE_CHECK(pthread_key_create(&made, [](void*) {
                   state.collects_at_end = false;
                   collect_cycles();
                 }) == 0);
    return made;
  }();
  static_cast<void>(&at_exit);
  state.collects_at_end = pthread_setspecific(key, &state) == 0;
}

// One collection: the objects that candidates lead to stand in a list, in the order in which they were come to.
class collection {
 public:
  std::uint64_t run() noexcept {
    take_candidates();
    take_away();
    give_back_what_is_used();
    keep_garbage();
    return end_garbage();
  }
  std::uint64_t visited() const noexcept { return visited_; }

 private:
  struct visitor : cycle_visitor {
    visitor(collection* of, void (*with)(collection&, cyclic_header*) noexcept) noexcept
        : cycle_visitor([](cycle_visitor& self, cyclic_header* one) noexcept {
            auto& mine = static_cast<visitor&>(self);
            mine.action(*mine.home, one);
          }),
          home(of),
          action(with) {}
    collection* home;
    void (*action)(collection&, cyclic_header*) noexcept;
  };
  static void trace(const cyclic_header* of, visitor& with) noexcept { of->type->trace(of, with); }

  void append(cyclic_header* one) noexcept {
    one->color = cyclic_color::gray;
    one->next_gray = nullptr;
    (last_ == nullptr ? first_ : last_->next_gray) = one;
    last_ = one;
    ++visited_;
  }

  void take_candidates() noexcept {
    cyclic_header* one = std::exchange(state.candidates, nullptr);
    state.figures.candidates = 0;
    while (one != nullptr) {
      cyclic_header* const next = one->next;
      one->is_candidate = false;
      if (one->has_ended) {
        one->type->free(one);
      } else if (one->color == cyclic_color::purple) {
        append(one);
      }
      one = next;
    }
  }

  // Takes away each reference between objects in the list, which grows meanwhile.
  void take_away() noexcept {
    visitor each(this, [](collection& home, cyclic_header* one) noexcept {
      if (one->count == 0) {
        report_cycle(one, "trace() visits more references than there are");
        return;
      }
      --one->count;
      if (one->color != cyclic_color::gray) home.append(one);
    });
    for (const cyclic_header* one = first_; one != nullptr; one = one->next_gray) trace(one, each);
  }

  // What has references still is used from outside, and so is what it leads to.
  void give_back_what_is_used() noexcept {
    visitor each(this, [](collection& home, cyclic_header* one) noexcept {
      ++one->count;
      home.find_used(one);
    });
    for (cyclic_header* one = first_; one != nullptr; one = one->next_gray) {
      if (one->count != 0) find_used(one);
      while (used_ != nullptr) {
        const cyclic_header* const next = used_;
        used_ = used_->next;
        trace(next, each);
      }
    }
  }
  void find_used(cyclic_header* one) noexcept {
    if (one->color != cyclic_color::gray) return;
    one->color = cyclic_color::black;
    one->next = used_;
    used_ = one;
  }

  // Only garbage stays in the list. It gets its counts back, and a reference more, so that its destructors can let go.
  void keep_garbage() noexcept {
    cyclic_header** place = &first_;
    while (*place != nullptr) {
      cyclic_header* const one = *place;
      if (one->color == cyclic_color::gray) {
        one->color = cyclic_color::white;
        place = &one->next_gray;
      } else {
        *place = one->next_gray;
      }
    }
    visitor each(this, [](collection&, cyclic_header* one) noexcept { ++one->count; });
    for (cyclic_header* one = first_; one != nullptr; one = one->next_gray) {
      ++one->count;
      trace(one, each);
    }
  }

  std::uint64_t end_garbage() noexcept {
    std::uint64_t freed = 0;
    for (cyclic_header* one = first_; one != nullptr; one = one->next_gray) one->type->end(one);
    for (cyclic_header* one = first_; one != nullptr;) {
      cyclic_header* const next = one->next_gray;
      if (--one->count == 0) {
        one->type->free(one);
      } else {
        one->has_ended = true;
        report_cycle(one, "a destructor has kept a reference to an object of its cycle");
      }
      one = next;
      ++freed;
    }
    return freed;
  }

  cyclic_header* first_ = nullptr;
  cyclic_header* last_ = nullptr;
  cyclic_header* used_ = nullptr;
  std::uint64_t visited_ = 0;
};

}  // namespace

void report_cycle(const cyclic_header* one, const char* what) noexcept { report_count(one, what); }

void add_candidate(cyclic_header* one) noexcept {
  if (!state.collects_at_end) [[unlikely]] {
    collect_at_end();
  }
  one->is_candidate = true;
  one->next = state.candidates;
  state.candidates = one;
  ++state.figures.candidates;
}

void collect_if_due() noexcept {
  if (state.figures.candidates >= state.due) [[unlikely]] {
    collect_cycles();
  }
}

}  // namespace detail

std::uint64_t collect_cycles() noexcept {
  detail::cycle_state& mine = detail::state;
  // Called by a destructor: what ends has references still, and containers in which something ends are not whole.
  if (mine.is_collecting || detail::ends.depth != 0) return 0;
  mine.is_collecting = true;
  detail::collection now;
  const std::uint64_t freed = now.run();
  mine.is_collecting = false;
  // As many candidates as were visited in vain: then a collection costs each candidate no more than some visits.
  mine.due = std::max(detail::least_candidates, now.visited() - freed);
  ++mine.figures.collections;
  mine.figures.visited += now.visited();
  mine.figures.freed += freed;
  return freed;
}

cycle_statistics cycles_of_this_thread() noexcept { return detail::state.figures; }

}  // namespace tenure
