// tenure::soa<Fields...>: a vector of rows whose fields lie in columns, all of them in one block.
//
//   block    [ x x x x .. | y y y y .. | mass mass .. ]   each column begins at a multiple of 64
//
//     enum particle { x, y, mass };
//     tenure::soa<float, float, double> particles(&memory);
//     particles.push_back(1.f, 2.f, 0.5);
//     for (float& each : particles.field<x>()) each += 1;          // a span over one column, nothing else is touched
//     for (auto [px, py, m] : particles) m *= 2;                   // row by row; px, py, m refer to the fields
//     auto [px, py, m] = particles[0];
//
// A loop over one field of many reads that field alone, and can be vectorized. What std::vector promises holds: rows
// lie in order, push_back is amortized O(1) and changes nothing where it throws, growing moves rows and so ends spans,
// iterators and references. Fields that take an allocator are given the resource.
//
// When: many rows of which loops use a few fields at a time. When not: rows that are used as a whole, in random order
// (a row of n fields is n cache lines); a handful of rows.
//
// Not thread-safe, as std::vector. Fields must be movable without exceptions. Errors: std::bad_alloc;
// std::length_error; std::out_of_range from at(); what constructors of fields throw. Cost: docs/library/soa.md.
// Iterators have all operations of random access, but what they refer to is a tuple of references, so algorithms that
// move values (std::sort) take them no more than those of other such containers: swap_rows() is for that.
// Source: structures of arrays, as Zig's MultiArrayList and entity component systems have them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tenure {

template <class... Fields>
class soa {
  static_assert(sizeof...(Fields) > 0);
  static_assert((std::is_object_v<Fields> && ...) && (!std::is_const_v<Fields> && ...));
  static_assert((std::is_nothrow_move_constructible_v<Fields> && ...), "growing moves rows and must not throw");
  static_assert((std::is_nothrow_destructible_v<Fields> && ...));
  using indices = std::index_sequence_for<Fields...>;
  template <std::size_t Index>
  using field_type = std::tuple_element_t<Index, std::tuple<Fields...>>;

  template <bool IsConst>
  class row_iterator;

 public:
  static constexpr std::size_t column_alignment = std::max({std::size_t{64}, alignof(Fields)...});
  using value_type = std::tuple<Fields...>;
  using reference = std::tuple<Fields&...>;
  using const_reference = std::tuple<const Fields&...>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using iterator = row_iterator<false>;
  using const_iterator = row_iterator<true>;

  explicit soa(std::pmr::memory_resource* resource = std::pmr::get_default_resource()) noexcept : home_(resource) {}
  // A copy takes its memory from the default resource, as those of std::pmr containers do, or from the one given.
  soa(const soa& other, std::pmr::memory_resource* resource = std::pmr::get_default_resource()) : home_(resource) {
    append(other);
  }
  soa(soa&& other) noexcept
      : home_(other.home_),
        columns_(std::exchange(other.columns_, {})),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  soa& operator=(const soa& other) {
    if (this == &other) return *this;
    soa copy(other, home_);
    swap_memory(copy);
    return *this;
  }
  // Rows are moved one by one where the resources differ.
  soa& operator=(soa&& other) {
    if (this == &other) return *this;
    if (*home_ == *other.home_) {
      soa taken(std::move(other));
      swap_memory(taken);
      return *this;
    }
    soa moved(home_);
    moved.reserve(other.size());
    for (std::size_t row = 0; row < other.size(); ++row) moved.push_row(other, row, indices());
    swap_memory(moved);
    return *this;
  }
  ~soa() {
    clear();
    release(columns_, capacity_);
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }
  static constexpr std::size_t max_size() noexcept {
    return std::numeric_limits<std::ptrdiff_t>::max() / ((sizeof(Fields) + ...) + sizeof...(Fields) * column_alignment);
  }
  std::pmr::memory_resource* resource() const noexcept { return home_; }

  // One column.
  template <std::size_t Index>
  std::span<field_type<Index>> field() noexcept {
    return {std::get<Index>(columns_), size_};
  }
  template <std::size_t Index>
  std::span<const field_type<Index>> field() const noexcept {
    return {std::get<Index>(columns_), size_};
  }

