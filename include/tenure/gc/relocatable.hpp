// is_relocatable<T>: whether an object of type T may be moved by copying its bytes, as the plans that move objects do.
//
//     struct node { tenure::gc::member<node> next; std::unique_ptr<text> label; };   // it may: all its parts may
//     class entry { TENURE_GC_MEMBERS(entry, name_, file_); ~entry(); ... };         // nobody knows: it has a
//     destructor template <> inline constexpr tenure::gc::moving tenure::gc::moving_of<entry> =
//     tenure::gc::moving::allowed;   // its author does
//
// It may when nothing leads to it or into it but managed pointers, whose words the collector knows, and raw pointers on
// the stack, which keep an object where it is. A pointer into itself is what forbids it (libstdc++'s std::string has
// one), and an object whose address was given to somebody: a mutex, a list's hook, `this` in a table.
//
//   what moving_of says                               that
//   arithmetic, enum, raw pointer, managed pointer    yes
//   trivially copyable and not only in name, empty    yes (a std::mutex cannot be copied)
//   U[n], std::array, std::pair, std::tuple           if their elements may
//   std::unique_ptr, shared_ptr, weak_ptr, vector,
//   atomic                                            yes
//   the containers of tenure::gc                      if their elements may
//   aggregate                                         if its fields may, and it has no destructor but theirs
//   class with TENURE_GC_MEMBERS                      if it needs no destructor and its members and bases may
//   all else, and with virtual bases                  no
//
// keeps_addresses<T>: specialise it as true for a class that tells the objects it leads to apart by their addresses, in
// a hash or an order. They are not moved while an object of T leads to them. The nodes of maps whose keys are managed
// pointers are such; keys of ephemerons are not moved either.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include <tenure/gc/detail/fields.hpp>

namespace tenure::gc {

enum class moving : std::uint8_t { derived, allowed, forbidden };

template <class T>
inline constexpr moving moving_of = moving::derived;
// The debug mode of libstdc++, in which iterators and containers lead to each other.
#ifdef _GLIBCXX_DEBUG
inline constexpr bool checks_iterators = true;
#else
inline constexpr bool checks_iterators = false;
#endif
template <class T, class Deleter>
inline constexpr moving moving_of<std::unique_ptr<T, Deleter>> =
    std::is_empty_v<Deleter> ? moving::allowed : moving::forbidden;
template <class T>
inline constexpr moving moving_of<std::shared_ptr<T>> = moving::allowed;
template <class T>
inline constexpr moving moving_of<std::weak_ptr<T>> = moving::allowed;
template <class T>
inline constexpr moving moving_of<std::vector<T>> = checks_iterators ? moving::forbidden : moving::allowed;
template <class T>
inline constexpr moving moving_of<std::atomic<T>> = moving::allowed;

template <class T>
inline constexpr bool keeps_addresses = false;

namespace detail {

// What a container of tenure::gc keeps, in objects of their own.
template <class T>
struct elements_of {
  using types = type_list<>;
};

// A key of this type is hashed and compared by what it says, though it has managed pointers.
template <class T>
inline constexpr bool is_text = false;
template <class T>
inline constexpr bool is_known_by_address = has_slots<T> && !is_text<std::remove_cv_t<T>>;

// A type in Seen is asked about further out.
template <class T, class... Seen>
constexpr bool may_relocate();

template <class... T, class... Seen>
constexpr bool all_relocatable(type_list<T...>, type_list<Seen...>) {
  return (may_relocate<std::remove_cv_t<T>, Seen...>() && ...);
}

template <class... T>
constexpr bool all_trivially_destructible(type_list<T...>) {
  return (std::is_trivially_destructible_v<T> && ...);
}

template <class T, class... Seen>
constexpr bool class_may_relocate() {
  using seen = type_list<T, Seen...>;
  if constexpr (!all_relocatable(typename elements_of<T>::types{}, seen{})) {
    return false;
  } else if constexpr (access::has_own_list<T>) {
    return std::is_trivially_destructible_v<T> && !has_virtual_bases<T>() &&
           all_relocatable(access::types<T>{}, seen{}) && all_relocatable(access::bases<T>{}, seen{});
  } else if constexpr (is_standard_array<T>) {
    return may_relocate<std::remove_cv_t<typename T::value_type>, Seen...>();
  } else if constexpr (is_sequence<T>) {
    return all_relocatable(typename arguments_of<T>::types{}, seen{});
  } else if constexpr (std::is_empty_v<T> || (std::is_trivially_copyable_v<T> && std::is_move_constructible_v<T>)) {
    return true;
  } else if constexpr (!is_standard<T>() && !access::has_list<T> && std::is_aggregate_v<T> && !std::is_union_v<T> &&
                       !has_aggregate_base<T>) {
    if constexpr (field_count<T> <= most_fields) {
      // A destructor that no field has asked for is the author's own.
      return all_relocatable(fields_of<T>{}, seen{}) &&
             (std::is_trivially_destructible_v<T> || !all_trivially_destructible(fields_of<T>{}));
    } else {
      return false;
    }
  } else {
    return false;
  }
}

template <class T, class... Seen>
constexpr bool may_relocate() {
  if constexpr (std::is_array_v<T>) {
    return may_relocate<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr (is_one_of<T, Seen...> || is_plain<T>() || slot_type<T> || pair_type<T>) {
    return true;
  } else if constexpr (moving_of<T> != moving::derived || root_type<T>) {
    return moving_of<T> == moving::allowed;
  } else {
    return class_may_relocate<T, Seen...>();
  }
}

template <class T>
constexpr void require_relocatable();

}  // namespace detail

template <class T>
inline constexpr bool is_relocatable = detail::may_relocate<T>();

template <class T>
constexpr void detail::require_relocatable() {
  static_assert(is_relocatable<T>,
                "tenure::gc: this heap moves its objects, and nothing says that those of this type may be moved: make "
                "them in another heap, or specialise tenure::gc::moving_of as moving::allowed for a class that has no "
                "pointer into itself and whose address nobody knows");
}

}  // namespace tenure::gc
