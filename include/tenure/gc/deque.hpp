// deque<T>: std::deque for managed objects: elements come and go at both ends.
//
//     struct queue { tenure::gc::deque<tenure::gc::member<task>> waiting; };
//     q->waiting.push_back(next);
//     tenure::gc::local<task> first = q->waiting.front();
//     q->waiting.pop_front();
//
// A deque is one managed pointer, to a managed array that is used as a ring. Where it may be, what moving does, who
// destroys what and what algorithms may do with it is as with vector.hpp. Unlike std::deque it keeps its elements in
// one ring, so references are good until it grows and not for longer.
//
// Thread-safety: as std::deque. Cost: at both ends that of vector::push_back; an access takes a comparison more.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/random_iterator.hpp>
#include <tenure/gc/detail/store.hpp>
#include <tenure/gc/members.hpp>

namespace tenure::gc {

namespace detail {

template <class T>
class ring_iterator final : public random_iterator<ring_iterator<T>, T> {
 public:
  using ring = store<std::remove_const_t<T>>;
  ring_iterator() noexcept = default;
  ring_iterator(ring* of, std::size_t index) noexcept : ring_(of), index_(index) {}
  // From the iterator to the one over constants.
  operator ring_iterator<const T>() const noexcept requires(!std::is_const_v<T>) { return {ring_, index_}; }
  T& operator*() const noexcept { return *ring_->at(index_); }

  // For the base.
  void go(std::ptrdiff_t n) noexcept { index_ += static_cast<std::size_t>(n); }
  std::ptrdiff_t minus(const ring_iterator& other) const noexcept {
    return static_cast<std::ptrdiff_t>(index_ - other.index_);
  }

