// map<K, V>: std::map for managed objects, with keys or values that are or have managed pointers.
//
//     struct catalogue { tenure::gc::map<tenure::gc::string, tenure::gc::member<page>> pages; };
//     c->pages["front"] = tenure::gc::make<page>();
//     for (const auto& [name, page] : c->pages) show(name, *page);
//
// A search tree of managed nodes, one for each element, which stay where they are. Where a map may be, what moving
// does, who destroys what and what iterators keep alive is as with unordered_map.hpp.
//
// Compare has no state. With std::less<> or another comparison that is transparent, find and its like take whatever it
// compares. That is the default for gc::string, and such a map takes texts wherever it takes keys; but a pair with a
// gc::string, for insert(), cannot be on the stack: try_emplace().
//
// Thread-safety: as std::map; the collector needs no leave. Throws std::bad_alloc and what K, V and Compare throw, and
// then one element has not been added, and an assignment has not begun; of several (insert of a range) those before
// have been. Cost: as std::map, with expected rather than certain depth, and a barrier for each link.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/keyed.hpp>
#include <tenure/gc/detail/tree.hpp>
#include <tenure/gc/make.hpp>
#include <tenure/gc/members.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

namespace detail {

template <class Pair>
struct map_node : tree_node {
  template <class... Arguments>
  explicit map_node(Arguments&&... arguments) : pair(std::forward<Arguments>(arguments)...) {}
  TENURE_GC_MEMBERS_OF(map_node, (tree_node), pair);
  Pair pair;
};

}  // namespace detail

template <class Pair>
inline constexpr moving moving_of<detail::map_node<Pair>> = is_relocatable<Pair> ? moving::allowed : moving::forbidden;
// Keys that are managed pointers, or have some, are told apart by addresses.
template <class Pair>
inline constexpr bool keeps_addresses<detail::map_node<Pair>> = detail::is_known_by_address<typename Pair::first_type>;

namespace detail {

// Value is a pair or a constant one.
template <class Pair, class Value>
class map_iterator final {
 public:
  using value_type = Pair;
  using difference_type = std::ptrdiff_t;
  using reference = Value&;
  using pointer = Value*;
  using iterator_category = std::bidirectional_iterator_tag;

  map_iterator() noexcept = default;
  map_iterator(const member<tree_node>* root, tree_node* at) noexcept : root_(root), node_(at) {}
  operator map_iterator<Pair, const Pair>() const noexcept requires(!std::is_const_v<Value>) { return {root_, node_}; }
  reference operator*() const noexcept { return static_cast<map_node<Pair>*>(node_)->pair; }
  pointer operator->() const noexcept { return &**this; }
  map_iterator& operator++() noexcept {
    node_ = tree_next(node_);
    return *this;
  }
  map_iterator operator++(int) noexcept {
    const map_iterator before = *this;
    ++*this;
    return before;
  }
  map_iterator& operator--() noexcept {
    node_ = node_ == nullptr ? tree_last(root_->get()) : tree_before(node_);
    return *this;
  }
  map_iterator operator--(int) noexcept {
    const map_iterator before = *this;
    --*this;
    return before;
  }
  friend bool operator==(const map_iterator& a, const map_iterator& b) noexcept { return a.node_ == b.node_; }
  tree_node* get() const noexcept { return node_; }

 private:
  const member<tree_node>* root_ = nullptr;
  tree_node* node_ = nullptr;
};

}  // namespace detail

template <class K, class V, class Compare = typename detail::key_traits<K>::compare>
class map final : public detail::keyed<map<K, V, Compare>, K, V, Compare> {
  using base = detail::keyed<map, K, V, Compare>;

 public:
  using key_type = K;
  using mapped_type = V;
  using value_type = std::pair<const K, V>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using key_compare = Compare;
  using iterator = detail::map_iterator<value_type, value_type>;
  using const_iterator = detail::map_iterator<value_type, const value_type>;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  map() noexcept = default;
  template <std::input_iterator Iterator>
  map(Iterator first, Iterator last) {
    insert(first, last);
  }
  map(std::initializer_list<value_type> elements) { insert(elements.begin(), elements.end()); }
  map(const map& other) : base() { insert(other.begin(), other.end()); }
  map(map&& other) noexcept { swap(other); }
  ~map() = default;
  map& operator=(const map& other) { return base::assign_copy(other); }
  map& operator=(map&& other) noexcept { return base::assign_moved(other); }

