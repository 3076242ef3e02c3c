// vector<T>: std::vector for managed objects: of member<U>, of classes that have members, of anything.
//
//     struct node { tenure::gc::vector<tenure::gc::member<node>> children; };
//     n->children.push_back(tenure::gc::make<node>());
//     for (const tenure::gc::member<node>& child : n->children) visit(*child);
//
// A vector is one managed pointer, to a managed array with room to grow. It lies in a managed object, or is one
// (make<vector<T>>()), and its array is of that object's heap; on the stack, in a global or in a standard container it
// would keep nothing alive, and its first element ends the program with a message.
//
// As std::vector, but: an array that was left behind by growth or by the vector's end is the collector's, and so are
// elements that were in a vector when it became unreachable, which are destroyed on the thread for destructors;
// pop_back, erase and clear destroy at once. A vector is trivially destroyed itself. It moves within its heap only;
// across heaps it is copied. Iterators, pointers and references are good until the vector grows, and keep nothing
// alive: what they lead to is alive while the vector is. Algorithms may be used on a vector of member<U>, whose
// iterators have the value type local<U>. Those that keep elements aside (std::sort, std::rotate and their like) may
// not be used on one of classes with members, which would be on the stack meanwhile.
//
// Thread-safety: as std::vector; the collector needs no leave. Throws what std::vector does, with its guarantees:
// push_back, emplace_back and resize leave the elements that there were when they throw, unless T can neither be copied
// nor moved without throwing.
// Cost: as std::vector, and the barrier of a member for each that is stored.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/random_iterator.hpp>
#include <tenure/gc/detail/store.hpp>
#include <tenure/gc/members.hpp>

