// unordered_map<K, V>: std::unordered_map for managed objects, with keys or values that are or have managed pointers.
//
//     struct index { tenure::gc::unordered_map<tenure::gc::string, tenure::gc::member<page>> pages; };
//     i->pages["front"] = tenure::gc::make<page>();
//     if (auto found = i->pages.find("front"); found != i->pages.end()) show(*found->second);
//
// A table of managed pointers to managed nodes, one for each element, which stay where they are: references to elements
// are good until they are erased. Where a map may be and what moving does is as with vector.hpp.
//
// An element that is erased, or was in a map that nothing leads to any more, is the collector's: if it has a
// destructor, that runs on the thread for destructors. An iterator is a raw pointer and keeps nothing alive: it is good
// while the map lives, its element is not erased and the table does not grow, as with std::unordered_map.
//
// A key is looked up as what it is: member<U> by its address. Where keys are gc::strings, texts do; but a pair with
// one, for insert(), cannot be on the stack: try_emplace(). Hash and Equal have no state. For keys that live no longer
// than others want them, weak_map.
//
// Thread-safety: as std::unordered_map; the collector needs no leave. Throws std::bad_alloc and what K, V, Hash and
// Equal throw, and then one element has not been added, and an assignment has not begun; of several (insert of a range)
// those before have been. Cost: as std::unordered_map, with the allocation of a managed object;
// begin() and ++ pass the buckets that are empty.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/keyed.hpp>
#include <tenure/gc/make.hpp>
#include <tenure/gc/member.hpp>
#include <tenure/gc/members.hpp>
#include <tenure/gc/relocatable.hpp>

namespace tenure::gc {

namespace detail {

template <class Pair>
struct hash_node {
  template <class... Arguments>
  explicit hash_node(std::size_t mixed, Arguments&&... arguments)
      : hash(mixed), pair(std::forward<Arguments>(arguments)...) {}
  TENURE_GC_MEMBERS(hash_node, next, hash, pair);
  member<hash_node> next;
  std::size_t hash;
  Pair pair;
};

}  // namespace detail

template <class Pair>
inline constexpr moving moving_of<detail::hash_node<Pair>> = is_relocatable<Pair> ? moving::allowed : moving::forbidden;
// Keys that are managed pointers, or have some, are told apart by addresses.
template <class Pair>
inline constexpr bool keeps_addresses<detail::hash_node<Pair>> = detail::is_known_by_address<typename Pair::first_type>;

namespace detail {

// Value is a pair or a constant one.
template <class Pair, class Value>
class hash_iterator final {
 public:
  using value_type = Pair;
  using difference_type = std::ptrdiff_t;
  using reference = Value&;
  using pointer = Value*;
  using iterator_category = std::forward_iterator_tag;
  using node = hash_node<Pair>;
  using table = array<member<node>>;

  hash_iterator() noexcept = default;
  hash_iterator(table* in, node* at) noexcept : table_(in), node_(at) {}
  operator hash_iterator<Pair, const Pair>() const noexcept requires(!std::is_const_v<Value>) {
    return {table_, node_};
  }
  reference operator*() const noexcept { return node_->pair; }
  pointer operator->() const noexcept { return &node_->pair; }
  hash_iterator& operator++() noexcept {
    const std::size_t bucket = node_->hash & (table_->size() - 1);
    node_ = node_->next.get();
    if (node_ == nullptr) *this = first_from(table_, bucket + 1);
    return *this;
  }
  hash_iterator operator++(int) noexcept {
    const hash_iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const hash_iterator& a, const hash_iterator& b) noexcept { return a.node_ == b.node_; }

  static hash_iterator first_from(table* in, std::size_t bucket) noexcept {
    for (; in != nullptr && bucket < in->size(); ++bucket) {
      if ((*in)[bucket] != nullptr) return {in, (*in)[bucket].get()};
    }
    return {in, nullptr};
  }
  node* get() const noexcept { return node_; }

 private:
  table* table_ = nullptr;
  node* node_ = nullptr;
};

}  // namespace detail

template <class K, class V, class Hash = std::hash<K>, class Equal = typename detail::key_traits<K>::equal>
class unordered_map final : public detail::keyed<unordered_map<K, V, Hash, Equal>, K, V, Hash, Equal> {
  using base = detail::keyed<unordered_map, K, V, Hash, Equal>;