  iterator begin() noexcept { return at_node(detail::tree_first(root_.get())); }
  const_iterator begin() const noexcept { return const_cast<map*>(this)->begin(); }
  iterator end() noexcept { return at_node(nullptr); }
  const_iterator end() const noexcept { return const_cast<map*>(this)->end(); }
  reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
  reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }
  bool empty() const noexcept { return size_ == 0; }
  size_type size() const noexcept { return size_; }

  template <class Key = K>
  iterator lower_bound(const Key& key) {
    return at_node(bound([&](const K& each) { return !Compare()(each, key); }));
  }
  template <class Key = K>
  iterator upper_bound(const Key& key) {
    return at_node(bound([&](const K& each) { return Compare()(key, each); }));
  }
  template <class Key = K>
  iterator find(const Key& key) {
    const iterator found = lower_bound(key);
    return found == end() || Compare()(key, found->first) ? end() : found;
  }
  template <class Key = K>
  const_iterator lower_bound(const Key& key) const {
    return const_cast<map*>(this)->lower_bound(key);
  }
  template <class Key = K>
  const_iterator upper_bound(const Key& key) const {
    return const_cast<map*>(this)->upper_bound(key);
  }
  template <class Key = K>
  const_iterator find(const Key& key) const {
    return const_cast<map*>(this)->find(key);
  }
  template <class Key = K>
  std::pair<iterator, iterator> equal_range(const Key& key) {
    return {lower_bound(key), upper_bound(key)};
  }
  template <class Key = K>
  bool contains(const Key& key) const {
    return base::has(key);
  }
  template <class Key = K>
  size_type count(const Key& key) const {
    return contains(key) ? 1 : 0;
  }
  using base::insert;

  template <class Key, class... Arguments>
  requires detail::key_for<Key, K, Compare> std::pair<iterator, bool> try_emplace(Key&& key, Arguments&&... arguments) {
    const place found = find_place(key);
    if (found.node != nullptr) return {at_node(found.node), false};
    const local<node> made =
        base::template make<node>(std::piecewise_construct, std::forward_as_tuple(std::forward<Key>(key)),
                                  std::forward_as_tuple(std::forward<Arguments>(arguments)...));
    if constexpr (detail::is_known_by_address<K>) {
      // What the key leads to may have been moved before the node had it.
      return {add(made, find_place(made->pair.first)), true};
    }
    return {add(made, found), true};
  }
  template <class... Arguments>
  std::pair<iterator, bool> emplace(Arguments&&... arguments) {
    const local<node> made = base::template make<node>(std::forward<Arguments>(arguments)...);
    const place found = find_place(made->pair.first);
    if (found.node != nullptr) return {at_node(found.node), false};
    return {add(made, found), true};
  }
  using base::erase;
  iterator erase(iterator at) noexcept { return erase(const_iterator(at)); }
  iterator erase(const_iterator at) noexcept {
    const iterator next = at_node(detail::tree_next(at.get()));
    remove(at);
    return next;
  }
  iterator erase(const_iterator first, const_iterator last) noexcept {
    while (first != last) first = erase(first);
    return at_node(last.get());
  }
  void clear() noexcept {
    root_ = nullptr;
    size_ = 0;
  }
  // Iterators that were at the end of either map are not good any more.
  void swap(map& other) noexcept {
    if (root_ != nullptr || other.root_ != nullptr) detail::require_same_heap(this, &other, what);
    using std::swap;
    swap(root_, other.root_);
    std::swap(size_, other.size_);
    std::swap(series_, other.series_);
  }
  friend void swap(map& a, map& b) noexcept { a.swap(b); }
  friend bool operator==(const map& a, const map& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  TENURE_GC_MEMBERS(map, root_, size_, series_);
  friend base;
  static constexpr const char* what = "map";
  using node = detail::map_node<value_type>;
  static_assert(std::is_empty_v<Compare>, "tenure::gc: the comparison of a map has no state");

  // Where a key is, or the empty link where it would be.
  struct place {
    detail::tree_node* node;
    detail::tree_node* parent;
    member<detail::tree_node>* link;
  };

  static const K& key_of(const detail::tree_node* of) noexcept { return static_cast<const node*>(of)->pair.first; }
  iterator at_node(detail::tree_node* at) noexcept { return {&root_, at}; }

  void remove(const_iterator at) noexcept {
    detail::tree_remove(root_, *at.get());
    --size_;
  }
  template <class Key>
  place find_place(const Key& key) {
    place at{nullptr, nullptr, &root_};
    while (*at.link != nullptr) {
      detail::tree_node* here = at.link->get();
      if (Compare()(key, key_of(here))) {
        at = {nullptr, here, &here->left};
      } else if (Compare()(key_of(here), key)) {
        at = {nullptr, here, &here->right};
      } else {
        return {here, at.parent, at.link};
      }
    }
    return at;
  }
  // The first whose key is far enough.
  template <class FarEnough>
  detail::tree_node* bound(FarEnough far_enough) const {
    detail::tree_node* found = nullptr;
    for (detail::tree_node* at = root_.get(); at != nullptr;) {
      if (far_enough(key_of(at))) {
        found = at;
        at = at->left.get();
      } else {
        at = at->right.get();
      }
    }
    return found;
  }
  iterator add(const local<node>& added, const place& at) noexcept {
    added->priority = detail::tree_priority(series_);
    detail::tree_add(root_, at.parent, *at.link, added);
    ++size_;
    return at_node(added.get());
  }
  member<detail::tree_node> root_;
  size_type size_ = 0;
  std::uint64_t series_ = 0;  // of priorities; goes with the nodes, of which no two of a map get the same
};

template <class K, class V, class Compare>
struct detail::elements_of<map<K, V, Compare>> {
  using types = type_list<K, V>;
};

}  // namespace tenure::gc