 private:
  ring* ring_ = nullptr;
  std::size_t index_ = 0;
};

}  // namespace detail

template <class T>
class deque final {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using iterator = detail::ring_iterator<T>;
  using const_iterator = detail::ring_iterator<const T>;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  deque() noexcept = default;
  template <std::input_iterator Iterator>
  deque(Iterator first, Iterator last) {
    assign(first, last);
  }
  deque(std::initializer_list<T> elements) { assign(elements.begin(), elements.end()); }
  deque(const deque& other) { assign(other.begin(), other.end()); }
  deque(deque&& other) noexcept { swap(other); }
  ~deque() = default;
  deque& operator=(const deque& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  deque& operator=(deque&& other) noexcept {
    if (this != &other) {
      clear();
      swap(other);
    }
    return *this;
  }
  // Not of its own elements.
  template <std::input_iterator Iterator>
  void assign(Iterator first, Iterator last) {
    clear();
    for (; first != last; ++first) emplace_back(*first);
  }

  reference at(size_type index) {
    if (index >= size()) throw std::out_of_range("tenure::gc::deque::at");
    return *store_->at(index);
  }
  const_reference at(size_type index) const { return const_cast<deque*>(this)->at(index); }
  reference operator[](size_type index) noexcept { return *store_->at(index); }
  const_reference operator[](size_type index) const noexcept { return *store_->at(index); }
  reference front() noexcept { return *store_->at(0); }
  const_reference front() const noexcept { return *store_->at(0); }
  reference back() noexcept { return *store_->at(size() - 1); }
  const_reference back() const noexcept { return *store_->at(size() - 1); }

  iterator begin() noexcept { return {store_.get(), 0}; }
  const_iterator begin() const noexcept { return {store_.get(), 0}; }
  const_iterator cbegin() const noexcept { return begin(); }
  iterator end() noexcept { return {store_.get(), size()}; }
  const_iterator end() const noexcept { return {store_.get(), size()}; }
  const_iterator cend() const noexcept { return end(); }
  reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
  reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

  bool empty() const noexcept { return size() == 0; }
  size_type size() const noexcept { return store_ == nullptr ? 0 : store_->size(); }
  void clear() noexcept {
    if (store_ != nullptr) store_->destroy_all();
  }
  void shrink_to_fit() {
    if (empty()) {
      store_ = nullptr;
    } else if (size() < store_->capacity()) {
      const local<detail::store<T>> made = detail::make_store<T>(this, "deque", size());
      detail::move_elements(*store_, *made);
      store_ = made;
    }
  }

  template <class... Arguments>
  reference emplace_back(Arguments&&... arguments) {
    if (has_room()) [[likely]]
      return store_->construct_back(std::forward<Arguments>(arguments)...);
    const local<detail::store<T>> made = make_room();
    T& added = detail::grow_and_construct(store_.get(), *made, size(), std::forward<Arguments>(arguments)...);
    store_ = made;
    return added;
  }
  template <class... Arguments>
  reference emplace_front(Arguments&&... arguments) {
    if (!has_room()) {
      const local<detail::store<T>> made = make_room();
      const size_type last = made->capacity() - 1;
      T& added = detail::grow_and_construct(store_.get(), *made, last, std::forward<Arguments>(arguments)...);
      made->set_first(last);
      store_ = made;
      return added;
    }
    const size_type before = (store_->first() == 0 ? store_->capacity() : store_->first()) - 1;
    T* made = detail::construct_element(store_->data() + before, std::forward<Arguments>(arguments)...);
    store_->set_first(before);
    store_->set_size(size() + 1);
    return *made;
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  void push_front(const T& value) { emplace_front(value); }
  void push_front(T&& value) { emplace_front(std::move(value)); }
  void pop_back() noexcept { store_->destroy_back(); }
  void pop_front() noexcept {
    detail::destroy_element(*store_->at(0));
    store_->set_first(store_->first() + 1 == store_->capacity() ? 0 : store_->first() + 1);
    store_->set_size(size() - 1);
  }
  void resize(size_type count) {
    while (size() > count) pop_back();
    detail::add_all_or_none(*this, [&] {
      while (size() < count) emplace_back();
    });
  }

  // In the middle: from the nearer end, element by element.
  template <class... Arguments>
  iterator emplace(const_iterator position, Arguments&&... arguments) {
    const auto at = static_cast<size_type>(position - cbegin());
    const local<detail::store<T>> spare = detail::make_spare<T>(this, "deque");
    if (at < size() / 2) {
      emplace_front(std::forward<Arguments>(arguments)...);
      for (size_type i = 0; i < at; ++i) detail::swap_elements(*store_->at(i), *store_->at(i + 1), spare.get());
    } else {
      emplace_back(std::forward<Arguments>(arguments)...);
      for (size_type i = size() - 1; i > at; --i)
        detail::swap_elements(*store_->at(i), *store_->at(i - 1), spare.get());
    }
    return begin() + static_cast<difference_type>(at);
  }
  iterator insert(const_iterator position, const T& value) { return emplace(position, value); }
  iterator insert(const_iterator position, T&& value) { return emplace(position, std::move(value)); }
  iterator erase(const_iterator position) { return erase(position, position + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const iterator from = begin() + (first - cbegin());
    const iterator to = begin() + (last - cbegin());
    if (from == to) return from;
    const difference_type at = from - begin();
    if (at < end() - to) {
      std::move_backward(begin(), from, to);
      for (difference_type left = to - from; left != 0; --left) pop_front();
    } else {
      std::move(to, end(), from);
      for (difference_type left = to - from; left != 0; --left) pop_back();
    }
    return begin() + at;
  }

  void swap(deque& other) noexcept {
    if (store_ != nullptr || other.store_ != nullptr) detail::require_same_heap(this, &other, "deque");
    using std::swap;
    swap(store_, other.store_);
  }
  friend void swap(deque& a, deque& b) noexcept { a.swap(b); }

  friend bool operator==(const deque& a, const deque& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
  friend auto operator<=>(const deque& a, const deque& b) requires std::three_way_comparable<T> {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  TENURE_GC_MEMBERS(deque, store_);
  static constexpr size_type least_capacity = 4;

  bool has_room() const noexcept { return store_ != nullptr && store_->size() != store_->capacity(); }
  local<detail::store<T>> make_room() const {
    return detail::make_store<T>(this, "deque", std::max(least_capacity, 2 * size()));
  }

  detail::store_member_of<T> store_;
};

template <class T>
struct detail::elements_of<deque<T>> {
  using types = type_list<T>;
};

}  // namespace tenure::gc