  // One row, as references to its fields.
  reference operator[](std::size_t row) noexcept { return row_at<reference>(row, indices()); }
  const_reference operator[](std::size_t row) const noexcept { return row_at<const_reference>(row, indices()); }
  reference at(std::size_t row) {
    check_row(row);
    return (*this)[row];
  }
  const_reference at(std::size_t row) const {
    check_row(row);
    return (*this)[row];
  }
  reference front() noexcept { return (*this)[0]; }
  reference back() noexcept { return (*this)[size_ - 1]; }
  iterator begin() noexcept { return {this, 0}; }
  iterator end() noexcept { return {this, static_cast<std::ptrdiff_t>(size_)}; }
  const_iterator begin() const noexcept { return {this, 0}; }
  const_iterator end() const noexcept { return {this, static_cast<std::ptrdiff_t>(size_)}; }

  void reserve(std::size_t rows) {
    if (rows > capacity_) move_to(rows, [](columns&) {});
  }
  // A row of one value for each field, from which that is constructed; they may refer to the rows that are there.
  template <class... Values>
  requires(sizeof...(Values) == sizeof...(Fields) &&
           (std::is_constructible_v<Fields, Values&&> && ...)) void push_back(Values&&... values) {
    const auto construct = [&](columns& to) {
      construct_row(to, size_, std::forward_as_tuple(std::forward<Values>(values)...));
    };
    if (size_ == capacity_) {
      move_to(grown(), construct);
    } else {
      construct(columns_);
    }
    ++size_;
  }
  void pop_back() noexcept {
    --size_;
    for_each_column([&](auto* column) { std::destroy_at(column + size_); });
  }
  // The last row takes the place of the one that goes: O(1), and the order changes.
  void erase_unordered(std::size_t row) {
    if (row + 1 != size_) {
      for_each_column([&](auto* column) { column[row] = std::move(column[size_ - 1]); });
    }
    pop_back();
  }
  void swap_rows(std::size_t a, std::size_t b) {
    using std::swap;
    for_each_column([&](auto* column) { swap(column[a], column[b]); });
  }
  // New rows have fields as their default constructors make them. Where one throws, there are no new rows.
  void resize(std::size_t rows) requires(std::is_default_constructible_v<Fields>&&...) {
    while (size_ > rows) pop_back();
    if (rows > capacity_) reserve(std::max(rows, grown()));
    const std::size_t before = size_;
    try {
      for (; size_ < rows; ++size_) construct_row(columns_, size_, std::array<by_default, sizeof...(Fields)>());
    } catch (...) {
      while (size_ > before) pop_back();
      throw;
    }
  }
  void clear() noexcept {
    for_each_column([&](auto* column) { std::destroy_n(column, size_); });
    size_ = 0;
  }
  // Gives back memory that no row is in.
  void shrink_to_fit() {
    if (size_ != capacity_) move_to(size_, [](columns&) {});
  }

 private:
  using columns = std::tuple<Fields*...>;

  template <bool IsConst>
  class row_iterator {
    using home_type = std::conditional_t<IsConst, const soa, soa>;

   public:
    using iterator_category = std::input_iterator_tag;  // what it refers to is made when asked for
    using value_type = soa::value_type;
    using difference_type = std::ptrdiff_t;
    using reference = std::conditional_t<IsConst, soa::const_reference, soa::reference>;
    using pointer = void;

    row_iterator() = default;
    row_iterator(home_type* home, std::ptrdiff_t row) noexcept : home_(home), row_(row) {}
    reference operator*() const noexcept { return (*home_)[static_cast<std::size_t>(row_)]; }
    reference operator[](difference_type by) const noexcept { return *(*this + by); }
    row_iterator& operator++() noexcept { return ++row_, *this; }
    row_iterator& operator--() noexcept { return --row_, *this; }
    row_iterator operator++(int) noexcept { return {home_, row_++}; }
    row_iterator operator--(int) noexcept { return {home_, row_--}; }
    row_iterator& operator+=(difference_type by) noexcept { return row_ += by, *this; }
    row_iterator& operator-=(difference_type by) noexcept { return row_ -= by, *this; }
    friend row_iterator operator+(row_iterator from, difference_type by) noexcept { return from += by; }
    friend row_iterator operator+(difference_type by, row_iterator from) noexcept { return from += by; }
    friend row_iterator operator-(row_iterator from, difference_type by) noexcept { return from -= by; }
    friend difference_type operator-(const row_iterator& a, const row_iterator& b) noexcept { return a.row_ - b.row_; }
    bool operator==(const row_iterator& other) const noexcept { return row_ == other.row_; }
    auto operator<=>(const row_iterator& other) const noexcept { return row_ <=> other.row_; }

