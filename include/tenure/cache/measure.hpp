// What a value owns on the heap, measured and not estimated: owned_bytes(value), for types that are measurable.
//
// A value owns the blocks that go when it goes. Of the types below it is known which those are, and the heap is asked
// how large each really is:
//
//   trivially copyable types       nothing (what a pointer points to belongs to somebody else); nor do types without
//                                  members
//   std::string, vector, unique_ptr and arrays of them, pair, tuple, array, optional, variant: their blocks, and
//                                  what the elements own
//   types that take a std::pmr::polymorphic_allocator: nothing here; the cache hands them its own memory, which counts.
//                                  What elements with another allocator own is added.
//   aggregates of up to eight members without base classes: what the members own
//
// Everything else is not measurable: a cache of such values can be bounded in entries, and in bytes it does not
// compile. A std::shared_ptr is among them, since what it points to is not the cache's alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <tenure/cache/memory.hpp>

namespace tenure {

template <class T>
struct owned_memory;  // of a measurable type: static std::uint64_t of(const T&)

template <class T>
concept measurable = requires(const T& value) {
  { owned_memory<std::remove_cv_t<T>>::of(value) } -> std::same_as<std::uint64_t>;
};

template <measurable T>
std::uint64_t owned_bytes(const T& value) {
  return owned_memory<std::remove_cv_t<T>>::of(value);
}

namespace detail {

template <class T>
inline constexpr bool takes_our_memory = std::uses_allocator_v<T, std::pmr::polymorphic_allocator<>>;

template <class T, class... Kinds>
inline constexpr bool is_one_of = (std::is_same_v<T, Kinds> || ...);

template <class Range>
std::uint64_t owned_by_elements(const Range& range) {
  std::uint64_t sum = 0;
  if constexpr (!std::is_trivially_copyable_v<std::ranges::range_value_t<Range>>) {
    for (const auto& one : range) sum += owned_bytes(one);
  }
  return sum;
}

// Converts to whatever a member is: how many of them an aggregate takes is the number of its members. Never called, but
// with a body, which clang wants where T is a type of one file alone.
struct any_member {
  template <class T>
  operator T() const {  // NOLINT(google-explicit-constructor): that is what it is for
    __builtin_unreachable();
  }
};
template <class T, std::size_t... Numbers>
constexpr bool takes(std::index_sequence<Numbers...>) {
  return requires { T{(static_cast<void>(Numbers), any_member{})...}; };
}
template <class T, std::size_t Count = 9>
constexpr std::size_t member_count() {
  if constexpr (Count == 0 || takes<T>(std::make_index_sequence<Count>())) {
    return Count;
  } else {
    return member_count<T, Count - 1>();
  }
}

template <class T>
auto members_of(const T& value) {
  constexpr std::size_t count = member_count<T>();
  static_assert(count > 0 && count < 9);
  if constexpr (count == 1) {
    const auto& [a] = value;
    return std::tie(a);
  } else if constexpr (count == 2) {
    const auto& [a, b] = value;
    return std::tie(a, b);
  } else if constexpr (count == 3) {
    const auto& [a, b, c] = value;
    return std::tie(a, b, c);
  } else if constexpr (count == 4) {
    const auto& [a, b, c, d] = value;
    return std::tie(a, b, c, d);
  } else if constexpr (count == 5) {
    const auto& [a, b, c, d, e] = value;
    return std::tie(a, b, c, d, e);
  } else if constexpr (count == 6) {
    const auto& [a, b, c, d, e, f] = value;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (count == 7) {
    const auto& [a, b, c, d, e, f, g] = value;
    return std::tie(a, b, c, d, e, f, g);
  } else {
    const auto& [a, b, c, d, e, f, g, h] = value;
    return std::tie(a, b, c, d, e, f, g, h);
  }
}

template <class Members>
inline constexpr bool all_measurable = false;
template <class... Members>
inline constexpr bool all_measurable<std::tuple<const Members&...>> = (measurable<Members> && ...);

template <class T>
concept measurable_aggregate =
    std::is_aggregate_v<T> && !std::is_trivially_copyable_v<T> && !std::is_empty_v<T> && !takes_our_memory<T> &&
    !std::is_array_v<T> && (member_count<T>() > 0) && (member_count<T>() < 9) &&
    all_measurable<decltype(members_of(std::declval<const T&>()))>;

template <class Character, class Traits>
bool is_outside(const std::basic_string<Character, Traits>& text) {
  const auto* const at = reinterpret_cast<const std::byte*>(text.data());
  const auto* const object = reinterpret_cast<const std::byte*>(&text);
  return at < object || at >= object + sizeof text;
}

}  // namespace detail

template <class T>
requires(std::is_trivially_copyable_v<T> || std::is_empty_v<T>) struct owned_memory<T> {
  static std::uint64_t of(const T&) noexcept { return 0; }
};

template <class Character, class Traits>
struct owned_memory<std::basic_string<Character, Traits>> {
  static std::uint64_t of(const std::basic_string<Character, Traits>& text) noexcept {
    return detail::is_outside(text) ? detail::block_bytes(text.data()) : 0;
  }
};

template <measurable T>
requires(!std::is_same_v<T, bool>) struct owned_memory<std::vector<T>> {
  static std::uint64_t of(const std::vector<T>& values) {
    return detail::block_bytes(values.data()) + detail::owned_by_elements(values);
  }
};

// Where `T` is a base class, what the object owns beyond its block is not known; nor where its memory is from when it
// has an operator new of its own.
template <measurable T>
requires((!std::is_polymorphic_v<T> || std::is_final_v<T>)&&!requires(void* block) {
  T::operator delete(block);
}) struct owned_memory<std::unique_ptr<T>> {
  static std::uint64_t of(const std::unique_ptr<T>& pointer) {
    return pointer == nullptr ? 0 : detail::block_bytes(pointer.get()) + owned_bytes(*pointer);
  }
};
template <class T>
requires std::is_trivially_copyable_v<T>
struct owned_memory<std::unique_ptr<T[]>> {
  static std::uint64_t of(const std::unique_ptr<T[]>& pointer) noexcept { return detail::block_bytes(pointer.get()); }
};

template <measurable A, measurable B>
requires(!std::is_trivially_copyable_v<std::pair<A, B>>) struct owned_memory<std::pair<A, B>> {
  static std::uint64_t of(const std::pair<A, B>& two) { return owned_bytes(two.first) + owned_bytes(two.second); }
};
template <measurable... T>
requires(!std::is_trivially_copyable_v<std::tuple<T...>>) struct owned_memory<std::tuple<T...>> {
  static std::uint64_t of(const std::tuple<T...>& values) {
    return std::apply([](const auto&... one) { return (std::uint64_t{0} + ... + owned_bytes(one)); }, values);
  }
};
template <measurable T, std::size_t count>
requires(!std::is_trivially_copyable_v<T>) struct owned_memory<std::array<T, count>> {
  static std::uint64_t of(const std::array<T, count>& values) { return detail::owned_by_elements(values); }
};
template <measurable T>
requires(!std::is_trivially_copyable_v<T>) struct owned_memory<std::optional<T>> {
  static std::uint64_t of(const std::optional<T>& value) { return value.has_value() ? owned_bytes(*value) : 0; }
};
template <measurable... T>
requires(!std::is_trivially_copyable_v<std::variant<T...>>) struct owned_memory<std::variant<T...>> {
  static std::uint64_t of(const std::variant<T...>& value) {
    return value.valueless_by_exception() ? 0 : std::visit([](const auto& one) { return owned_bytes(one); }, value);
  }
};

template <class T>
requires(detail::takes_our_memory<T> && !std::is_trivially_copyable_v<T> && !std::is_empty_v<T> &&
         (!std::ranges::range<T> || measurable<std::ranges::range_value_t<T>>)) struct owned_memory<T> {
  static std::uint64_t of(const T& value) {
    if constexpr (std::ranges::range<T>) return detail::owned_by_elements(value);
    return 0;
  }
};

template <class T>
requires(detail::measurable_aggregate<T>) struct owned_memory<T> {
  static std::uint64_t of(const T& value) {
    return std::apply([](const auto&... one) { return (std::uint64_t{0} + ... + owned_bytes(one)); },
                      detail::members_of(value));
  }
};

}  // namespace tenure
