// string: std::string for managed objects.
//
//     struct word { tenure::gc::string text; tenure::gc::member<word> next; };
//     w->text = "once upon a time";
//     std::cout << std::string_view(w->text);
//
// A string is one managed pointer, to characters in an object that the collector never looks into; so an object that
// has one has no destructor to run for it, as it would for a std::string. Characters end with a zero that size() does
// not count.
//
// Where it may be, what moving does and when views are good is as with vector.hpp; a std::string_view of it keeps
// nothing alive. Copies are copies of the characters. What looks at characters (find, compare, starts_with) does so
// through std::string_view, to which a string converts.
//
// As the key of a map: texts of any kind are looked up as they are, and the string of a new element is made in it.
//
// Thread-safety: as std::string. Throws what std::string does; what throws has changed nothing.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include <tenure/gc/detail/keys.hpp>
#include <tenure/gc/detail/store.hpp>
#include <tenure/gc/members.hpp>

namespace tenure::gc {

class string;

namespace detail {
// std::string, std::string_view, const char*, "text"; not what stands for any type while an aggregate's fields are
// counted.
template <class T>
concept text_like = std::is_convertible_v<const T&, std::string_view> && !std::is_same_v<T, string> &&
                    !std::is_same_v<T, converts_to_anything>;
}  // namespace detail

class string final {
 public:
  using value_type = char;
  using size_type = std::size_t;
  using iterator = char*;
  using const_iterator = const char*;
  static constexpr size_type npos = std::string_view::npos;

  string() noexcept = default;
  template <detail::text_like Text>
  string(const Text& text) {
    append(text);
  }
  string(size_type count, char character) { resize(count, character); }
  string(const string& other) { append(other); }
  string(string&& other) noexcept { swap(other); }
  ~string() = default;
  string& operator=(const string& other) { return replace(0, size(), other); }
  string& operator=(string&& other) noexcept {
    if (this != &other) {
      store_ = nullptr;
      swap(other);
    }
    return *this;
  }
  template <detail::text_like Text>
  string& operator=(const Text& text) {
    return replace(0, size(), text);
  }

  operator std::string_view() const noexcept { return {data(), size()}; }
  explicit operator std::string() const { return std::string(data(), size()); }

  const char* data() const noexcept { return store_ == nullptr ? "" : store_->data(); }
  const char* c_str() const noexcept { return data(); }
  iterator begin() noexcept { return store_ == nullptr ? nullptr : store_->data(); }
  iterator end() noexcept { return begin() + size(); }
  const_iterator begin() const noexcept { return const_cast<string*>(this)->begin(); }
  const_iterator end() const noexcept { return begin() + size(); }
  char& operator[](size_type index) noexcept { return store_ == nullptr ? end_of_empty : begin()[index]; }
  char operator[](size_type index) const noexcept { return data()[index]; }
  char& at(size_type index) {
    if (index >= size()) throw std::out_of_range("tenure::gc::string::at");
    return begin()[index];
  }
  char at(size_type index) const { return const_cast<string*>(this)->at(index); }
  char& front() noexcept { return *begin(); }
  char front() const noexcept { return *begin(); }
  char& back() noexcept { return end()[-1]; }
  char back() const noexcept { return end()[-1]; }

  bool empty() const noexcept { return size() == 0; }
  size_type size() const noexcept { return store_ == nullptr ? 0 : store_->size(); }
  size_type length() const noexcept { return size(); }
  size_type capacity() const noexcept { return store_ == nullptr ? 0 : store_->capacity() - 1; }
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
  void clear() noexcept { set_size(0); }
  void resize(size_type count, char character = '\0') {
    reserve(count);
    if (count > size()) std::fill(end(), begin() + count, character);
    set_size(count);
  }