 public:
  using key_type = K;
  using mapped_type = V;
  using value_type = std::pair<const K, V>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using hasher = Hash;
  using key_equal = Equal;
  using iterator = detail::hash_iterator<value_type, value_type>;
  using const_iterator = detail::hash_iterator<value_type, const value_type>;

  unordered_map() noexcept = default;
  template <std::input_iterator Iterator>
  unordered_map(Iterator first, Iterator last) {
    insert(first, last);
  }
  unordered_map(std::initializer_list<value_type> elements) { insert(elements.begin(), elements.end()); }
  unordered_map(const unordered_map& other) : base() { insert(other.begin(), other.end()); }
  unordered_map(unordered_map&& other) noexcept { swap(other); }
  ~unordered_map() = default;
  unordered_map& operator=(const unordered_map& other) { return base::assign_copy(other); }
  unordered_map& operator=(unordered_map&& other) noexcept { return base::assign_moved(other); }

  iterator begin() noexcept { return first(); }
  const_iterator begin() const noexcept { return first(); }
  iterator end() noexcept { return {table_.get(), nullptr}; }
  const_iterator end() const noexcept { return {table_.get(), nullptr}; }
  bool empty() const noexcept { return size_ == 0; }
  size_type size() const noexcept { return size_; }
  size_type bucket_count() const noexcept { return table_ == nullptr ? 0 : table_->size(); }

  iterator find(const K& key) { return {table_.get(), find_node(key)}; }
  const_iterator find(const K& key) const { return {table_.get(), find_node(key)}; }
  // By what stands for a key: no key is made of it.
  template <detail::stands_for_key<K, Hash, Equal> Key>
  iterator find(const Key& key) {
    return {table_.get(), find_node(key)};
  }
  template <detail::stands_for_key<K, Hash, Equal> Key>
  const_iterator find(const Key& key) const {
    return {table_.get(), find_node(key)};
  }
  using base::contains;
  template <detail::stands_for_key<K, Hash, Equal> Key>
  bool contains(const Key& key) const {
    return base::has(key);
  }
  using base::count;
  template <detail::stands_for_key<K, Hash, Equal> Key>
  size_type count(const Key& key) const {
    return contains(key) ? 1 : 0;
  }
  using base::insert;

  template <class Key, class... Arguments>
  requires detail::key_for<Key, K, Hash, Equal> std::pair<iterator, bool> try_emplace(Key&& key,
                                                                                      Arguments&&... arguments) {
    const std::size_t hash = mix(key);
    if (node* found = find_node(key, hash)) return {{table_.get(), found}, false};
    if constexpr (detail::is_known_by_address<K>) {
      // What the key leads to may be moved until the node has it.
      const local<node> made = base::template make<node>(std::size_t{0}, std::piecewise_construct,
                                                         std::forward_as_tuple(std::forward<Key>(key)),
                                                         std::forward_as_tuple(std::forward<Arguments>(arguments)...));
      made->hash = mix(made->pair.first);
      return {add(made), true};
    }
    return {add(base::template make<node>(hash, std::piecewise_construct, std::forward_as_tuple(std::forward<Key>(key)),
                                          std::forward_as_tuple(std::forward<Arguments>(arguments)...))),
            true};
  }
  template <class... Arguments>
  std::pair<iterator, bool> emplace(Arguments&&... arguments) {
    const local<node> made = base::template make<node>(std::size_t{0}, std::forward<Arguments>(arguments)...);
    made->hash = mix(made->pair.first);
    if (node* found = find_node(made->pair.first, made->hash)) return {{table_.get(), found}, false};
    return {add(made), true};
  }
  using base::erase;
  iterator erase(iterator at) noexcept { return erase(const_iterator(at)); }
  iterator erase(const_iterator at) noexcept {
    iterator next(table_.get(), at.get());
    ++next;
    remove(at);
    return next;
  }
  void clear() noexcept {
    table_ = nullptr;
    size_ = 0;
    lowest_ = 0;
  }
  // Buckets for so many elements.
  void reserve(size_type count) {
    if (count > bucket_count()) rehash(count);
  }
  void rehash(size_type count) { move_to(std::bit_ceil(std::max({count, size_, least_buckets}))); }

