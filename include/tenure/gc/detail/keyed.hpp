// keyed<Map, ...>: what map and unordered_map have alike, by way of what each does itself: find, try_emplace, swap and
// clear, and remove(iterator) and its name `what`, which they keep private.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <cstddef>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <tenure/gc/detail/keys.hpp>
#include <tenure/gc/detail/store.hpp>

namespace tenure::gc::detail {

// Functions: what keys are looked up by.
template <class Map, class K, class V, class... Functions>
class keyed {
 public:
  bool contains(const K& key) const { return has(key); }
  std::size_t count(const K& key) const { return has(key) ? 1 : 0; }
  V& at(const K& key) { return value_of(self(), key); }
  const V& at(const K& key) const { return value_of(self(), key); }
  V& operator[](const K& key) { return self().try_emplace(key).first->second; }
  V& operator[](K&& key) { return self().try_emplace(std::move(key)).first->second; }
  std::size_t erase(const K& key) { return erase_key(key); }
  // By what stands for a key, a text for a gc::string: no key is made of it, unless in the element that is added.
  template <stands_for_key<K, Functions...> Key>
  V& at(const Key& key) {
    return value_of(self(), key);
  }
  template <stands_for_key<K, Functions...> Key>
  const V& at(const Key& key) const {
    return value_of(self(), key);
  }
  template <stands_for_key<K, Functions...> Key>
  V& operator[](const Key& key) {
    return self().try_emplace(key).first->second;
  }
  template <stands_for_key<K, Functions...> Key>
  std::size_t erase(const Key& key) {
    return erase_key(key);
  }

  auto insert(const std::pair<const K, V>& pair) { return self().try_emplace(pair.first, pair.second); }
  auto insert(std::pair<const K, V>&& pair) { return self().try_emplace(pair.first, std::move(pair.second)); }
  template <std::input_iterator Iterator>
  void insert(Iterator first, Iterator last) {
    for (; first != last; ++first) insert(*first);
  }
  template <class Key, class Value>
  requires key_for<Key, K, Functions...>
  auto insert_or_assign(Key&& key, Value&& value) {
    const auto result = self().try_emplace(std::forward<Key>(key), std::forward<Value>(value));
    if (!result.second) result.first->second = std::forward<Value>(value);
    return result;
  }

 protected:
  template <class Key>
  bool has(const Key& key) const {
    return self().find(key) != self().end();
  }
  // A managed object in the heap that the map lies in.
  template <class T, class... Arguments>
  local<T> make(Arguments&&... arguments) const {
    const owner heap = heap_of_owner(this, Map::what);
    return make_in<T>(heap.heap, heap.number, std::forward<Arguments>(arguments)...);
  }
  Map& assign_copy(const Map& other) {
    if (&self() == &other) return self();
    if (other.empty()) {
      self().clear();
    } else {
      self().swap(*make<Map>(other));
    }
    return self();
  }
  Map& assign_moved(Map& other) noexcept {
    if (&self() == &other) return self();
    self().clear();
    self().swap(other);
    return self();
  }

 private:
  Map& self() noexcept { return static_cast<Map&>(*this); }
  const Map& self() const noexcept { return static_cast<const Map&>(*this); }
  template <class Self, class Key>
  static auto& value_of(Self& in, const Key& key) {
    const auto found = in.find(key);
    if (found == in.end()) throw std::out_of_range("tenure::gc: at(): there is no such key");
    return found->second;
  }
  template <class Key>
  std::size_t erase_key(const Key& key) {
    const auto found = self().find(key);
    if (found == self().end()) return 0;
    self().remove(found);
    return 1;
  }
};

}  // namespace tenure::gc::detail