  void push_back(char character) { append(std::string_view(&character, 1)); }
  void pop_back() noexcept { set_size(size() - 1); }
  string& append(std::string_view text) { return replace(size(), 0, text); }
  string& append(size_type count, char character) {
    resize(size() + count, character);
    return *this;
  }
  string& operator+=(std::string_view text) { return append(text); }
  string& operator+=(char character) {
    push_back(character);
    return *this;
  }
  string& insert(size_type at, std::string_view text) { return replace(at, 0, text); }
  string& erase(size_type at = 0, size_type count = npos) { return replace(at, count, {}); }
  // `text` may be a part of this string.
  string& replace(size_type at, size_type count, std::string_view text) {
    const size_type before = size();
    if (at > before) throw std::out_of_range("tenure::gc::string::replace");
    count = std::min(count, before - at);
    if (text.size() > static_cast<size_type>(PTRDIFF_MAX) - before) throw std::length_error("tenure::gc::string");
    const size_type after = before - count + text.size();
    if (after == before && text.empty()) return *this;
    if (after > capacity() || is_inside(text)) {
      const local<detail::store<char>> made = make_room(after);
      char* to = made->data();
      std::copy_n(data(), at, to);
      std::copy_n(text.data(), text.size(), to + at);
      std::copy_n(data() + at + count, before - at - count, to + at + text.size());
      store_ = made;
    } else {
      char* from = begin();
      std::char_traits<char>::move(from + at + text.size(), from + at + count, before - at - count);
      std::copy_n(text.data(), text.size(), from + at);
    }
    set_size(after);
    return *this;
  }
  std::string substr(size_type at = 0, size_type count = npos) const {
    return std::string(std::string_view(*this).substr(at, count));
  }

  size_type find(std::string_view text, size_type from = 0) const noexcept { return view().find(text, from); }
  size_type find(char character, size_type from = 0) const noexcept { return view().find(character, from); }
  size_type rfind(std::string_view text, size_type from = npos) const noexcept { return view().rfind(text, from); }
  bool starts_with(std::string_view text) const noexcept { return view().starts_with(text); }
  bool ends_with(std::string_view text) const noexcept { return view().ends_with(text); }
  int compare(std::string_view text) const noexcept { return view().compare(text); }

  void swap(string& other) noexcept {
    if (store_ != nullptr || other.store_ != nullptr) detail::require_same_heap(this, &other, "string");
    using std::swap;
    swap(store_, other.store_);
  }
  friend void swap(string& a, string& b) noexcept { a.swap(b); }

  friend bool operator==(const string& a, const string& b) noexcept { return a.view() == b.view(); }
  template <detail::text_like Text>
  friend bool operator==(const string& a, const Text& b) noexcept {
    return a.view() == std::string_view(b);
  }
  friend std::strong_ordering operator<=>(const string& a, const string& b) noexcept { return a.view() <=> b.view(); }
  template <detail::text_like Text>
  friend std::strong_ordering operator<=>(const string& a, const Text& b) noexcept {
    return a.view() <=> std::string_view(b);
  }
  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& to, const string& text) {
    return to << text.view();
  }

 private:
  TENURE_GC_MEMBERS(string, store_);

  std::string_view view() const noexcept { return *this; }
  bool is_inside(std::string_view text) const noexcept {
    const std::less_equal<const char*> not_after;
    return store_ != nullptr && not_after(store_->data(), text.data()) &&
           not_after(text.data(), store_->data() + store_->capacity());
  }
  local<detail::store<char>> make_room(size_type count) const {
    return detail::make_store<char>(this, "string", std::max(count, 2 * size()) + 1);
  }
  void move_to(size_type count) {
    const local<detail::store<char>> made = detail::make_store<char>(this, "string", count + 1);
    std::copy_n(data(), size(), made->data());
    const size_type before = size();
    store_ = made;
    set_size(before);
  }
  void set_size(size_type size) noexcept {
    if (store_ == nullptr) return;
    store_->data()[size] = '\0';
    store_->set_size(size);
  }

  // The zero behind the characters of a string that has no store; a program may only write a zero over it.
  static inline constinit thread_local char end_of_empty = '\0';

  detail::store_member_of<char> store_;
};

namespace detail {
template <>
struct key_traits<string> {
  using compare = std::less<>;
  using equal = std::equal_to<>;
  template <class Key>
  static constexpr bool takes = text_like<Key>;
};
}  // namespace detail

template <>
inline constexpr bool detail::is_text<string> = true;

}  // namespace tenure::gc

// As of the std::string_view.
template <>
struct std::hash<tenure::gc::string> {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
};
