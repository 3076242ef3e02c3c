// Each eviction policy once more, in the words of its paper: vectors, linear search, no nodes, no shared code with what
// is tested. The front of a vector is the newest. access() is true for a hit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

namespace tenure::test {

struct item {
  std::uint64_t id = 0;
  std::uint32_t weight = 1;
  std::uint64_t mark = 0;   // the policy's bit, counter or state
  std::uint64_t first = 0;  // a time
  std::uint64_t second = 0;
};
using items = std::vector<item>;

inline items::iterator find(items& in, std::uint64_t id) {
  return std::find_if(in.begin(), in.end(), [id](const item& one) { return one.id == id; });
}
inline bool has(items& in, std::uint64_t id) { return find(in, id) != in.end(); }
inline std::uint64_t weight(const items& in) {
  std::uint64_t sum = 0;
  for (const item& one : in) sum += one.weight;
  return sum;
}
inline void push(items& in, const item& one) { in.insert(in.begin(), one); }
inline item pop_back(items& in) {
  const item last = in.back();
  in.pop_back();
  return last;
}
inline item take(items& in, std::uint64_t id) {
  const auto place = find(in, id);
  const item one = *place;
  in.erase(place);
  return one;
}
// Remembers `one` among at most `limit` of weight; the oldest are forgotten.
inline void remember(items& in, const item& one, std::uint64_t limit) {
  if (one.weight > limit) return;
  while (weight(in) + one.weight > limit) in.pop_back();
  push(in, one);
}

struct naive {
  explicit naive(std::uint64_t capacity_) : capacity(capacity_) {}
  std::uint64_t capacity;
};

struct naive_fifo : naive {
  using naive::naive;
  items all;
  bool access(std::uint64_t id, std::uint32_t w) {
    if (has(all, id)) return true;
    if (w > capacity) return false;
    while (weight(all) + w > capacity) all.pop_back();
    push(all, {id, w});
    return false;
  }
};

struct naive_lru : naive {
  using naive::naive;
  items all;
  bool access(std::uint64_t id, std::uint32_t w) {
    const bool hit = has(all, id);
    if (hit) take(all, id);
    if (w > capacity) return false;
    while (weight(all) + w > capacity) all.pop_back();
    push(all, {id, w});
    return hit;
  }
};

// A ring of frames and a hand; a new page comes in just behind the hand.
struct naive_clock : naive {
  using naive::naive;
  items ring;
  std::size_t hand = 0;
  bool access(std::uint64_t id, std::uint32_t w) {
    if (has(ring, id)) {
      find(ring, id)->mark = 1;
      return true;
    }
    if (w > capacity) return false;
    while (weight(ring) + w > capacity) {
      while (ring[hand].mark != 0) {
        ring[hand].mark = 0;
        hand = (hand + 1) % ring.size();
      }
      ring.erase(ring.begin() + static_cast<std::ptrdiff_t>(hand));
      if (hand == ring.size()) hand = 0;
    }
    ring.insert(ring.begin() + static_cast<std::ptrdiff_t>(hand), {id, w});
    hand = (hand + 1) % ring.size();
    return false;
  }
};

struct naive_lfu : naive {
  using naive::naive;
  items all;  // mark: how often; first: when last
  std::uint64_t now = 0;
  bool access(std::uint64_t id, std::uint32_t w) {
    ++now;
    if (has(all, id)) {
      ++find(all, id)->mark;
      find(all, id)->first = now;
      return true;
    }
    if (w > capacity) return false;
    while (weight(all) + w > capacity) {
      all.erase(std::min_element(all.begin(), all.end(), [](const item& a, const item& b) {
        return std::pair(a.mark, a.first) < std::pair(b.mark, b.first);
      }));
    }
    push(all, {id, w, 1, now});
    return false;
  }
};

// first: HIST(1), the last reference; second: HIST(2), 0 where there was none.
struct naive_lru_k : naive {
  using naive::naive;
  items all, retained;
  std::uint64_t now = 0;
  bool access(std::uint64_t id, std::uint32_t w) {
    ++now;
    if (has(all, id)) {
      const auto one = find(all, id);
      one->second = one->first;
      one->first = now;
      return true;
    }
    if (w > capacity) return false;
    item one{id, w};
    if (has(retained, id)) one.second = take(retained, id).first;
    one.first = now;
    while (weight(all) + w > capacity) {
      const auto victim = std::min_element(all.begin(), all.end(), [](const item& a, const item& b) {
        return std::pair(a.second, a.first) < std::pair(b.second, b.first);
      });
      remember(retained, *victim, capacity);
      all.erase(victim);
    }
    push(all, one);
    return false;
  }
};

struct naive_two_queue : naive {
  using naive::naive;
  items a1in, a1out, am;
  bool access(std::uint64_t id, std::uint32_t w) {
    if (has(am, id)) {
      push(am, take(am, id));
      return true;
    }
    if (has(a1in, id)) return true;
    if (w > capacity) return false;
    const bool known = has(a1out, id);
    if (known) take(a1out, id);
    while (weight(a1in) + weight(am) + w > capacity) {
      if (weight(a1in) > capacity / 4 || am.empty()) {
        remember(a1out, pop_back(a1in), capacity / 2);
      } else {
        am.pop_back();
      }
    }
    push(known ? am : a1in, {id, w});
    return false;
  }
};

struct naive_arc : naive {
  using naive::naive;
  items t1, t2, b1, b2;
  double p = 0;
  void replace(bool in_b2) {
    const auto length = static_cast<double>(weight(t1));
    if (!t1.empty() && (length > p || (in_b2 && length == p) || t2.empty())) {
      push(b1, pop_back(t1));
    } else {
      push(b2, pop_back(t2));
    }
  }
  bool access(std::uint64_t id, std::uint32_t w) {
    const auto c = static_cast<double>(capacity);
    if (has(t1, id) || has(t2, id)) {  // case I
      push(t2, take(has(t1, id) ? t1 : t2, id));
      return true;
    }
    if (w > capacity) return false;
    const double sizes[2] = {static_cast<double>(weight(b1)), static_cast<double>(weight(b2))};
    const bool in_b1 = has(b1, id), in_b2 = has(b2, id);
    if (in_b1) {  // case II
      p = std::min(p + std::max(1.0, sizes[1] / sizes[0]) * w, c);
      take(b1, id);
    } else if (in_b2) {  // case III
      p = std::max(p - std::max(1.0, sizes[0] / sizes[1]) * w, 0.0);
      take(b2, id);
    } else {  // case IV
      while (weight(t1) + weight(b1) + w > capacity) (b1.empty() ? t1 : b1).pop_back();
      while (weight(t1) + weight(t2) + weight(b1) + weight(b2) + w > 2 * capacity && !b2.empty()) b2.pop_back();
    }
    while (weight(t1) + weight(t2) + w > capacity) replace(in_b2);
    push(in_b1 || in_b2 ? t2 : t1, {id, w});
    while (weight(t1) + weight(b1) > capacity) b1.pop_back();
    while (weight(t1) + weight(t2) + weight(b1) + weight(b2) > 2 * capacity) (b2.empty() ? b1 : b2).pop_back();
    return false;
  }
};

struct naive_lirs : naive {
  using naive::naive;
  enum : std::uint64_t { lir, resident_hir, nonresident_hir };
  items stack, queue, gone;  // stack: mark is one of the above; gone: nonresident ones, newest first
  std::uint64_t lir_limit() const { return capacity - std::min(std::max<std::uint64_t>(capacity / 100, 1), capacity); }
  std::uint64_t lir_weight() const {
    std::uint64_t sum = 0;
    for (const item& one : stack) sum += one.mark == lir ? one.weight : 0;
    return sum;
  }
  void prune() {
    while (!stack.empty() && stack.back().mark != lir) {
      const item last = pop_back(stack);
      if (last.mark == nonresident_hir) take(gone, last.id);
    }
  }
  void demote() {
    push(queue, pop_back(stack));
    prune();
  }
  void promoted() {
    while (lir_weight() > lir_limit()) demote();
    prune();
  }
  bool access(std::uint64_t id, std::uint32_t w) {
    const auto in_stack = find(stack, id);
    const bool resident = has(queue, id) || (in_stack != stack.end() && in_stack->mark == lir);
    if (resident) {
      if (in_stack != stack.end()) {
        item one = take(stack, id);
        if (one.mark == resident_hir) take(queue, id);
        one.mark = lir;
        push(stack, one);
        promoted();
      } else {
        push(queue, take(queue, id));
        push(stack, {id, w, resident_hir});
        prune();
      }
      return true;
    }
    if (w > capacity) return false;
    const bool was_remembered = in_stack != stack.end();
    if (was_remembered) take(stack, id), take(gone, id);
    while (lir_weight() + weight(queue) + w > capacity) {
      if (queue.empty()) demote();
      const item victim = pop_back(queue);
      if (has(stack, victim.id)) {
        while (!gone.empty() && weight(gone) + victim.weight > 2 * capacity) take(stack, pop_back(gone).id);
        find(stack, victim.id)->mark = nonresident_hir;
        push(gone, victim);
      }
      prune();
    }
    if (was_remembered || lir_weight() + w <= lir_limit()) {
      push(stack, {id, w, lir});
    } else {
      push(stack, {id, w, resident_hir});
      push(queue, {id, w});
    }
    promoted();
    return false;
  }
};

struct naive_sieve : naive {
  using naive::naive;
  items queue;
  std::ptrdiff_t hand = -1;  // index; -1: at the tail
  bool access(std::uint64_t id, std::uint32_t w) {
    if (has(queue, id)) {
      find(queue, id)->mark = 1;
      return true;
    }
    if (w > capacity) return false;
    while (weight(queue) + w > capacity) {
      const auto last = static_cast<std::ptrdiff_t>(queue.size()) - 1;
      if (hand < 0) hand = last;
      while (queue[static_cast<std::size_t>(hand)].mark != 0) {
        queue[static_cast<std::size_t>(hand)].mark = 0;
        hand = hand == 0 ? last : hand - 1;
      }
      queue.erase(queue.begin() + hand);
      --hand;
    }
    push(queue, {id, w});
    if (hand >= 0) ++hand;
    return false;
  }
};

struct naive_s3_fifo : naive {
  using naive::naive;
  items small, main, ghost;
  std::uint64_t main_size() const { return capacity - capacity / 10; }
  void evict_main() {
    while (main.back().mark > 0) {
      item one = pop_back(main);
      --one.mark;
      push(main, one);
    }
    main.pop_back();
  }
  // One entry goes, from wherever.
  void evict() {
    if (!small.empty() && (weight(small) >= capacity / 10 || main.empty())) {
      while (!small.empty() && small.back().mark > 1) {
        if (!main.empty() && weight(main) + small.back().weight > main_size()) return evict_main();
        item one = pop_back(small);
        one.mark = 0;
        push(main, one);
      }
      if (!small.empty()) return remember(ghost, pop_back(small), main_size());
    }
    evict_main();
  }
  bool access(std::uint64_t id, std::uint32_t w) {
    for (items* queue : {&small, &main}) {
      if (!has(*queue, id)) continue;
      const auto one = find(*queue, id);
      one->mark = std::min<std::uint64_t>(one->mark + 1, 3);
      return true;
    }
    if (w > capacity) return false;
    const bool known = has(ghost, id);
    if (known) take(ghost, id);
    while (weight(small) + weight(main) + w > capacity) evict();
    push(known ? main : small, {id, w});
    return false;
  }
};

// The count-min sketch as its header describes it, a counter at a time.
struct naive_sketch {
  std::map<std::vector<std::uint64_t>, unsigned> counters;  // block, word, counter
  std::uint64_t blocks = 0, expected = 0, observed = 0;
  void expect(std::uint64_t entries) {
    expected = std::max(expected, entries);
    if (blocks == 0) blocks = 1;
    for (; blocks * 8 < entries; blocks *= 2) {
      const auto before = counters;
      for (const auto& [place, count] : before) counters[{place[0] + blocks, place[1], place[2]}] = count;
    }
  }
  std::vector<std::vector<std::uint64_t>> places(std::uint64_t id) const {
    std::uint64_t mixed = id * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 32;
    std::vector<std::vector<std::uint64_t>> four;
    for (std::uint64_t row = 0; row < 4; ++row) {
      const std::uint64_t bits = mixed >> (8 * row);
      four.push_back({(mixed >> 32) % blocks, 2 * row + bits % 2, bits / 2 % 16});
    }
    return four;
  }
  void add(std::uint64_t id) {
    bool added = false;
    for (const auto& place : places(id)) {
      if (counters[place] == 15) continue;
      ++counters[place];
      added = true;
    }
    if (!added || ++observed < 10 * std::max<std::uint64_t>(expected, 8)) return;
    for (auto& [place, count] : counters) count /= 2;
    observed /= 2;
  }
  unsigned estimate(std::uint64_t id) {
    unsigned least = 15;
    for (const auto& place : places(id)) least = std::min(least, counters[place]);
    return least;
  }
};

struct naive_w_tiny_lfu : naive {
  explicit naive_w_tiny_lfu(std::uint64_t capacity_) : naive(capacity_) { sketch.expect(1); }
  items window, probation, guarded;
  naive_sketch sketch;
  std::uint64_t window_size() const { return std::max<std::uint64_t>(capacity / 100, 1); }
  std::uint64_t guarded_size() const { return (capacity - window_size()) / 5 * 4; }
  std::uint64_t used() const { return weight(window) + weight(probation) + weight(guarded); }
  bool beats(std::uint64_t candidate, std::uint64_t victim) {
    return sketch.estimate(candidate) > sketch.estimate(victim);
  }
  bool access(std::uint64_t id, std::uint32_t w) {
    const std::size_t count = window.size() + probation.size() + guarded.size();
    const bool hit = has(window, id) || has(probation, id) || has(guarded, id);
    if (!hit) sketch.expect(count + 1);
    sketch.add(id);
    if (hit) {
      if (has(window, id)) {
        push(window, take(window, id));
      } else {
        push(guarded, take(has(probation, id) ? probation : guarded, id));
        while (weight(guarded) > guarded_size()) push(probation, pop_back(guarded));
      }
      return true;
    }
    if (w > capacity) return false;
    const bool waits = w <= window_size();
    while (used() + w > capacity) {
      items* const victims = !probation.empty() ? &probation : !guarded.empty() ? &guarded : nullptr;
      if (victims == nullptr) {
        window.pop_back();
      } else if (!waits) {
        if (!beats(id, victims->back().id)) return false;
        victims->pop_back();
      } else if (!window.empty() && weight(window) + w > window_size()) {
        if (beats(window.back().id, victims->back().id)) {
          victims->pop_back();
          push(probation, pop_back(window));
        } else {
          window.pop_back();
        }
      } else {
        victims->pop_back();
      }
    }
    push(waits ? window : probation, {id, w});
    while (weight(window) > window_size()) push(probation, pop_back(window));
    return false;
  }
};

struct naive_random : naive {
  using naive::naive;
  items all;
  std::uint64_t state = 1;
  // SplitMix64.
  std::uint64_t draw() {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  bool access(std::uint64_t id, std::uint32_t w) {
    if (has(all, id)) return true;
    if (w > capacity) return false;
    while (weight(all) + w > capacity) {
      std::swap(all[draw() % all.size()], all.back());
      all.pop_back();
    }
    all.push_back({id, w});
    return false;
  }
};

}  // namespace tenure::test
