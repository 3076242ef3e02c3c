// What an entry carries for its eviction policy, and the intrusive lists of such entries.
//
//   list_node, 32 bytes                          lirs_node, 48 bytes: the same with a second pair of links
//   [ previous | next | identity | weight|place|mark|owner ]
//
// The policy's node is embedded in the entry (a base class or a member), so that a hit allocates nothing and a list is
// changed in constant time. `identity` is the 64-bit hash of the key: it is all that a policy remembers of an entry that
// has gone. Two keys with one hash share their past and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tenure/eviction/structure_check.hpp>

namespace tenure::eviction {

template <int which>
struct link {
  link* previous = nullptr;
  link* next = nullptr;
};

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

// A doubly linked list through the links `which` of its nodes, with the sum of their weights. The front is the end
// that things are put at; the back is the end they leave from.
template <class node, int which = 0>
class node_list {
 public:
  node_list() noexcept { end_.previous = end_.next = &end_; }
  node_list(const node_list&) = delete;
  node_list& operator=(const node_list&) = delete;

  bool empty() const noexcept { return end_.next == &end_; }
  std::uint64_t weight() const noexcept { return weight_; }
  std::size_t count() const noexcept { return count_; }

  // Of a list that is not empty.
  node& front() noexcept { return of(*end_.next); }
  node& back() noexcept { return of(*end_.previous); }
  // The neighbour towards the front or the back; null at the end.
  node* before(node& one) noexcept { return to(one).previous == &end_ ? nullptr : &of(*to(one).previous); }
  node* after(node& one) noexcept { return to(one).next == &end_ ? nullptr : &of(*to(one).next); }

  void push_front(node& one) noexcept { put(to(one), end_, one.weight); }
  void push_back(node& one) noexcept { put(to(one), *end_.previous, one.weight); }

  void erase(node& one) noexcept {
    link<which>& links = to(one);
    links.previous->next = links.next;
    links.next->previous = links.previous;
    links.previous = links.next = nullptr;
    weight_ -= one.weight;
    --count_;
  }

  void move_to_front(node& one) noexcept {
    erase(one);
    push_front(one);
  }

  // `other` takes the place of `one`, which leaves the list.
  void replace(node& one, node& other) noexcept {
    put(to(other), *to(one).previous, other.weight);
    erase(one);
  }

  // Links in both directions, the sums, and what `holds(node)` says of each.
  template <class predicate>
  void check(predicate holds) const noexcept {
    std::uint64_t weight = 0;
    std::size_t count = 0;
    for (const link<which>* at = end_.next; at != &end_; at = at->next) {
      structure_check(at->next->previous == at && at->previous->next == at, "links of a list");
      const node& one = static_cast<const node&>(*at);
      structure_check(holds(one), "an entry in a list it does not belong to");
      weight += one.weight;
      ++count;
    }
    structure_check(weight == weight_ && count == count_, "sums of a list");
  }

 private:
  static link<which>& to(node& one) noexcept { return one; }
  static node& of(link<which>& links) noexcept { return static_cast<node&>(links); }

  void put(link<which>& links, link<which>& behind, std::uint32_t weight) noexcept {
    links.previous = &behind;
    links.next = behind.next;
    behind.next->previous = &links;
    behind.next = &links;
    weight_ += weight;
    ++count_;
  }

  link<which> end_;
  std::uint64_t weight_ = 0;
  std::size_t count_ = 0;
};

}  // namespace tenure::eviction