  void swap(unordered_map& other) noexcept {
    if (table_ != nullptr || other.table_ != nullptr) detail::require_same_heap(this, &other, what);
    using std::swap;
    swap(table_, other.table_);
    std::swap(size_, other.size_);
    std::swap(lowest_, other.lowest_);
  }
  friend void swap(unordered_map& a, unordered_map& b) noexcept { a.swap(b); }
  friend bool operator==(const unordered_map& a, const unordered_map& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const value_type& each) {
             const const_iterator found = b.find(each.first);
             return found != b.end() && found->second == each.second;
           });
  }

 private:
  TENURE_GC_MEMBERS(unordered_map, table_, size_, lowest_);
  friend base;
  static constexpr const char* what = "unordered_map";
  using node = detail::hash_node<value_type>;
  using table = array<member<node>>;
  static_assert(std::is_empty_v<Hash> && std::is_empty_v<Equal>,
                "tenure::gc: the hash and the comparison of an unordered_map have no state");
  static constexpr size_type least_buckets = 8;

  // Buckets are counted in powers of two, and the hash of a number is often the number.
  template <class Key>
  static std::size_t mix(const Key& key) {
    const std::uint64_t mixed = static_cast<std::uint64_t>(Hash()(key)) * 0x9E3779B97F4A7C15;
    return mixed ^ mixed >> 32;
  }
  template <class Key>
  node* find_node(const Key& key) const {
    return size_ == 0 ? nullptr : find_node(key, mix(key));
  }
  template <class Key>
  node* find_node(const Key& key, std::size_t hash) const {
    if (table_ == nullptr) return nullptr;
    node* at = (*table_)[hash & (table_->size() - 1)].get();
    while (at != nullptr && !(at->hash == hash && Equal()(at->pair.first, key))) at = at->next.get();
    return at;
  }
  // Buckets that were found to be empty are not looked at again.
  iterator first() const noexcept {
    const iterator found = iterator::first_from(table_.get(), __atomic_load_n(&lowest_, __ATOMIC_RELAXED));
    if (found.get() != nullptr) __atomic_store_n(&lowest_, bucket_of(*table_, *found.get()), __ATOMIC_RELAXED);
    return found;
  }
  iterator add(const local<node>& added) {
    if (size_ >= bucket_count()) rehash(2 * size_);
    link(*table_, *added);
    lowest_ = std::min(lowest_, bucket_of(*table_, *added));
    ++size_;
    return {table_.get(), added.get()};
  }
  static size_type bucket_of(const table& in, const node& of) noexcept { return of.hash & (in.size() - 1); }
  static void link(table& into, node& added) noexcept {
    member<node>& bucket = into[bucket_of(into, added)];
    added.next = bucket;
    bucket = &added;
  }
  void remove(const_iterator which) noexcept {
    node& removed = *which.get();
    const local<node> held(&removed);
    member<node>* at = &(*table_)[bucket_of(*table_, removed)];
    while (*at != &removed) at = &(*at)->next;
    *at = removed.next;
    --size_;
  }
  void move_to(size_type buckets) {
    const local<table> made = detail::make_array_in<member<node>>(detail::heap_of_owner(this, what).heap, buckets);
    if (table_ != nullptr) {
      for (member<node>& bucket : *table_) {
        while (bucket != nullptr) {
          const local<node> moved = bucket;
          bucket = moved->next;
          link(*made, *moved);
        }
      }
    }
    table_ = made;
    lowest_ = 0;
  }
  member<table> table_;
  size_type size_ = 0;
  mutable size_type lowest_ = 0;  // no bucket below it is in use; several threads may look for the first
};

template <class K, class V, class Hash, class Equal>
struct detail::elements_of<unordered_map<K, V, Hash, Equal>> {
  using types = type_list<K, V>;
};

}  // namespace tenure::gc

// By its address, which does not change.
template <class T>
struct std::hash<tenure::gc::member<T>> {
  std::size_t operator()(const tenure::gc::member<T>& pointer) const noexcept { return std::hash<T*>()(pointer.get()); }
};