namespace tenure::gc {

template <class T>
class vector final {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = detail::row_iterator<T>;
  using const_iterator = detail::row_iterator<const T>;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  vector() noexcept = default;
  explicit vector(size_type count) { resize(count); }
  vector(size_type count, const T& value) { assign(count, value); }
  template <std::input_iterator Iterator>
  vector(Iterator first, Iterator last) {
    assign(first, last);
  }
  vector(std::initializer_list<T> elements) { assign(elements.begin(), elements.end()); }
  vector(const vector& other) { assign(other.begin(), other.end()); }
  vector(vector&& other) noexcept { swap(other); }
  ~vector() = default;
  vector& operator=(const vector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  vector& operator=(vector&& other) noexcept {
    if (this != &other) {
      clear();
      swap(other);
    }
    return *this;
  }
  vector& operator=(std::initializer_list<T> elements) {
    assign(elements.begin(), elements.end());
    return *this;
  }

  void assign(size_type count, const T& value) {
    replace_all(count, [&](detail::store<T>& into) { into.construct_back(value); });
  }
  template <std::input_iterator Iterator>
  void assign(Iterator first, Iterator last) {
    if constexpr (std::forward_iterator<Iterator>) {
      replace_all(static_cast<size_type>(std::distance(first, last)),
                  [&](detail::store<T>& into) { into.construct_back(*first++); });
    } else {
      clear();
      for (; first != last; ++first) emplace_back(*first);
    }
  }
  void assign(std::initializer_list<T> elements) { assign(elements.begin(), elements.end()); }

  reference at(size_type index) {
    if (index >= size()) throw std::out_of_range("tenure::gc::vector::at");
    return data()[index];
  }
  const_reference at(size_type index) const { return const_cast<vector*>(this)->at(index); }
  reference operator[](size_type index) noexcept { return data()[index]; }
  const_reference operator[](size_type index) const noexcept { return data()[index]; }
  reference front() noexcept { return *begin(); }
  const_reference front() const noexcept { return *begin(); }
  reference back() noexcept { return end()[-1]; }
  const_reference back() const noexcept { return end()[-1]; }
  T* data() noexcept { return store_ == nullptr ? nullptr : store_->data(); }
  const T* data() const noexcept { return const_cast<vector*>(this)->data(); }

  iterator begin() noexcept { return iterator(data()); }
  const_iterator begin() const noexcept { return const_iterator(data()); }
  const_iterator cbegin() const noexcept { return begin(); }
  iterator end() noexcept { return iterator(data() + size()); }
  const_iterator end() const noexcept { return const_iterator(data() + size()); }
  const_iterator cend() const noexcept { return end(); }
  reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
  reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

  bool empty() const noexcept { return size() == 0; }
  size_type size() const noexcept { return store_ == nullptr ? 0 : store_->size(); }
  size_type capacity() const noexcept { return store_ == nullptr ? 0 : store_->capacity(); }
  static constexpr size_type max_size() noexcept { return (std::size_t{1} << 46) / sizeof(T); }
  void reserve(size_type count) {
    if (count > capacity()) move_to(count);
  }
  void shrink_to_fit() {
    if (empty()) {
      store_ = nullptr;
    } else if (size() < capacity()) {
      move_to(size());
    }
  }

  void clear() noexcept {
    if (store_ != nullptr) store_->destroy_all();
  }
  template <class... Arguments>
  reference emplace_back(Arguments&&... arguments) {
    if (size() != capacity()) [[likely]]
      return store_->construct_back(std::forward<Arguments>(arguments)...);
    const local<detail::store<T>> made = make_room(size() + 1);
    T& added = detail::grow_and_construct(store_.get(), *made, size(), std::forward<Arguments>(arguments)...);
    store_ = made;
    return added;
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  void pop_back() noexcept { store_->destroy_back(); }
  void resize(size_type count) {
    while (size() > count) pop_back();
    reserve(count);
    detail::add_all_or_none(*this, [&] {
      while (size() < count) store_->construct_back();
    });
  }
  void resize(size_type count, const T& value) {
    if (count > size()) {
      insert(end(), count - size(), value);
    } else {
      while (size() > count) pop_back();
    }
  }

  // In the middle: what is added goes to the end and is turned to its place.
  template <class... Arguments>
  iterator emplace(const_iterator position, Arguments&&... arguments) {
    const difference_type at = position - cbegin();
    const local<detail::store<T>> spare = make_spare(at);
    emplace_back(std::forward<Arguments>(arguments)...);
    return turn(at, size() - 1, spare);
  }
  iterator insert(const_iterator position, const T& value) { return emplace(position, value); }
  iterator insert(const_iterator position, T&& value) { return emplace(position, std::move(value)); }
  iterator insert(const_iterator position, size_type count, const T& value) {
    const difference_type at = position - cbegin();
    const size_type before = size();
    if (count == 0) return begin() + at;
    const local<detail::store<T>> spare = make_spare(at);
    detail::add_all_or_none(*this, [&] {
      emplace_back(value);  // which may be one of the elements, that growth will move
      reserve(before + count);
      while (size() < before + count) store_->construct_back(std::as_const(data()[before]));
    });
    return turn(at, before, spare);
  }
  template <std::input_iterator Iterator>
  iterator insert(const_iterator position, Iterator first, Iterator last) {
    const difference_type at = position - cbegin();
    const size_type before = size();
    const local<detail::store<T>> spare = make_spare(at);
    detail::add_all_or_none(*this, [&] {
      for (; first != last; ++first) emplace_back(*first);
    });
    return turn(at, before, spare);
  }
  iterator insert(const_iterator position, std::initializer_list<T> elements) {
    return insert(position, elements.begin(), elements.end());
  }
  iterator erase(const_iterator position) { return erase(position, position + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const iterator from = begin() + (first - cbegin());
    const iterator to = begin() + (last - cbegin());
    if (from == to) return from;
    std::move(to, end(), from);
    for (size_type left = static_cast<size_type>(to - from); left != 0; --left) pop_back();
    return from;
  }

  void swap(vector& other) noexcept {
    if (store_ != nullptr || other.store_ != nullptr) detail::require_same_heap(this, &other, "vector");
    using std::swap;
    swap(store_, other.store_);
  }
  friend void swap(vector& a, vector& b) noexcept { a.swap(b); }

  friend bool operator==(const vector& a, const vector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend auto operator<=>(const vector& a, const vector& b) requires std::three_way_comparable<T> {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  TENURE_GC_MEMBERS(vector, store_);

  local<detail::store<T>> make_room(size_type count) const {
    return detail::make_store<T>(this, "vector", std::max(count, 2 * size()));
  }
  void move_to(size_type count) {
    const local<detail::store<T>> made = detail::make_store<T>(this, "vector", count);
    if (store_ != nullptr) detail::move_elements(*store_, *made);
    store_ = made;
  }
  // All elements are replaced by what `add` constructs, of which one may be a copy.
  template <class Add>
  void replace_all(size_type count, Add add) {
    if (count == 0) return clear();
    const local<detail::store<T>> made = detail::make_store<T>(this, "vector", count);
    try {
      while (made->size() < count) add(*made);
    } catch (...) {
      made->destroy_all();
      throw;
    }
    clear();
    store_ = made;
  }
  // What was added behind `before` elements goes to `at`.
  iterator turn(difference_type at, size_type before, const local<detail::store<T>>& spare) {
    if (static_cast<size_type>(at) != before) {
      detail::rotate_elements(data() + at, data() + before, data() + size(), spare.get());
    }
    return begin() + at;
  }
  local<detail::store<T>> make_spare(difference_type at) const {
    return static_cast<size_type>(at) == size() ? nullptr : detail::make_spare<T>(this, "vector");
  }

  detail::store_member_of<T> store_;
};

// As std::erase and std::erase_if.
template <class T, class Predicate>
std::size_t erase_if(vector<T>& of, Predicate predicate) {
  const auto first = std::remove_if(of.begin(), of.end(), predicate);
  const auto count = static_cast<std::size_t>(of.end() - first);
  of.erase(first, of.end());
  return count;
}
template <class T, class U>
std::size_t erase(vector<T>& of, const U& value) {
  return erase_if(of, [&](const T& each) { return each == value; });
}

template <class T>
struct detail::elements_of<vector<T>> {
  using types = type_list<T>;
};

}  // namespace tenure::gc