   private:
    home_type* home_ = nullptr;
    std::ptrdiff_t row_ = 0;
  };

  template <class Row, std::size_t... I>
  Row row_at(std::size_t row, std::index_sequence<I...>) const noexcept {
    return Row(std::get<I>(columns_)[row]...);
  }
  void check_row(std::size_t row) const {
    if (row >= size_) throw std::out_of_range("tenure::soa::at: there is no such row");
  }
  template <class Function>
  void for_each_column(Function function) {
    std::apply([&](auto*... column) { (function(column), ...); }, columns_);
  }
  std::size_t grown() const noexcept { return std::max<std::size_t>(16, capacity_ * 2); }

  // Where the columns of so many rows begin; the last number is the size of the block.
  static constexpr auto offsets_of(std::size_t rows) noexcept {
    std::array<std::size_t, sizeof...(Fields) + 1> result{};
    const std::size_t sizes[] = {sizeof(Fields)...};
    for (std::size_t i = 0; i < sizeof...(Fields); ++i) {
      result[i + 1] = (result[i] + rows * sizes[i] + column_alignment - 1) / column_alignment * column_alignment;
    }
    return result;
  }
  template <std::size_t... I>
  columns take(std::size_t rows, std::index_sequence<I...>) {
    if (rows > max_size()) throw std::length_error("tenure::soa: more rows than there can be");
    if (rows == 0) return {};
    const auto offsets = offsets_of(rows);
    auto* const block = static_cast<std::byte*>(home_->allocate(offsets.back(), column_alignment));
    return columns(reinterpret_cast<Fields*>(block + offsets[I])...);
  }
  void release(columns& of, std::size_t rows) noexcept {
    if (rows != 0) home_->deallocate(std::get<0>(of), offsets_of(rows).back(), column_alignment);
  }

  struct by_default {};
  template <class Field, class Value>
  void construct(Field* at, Value&& value) {
    const std::pmr::polymorphic_allocator<Field> with(home_);
    if constexpr (std::is_same_v<std::remove_cvref_t<Value>, by_default>) {
      std::uninitialized_construct_using_allocator(at, with);
    } else {
      std::uninitialized_construct_using_allocator(at, with, std::forward<Value>(value));
    }
  }
  // All fields of a row or none.
  template <std::size_t Index = 0, class Row>
  void construct_row(columns& to, std::size_t row, Row&& values) {
    if constexpr (Index < sizeof...(Fields)) {
      auto* const at = std::get<Index>(to) + row;
      construct(at, std::forward<std::tuple_element_t<Index, std::remove_cvref_t<Row>>>(std::get<Index>(values)));
      try {
        construct_row<Index + 1>(to, row, std::forward<Row>(values));
      } catch (...) {
        std::destroy_at(at);
        throw;
      }
    }
  }
  template <std::size_t... I>
  void push_row(soa& from, std::size_t row, std::index_sequence<I...>) {
    push_back(std::move(std::get<I>(from.columns_)[row])...);
  }

  // Into a block for so many rows; what `also` puts into it comes first, so that it may use the old rows.
  template <class Also>
  void move_to(std::size_t rows, Also also) {
    columns fresh = take(rows, indices());
    try {
      also(fresh);
    } catch (...) {
      release(fresh, rows);
      throw;
    }
    move_columns(fresh, indices());
    release(columns_, capacity_);
    columns_ = fresh;
    capacity_ = rows;
  }
  template <std::size_t... I>
  void move_columns(columns& to, std::index_sequence<I...>) noexcept {
    (std::uninitialized_move_n(std::get<I>(columns_), size_, std::get<I>(to)), ...);
    for_each_column([&](auto* column) { std::destroy_n(column, size_); });
  }
  void append(const soa& other) {
    reserve(other.size());
    try {
      for (std::size_t row = 0; row < other.size(); ++row) {
        std::apply([&](const auto&... each) { push_back(each...); }, other[row]);
      }
    } catch (...) {
      clear();
      release(columns_, capacity_);
      throw;
    }
  }
  void swap_memory(soa& other) noexcept {
    std::swap(columns_, other.columns_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  std::pmr::memory_resource* home_;
  columns columns_{};
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace tenure
