// What an entry carries for its eviction policy, and the intrusive lists of such entries.
//
//   list_node, 32 bytes                          lirs_node, 48 bytes: the same with a second pair of links
//   [ previous | next | identity | weight|place|mark|owner ]
//
// The policy's node is embedded in the entry (a base class or a member), so that a hit allocates nothing and a list is
// changed in constant time. `identity` is the 64-bit hash of the key: it is all that a policy remembers of an entry
// that has gone. Two keys with one hash share their past and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tenure/eviction/structure_check.hpp>

namespace tenure::eviction {

// A pair of links, of whatever list. All lists read and write this one type: two functions that are the same but for
// the type of their links would be folded into one by g++ 12, which then forgets that the other one may change those
// links.
struct link_ring {
  link_ring* previous = nullptr;
  link_ring* next = nullptr;
};

template <int which>
struct link : link_ring {};

// `weight` is in the unit of the policy's capacity, entries or bytes; `place` is 0 for what is in no policy.
struct weighed {
  std::uint64_t identity = 0;
  std::uint32_t weight = 1;
  std::uint8_t place = 0;
  std::uint8_t mark = 0;
  std::uint8_t owner = 0;  // of a policy made of several
};

struct list_node : link<0>, weighed {};
struct lirs_node : list_node, link<1> {};
static_assert(sizeof(list_node) == 32 && sizeof(lirs_node) == 48);

// The neighbour that the links `which` of `one` point to, where they make a chain and not a list.
template <class node, int which>
node* next_in_chain(const node& one) noexcept {
  const link<which>& links = one;
  return static_cast<node*>(static_cast<link<which>*>(links.next));
}
template <class node, int which>
void set_next_in_chain(node& one, node* next) noexcept {
  static_cast<link<which>&>(one).next = static_cast<link<which>*>(next);
}

// The ring that a list is: its sentinel, the sum of the weights and the number of entries.
class weighed_ring {
 public:
  weighed_ring() noexcept { end_.previous = end_.next = &end_; }
  weighed_ring(const weighed_ring&) = delete;
  weighed_ring& operator=(const weighed_ring&) = delete;

  bool empty() const noexcept { return end_.next == &end_; }
  std::uint64_t weight() const noexcept { return weight_; }
  std::size_t count() const noexcept { return count_; }
  link_ring& end() noexcept { return end_; }
  const link_ring& end() const noexcept { return end_; }

  void put(link_ring& links, link_ring& behind, std::uint32_t weight) noexcept {
    links.previous = &behind;
    links.next = behind.next;
    behind.next->previous = &links;
    behind.next = &links;
    weight_ += weight;
    ++count_;
  }

  void take(link_ring& links, std::uint32_t weight) noexcept {
    links.previous->next = links.next;
    links.next->previous = links.previous;
    links.previous = links.next = nullptr;
    weight_ -= weight;
    --count_;
  }

 private:
  link_ring end_;
  std::uint64_t weight_ = 0;
  std::size_t count_ = 0;
};

// A doubly linked list through the links `which` of its nodes, with the sum of their weights. The front is the end
// that things are put at; the back is the end they leave from.
template <class node, int which = 0>
class node_list {
 public:
  bool empty() const noexcept { return ring_.empty(); }
  std::uint64_t weight() const noexcept { return ring_.weight(); }
  std::size_t count() const noexcept { return ring_.count(); }

  // Of a list that is not empty.
  node& front() noexcept { return of(*ring_.end().next); }
  node& back() noexcept { return of(*ring_.end().previous); }
  // The neighbour towards the front or the back; null at the end.
  node* before(node& one) noexcept { return node_at(to(one).previous); }
  node* after(node& one) noexcept { return node_at(to(one).next); }

  void push_front(node& one) noexcept { ring_.put(to(one), ring_.end(), one.weight); }
  void push_back(node& one) noexcept { ring_.put(to(one), *ring_.end().previous, one.weight); }
  void erase(node& one) noexcept { ring_.take(to(one), one.weight); }

  void move_to_front(node& one) noexcept {
    erase(one);
    push_front(one);
  }

  // `other` takes the place of `one`, which leaves the list.
  void replace(node& one, node& other) noexcept {
    ring_.put(to(other), *to(one).previous, other.weight);
    erase(one);
  }

  // Links in both directions, the sums, and what `holds(node)` says of each.
  template <class predicate>
  void check(predicate holds) const noexcept {
    std::uint64_t weight = 0;
    std::size_t count = 0;
    for (const link_ring* at = ring_.end().next; at != &ring_.end(); at = at->next) {
      structure_check(at->next->previous == at && at->previous->next == at, "links of a list");
      const node& one = static_cast<const node&>(static_cast<const link<which>&>(*at));
      structure_check(holds(one), "an entry in a list it does not belong to");
      weight += one.weight;
      ++count;
    }
    structure_check(weight == ring_.weight() && count == ring_.count(), "sums of a list");
  }

 private:
  static link<which>& to(node& one) noexcept { return one; }
  static node& of(link_ring& links) noexcept { return static_cast<node&>(static_cast<link<which>&>(links)); }
  node* node_at(link_ring* links) noexcept { return links == &ring_.end() ? nullptr : &of(*links); }

  weighed_ring ring_;
};

}  // namespace tenure::eviction
