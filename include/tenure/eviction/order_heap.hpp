// A heap of entries by an order that changes as they are asked for: the first is the one to go.
//
// Each entry holds its index in the heap, so that it is found, moved and taken out in O(log n). Children of i are
// 4i+1 ... 4i+4: half the depth of a binary heap, and the four children lie in one or two cache lines.
#pragma once

#include <algorithm>
#include <vector>

#include <tenure/eviction/node.hpp>

namespace tenure::eviction {

// `node` has a member `heap_index`, and goes_before(a, b) says whether a is to go before b; no two are alike.
template <class node>
class order_heap {
 public:
  // The array doubles, and while it does, the old one is there as well: 24 bytes an entry at most.
  explicit order_heap(std::size_t size_limit_bytes) noexcept
      : count_limit_(std::max<std::size_t>(size_limit_bytes / (3 * sizeof(node*)), 1)) {}

  bool full() const noexcept { return entries_.size() >= count_limit_; }
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t count() const noexcept { return entries_.size(); }
  std::size_t size_bytes() const noexcept { return entries_.capacity() * sizeof(node*); }
  std::uint64_t weight() const noexcept { return weight_; }
  node& first() noexcept { return *entries_.front(); }

  void push(node& one) {
    entries_.push_back(&one);
    weight_ += one.weight;
    place(entries_.size() - 1, &one);
    rise(entries_.size() - 1);
  }

  void erase(node& one) noexcept {
    const std::size_t index = one.heap_index;
    node* const last = entries_.back();
    entries_.pop_back();
    weight_ -= one.weight;
    if (last == &one) return;
    place(index, last);
    changed(*last);
  }

  // After what the order depends on has changed.
  void changed(node& one) noexcept {
    rise(one.heap_index);
    sink(one.heap_index);
  }

  void check() const noexcept {
    std::uint64_t weight = 0;
    for (std::size_t index = 0; index < entries_.size(); ++index) {
      structure_check(entries_[index]->heap_index == index && entries_[index]->place != 0, "an entry at a wrong index");
      structure_check(index == 0 || !goes_before(*entries_[index], *entries_[(index - 1) / 4]), "order of a heap");
      weight += entries_[index]->weight;
    }
    structure_check(weight == weight_, "sum of a heap");
  }

 private:
  void place(std::size_t index, node* one) noexcept {
    entries_[index] = one;
    one->heap_index = static_cast<std::uint32_t>(index);
  }

  void rise(std::size_t index) noexcept {
    node* const one = entries_[index];
    while (index > 0 && goes_before(*one, *entries_[(index - 1) / 4])) {
      place(index, entries_[(index - 1) / 4]);
      index = (index - 1) / 4;
    }
    place(index, one);
  }

  void sink(std::size_t index) noexcept {
    node* const one = entries_[index];
    for (;;) {
      const std::size_t from = index * 4 + 1;
      const std::size_t to = std::min(from + 4, entries_.size());
      if (from >= to) break;
      std::size_t least = from;
      for (std::size_t child = from + 1; child < to; ++child) {
        if (goes_before(*entries_[child], *entries_[least])) least = child;
      }
      if (!goes_before(*entries_[least], *one)) break;
      place(index, entries_[least]);
      index = least;
    }
    place(index, one);
  }

  std::vector<node*> entries_;
  std::uint64_t weight_ = 0;
  std::size_t count_limit_;
};

}  // namespace tenure::eviction
