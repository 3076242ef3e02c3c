// Which words of a type are managed pointers: decided by the compiler, from the type alone.
//
//   arithmetic, enum, raw pointer, reference   no
//   member<U>, atomic_member<U>                one slot
//   ephemeron<K, V>                            one pair: two words that the collector treats as one thing
//   U[n], std::array, std::pair, std::tuple    those of their elements
//   class with TENURE_GC_MEMBERS               those of the members listed, and of its bases
//   aggregate                                  those of its fields
//   std::anything<U...>                        none may be in the U
//   union, other class                         none, provided its default constructor is trivial (a member's is not)
//
// Everything else does not compile, with a sentence that says what to write instead.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tenure/gc/detail/aggregate.hpp>
#include <tenure/gc/detail/type_name.hpp>

namespace tenure::gc {

// Specialise as true for a class of yours that hides its members and holds no managed pointer, directly or not.
template <class T>
inline constexpr bool is_leaf = false;

namespace detail {

// Bases of the pointer classes, by which they are known here without their headers.
struct slot_class {};  // one word, traced
struct pair_class {};  // two words, the second traced while the first leads to something alive
struct root_class {};  // keeps alive by itself: has no place inside of a managed object
template <class T>
concept slot_type = std::is_base_of_v<slot_class, T>;
template <class T>
concept pair_type = std::is_base_of_v<pair_class, T>;
template <class T>
concept root_type = std::is_base_of_v<root_class, T>;

// How many there are of each in a type.
struct slot_counts {
  std::size_t slots = 0;
  std::size_t pairs = 0;

  constexpr slot_counts operator+(const slot_counts& more) const { return {slots + more.slots, pairs + more.pairs}; }
  constexpr slot_counts operator*(std::size_t times) const { return {slots * times, pairs * times}; }
};

// How an object's slot is called, for who asks: members by their names, the fields of an aggregate f1, f2 and so on,
// elements by their numbers. Deeper steps are counted and not kept.
struct slot_step {
  const char* name;  // null: an element
  std::size_t element;
};
struct slot_path {
  static constexpr std::size_t most_steps = 8;

  void (*tell)(void* context, const slot_path& path, bool is_pair);
  void* context;
  std::size_t length = 0;
  slot_step steps[most_steps] = {};
};

// Where the addresses of an object's slots go, and behind them those of its pairs.
struct slot_list {
  std::uintptr_t first;    // address of the object
  std::uint32_t* offsets;  // room for all of them
  slot_counts room;
  slot_counts count{};
  slot_path* path = nullptr;  // is told of each slot as it is added

  void add(const void* slot) {
    if (path != nullptr) path->tell(path->context, *path, false);
    if (count.slots < room.slots) offsets[count.slots] = offset_of(slot);
    ++count.slots;
  }
  void add_pair(const void* pair) {
    if (path != nullptr) path->tell(path->context, *path, true);
    if (count.pairs < room.pairs) offsets[room.slots + count.pairs] = offset_of(pair);
    ++count.pairs;
  }

 private:
  std::uint32_t offset_of(const void* what) const noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(what) - first);
  }
};

// One more step on the path of a list, while it lives.
class on_the_way {
 public:
  on_the_way(slot_list& sink, slot_step step) noexcept : path_(sink.path) {
    if (path_ != nullptr && path_->length++ < slot_path::most_steps) path_->steps[path_->length - 1] = step;
  }
  ~on_the_way() {
    if (path_ != nullptr) --path_->length;
  }
  on_the_way(const on_the_way&) = delete;
  on_the_way& operator=(const on_the_way&) = delete;

 private:
  slot_path* path_;
};

// What TENURE_GC_MEMBERS declares in a class.
struct access {
  template <class T>
  static constexpr bool has_list = requires {
    typename T::tenure_gc_self;
  };
  template <class T>
  static constexpr bool has_own_list = [] {
    if constexpr (has_list<T>) {
      return std::is_same_v<typename T::tenure_gc_self, T>;
    } else {
      return false;
    }
  }();
  template <class T>
  using types = decltype(T::tenure_gc_types());
  template <class T>
  using bases = typename T::tenure_gc_bases;
  template <class T>
  static constexpr auto extents() {
    return T::tenure_gc_extents();
  }
  template <class T, class Visitor>
  static void visit(T& object, Visitor& visitor) {
    T::tenure_gc_visit(object, visitor);
  }
};

template <class T>
inline constexpr bool is_sequence = false;  // std::pair, std::tuple
template <class... T>
inline constexpr bool is_sequence<std::pair<T...>> = true;
template <class... T>
inline constexpr bool is_sequence<std::tuple<T...>> = true;
template <class T>
inline constexpr bool is_standard_array = false;
template <class T, std::size_t count>
inline constexpr bool is_standard_array<std::array<T, count>> = true;

template <class T>
struct arguments_of {
  using types = type_list<>;
};
template <template <class...> class Template, class... T>
struct arguments_of<Template<T...>> {
  using types = type_list<T...>;
};

template <class T, class... Seen>
inline constexpr bool is_one_of = (std::is_same_v<T, Seen> || ...);

template <class T>
constexpr bool is_plain() {
  return !std::is_class_v<T> && !std::is_union_v<T>;
}
template <class T>
constexpr bool is_complete() {
  return requires { sizeof(T); };
}

// Whether a managed pointer, or what might be one, can be in an object of type T or in what it owns.
template <class T, class... Seen>
constexpr bool may_hold_managed();

template <class... T, class... Seen>
constexpr bool any_may_hold_managed(type_list<T...>, type_list<Seen...>) {
  return (may_hold_managed<std::remove_cv_t<T>, Seen...>() || ...);
}

template <class T, class... Seen>
constexpr bool may_hold_managed() {
  if constexpr (std::is_array_v<T>) {
    return may_hold_managed<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr (is_plain<T>() || is_one_of<T, Seen...> || is_leaf<T>) {
    return false;
  } else if constexpr (hides_what_it_holds<T>() || !is_complete<T>()) {
    return true;
  } else if constexpr (slot_type<T> || pair_type<T> || root_type<T>) {
    return true;
  } else if constexpr (access::has_list<T>) {
    if constexpr (access::has_own_list<T>) {
      return any_may_hold_managed(access::types<T>{}, type_list<T, Seen...>{}) ||
             any_may_hold_managed(access::bases<T>{}, type_list<T, Seen...>{});
    } else {
      return true;
    }
  } else if constexpr (is_standard_array<T>) {
    return may_hold_managed<typename T::value_type, T, Seen...>();
  } else if constexpr (is_standard<T>()) {
    return any_may_hold_managed(typename arguments_of<T>::types{}, type_list<T, Seen...>{});
  } else if constexpr (std::is_empty_v<T> || std::is_trivially_default_constructible_v<T>) {
    return false;
  } else if constexpr (std::is_aggregate_v<T> && !std::is_union_v<T>) {
    if constexpr (has_aggregate_base<T>) {
      return true;
    } else {
      return any_may_hold_managed(fields_of<T>{}, type_list<T, Seen...>{});
    }
  } else {
    return true;
  }
}

template <class T>
constexpr bool covers_all();

// --- Refusals, each with what to write instead.

template <class T>
constexpr void require_visible();

template <class... T>
constexpr void require_all_visible(type_list<T...>) {
  (require_visible<std::remove_cv_t<T>>(), ...);
}

template <class T>
constexpr void require_listed() {
  static_assert(access::has_own_list<T>,
                "tenure::gc: this class inherits the member list of its base: give it a list of its own with "
                "TENURE_GC_MEMBERS_OF(class, (bases...), members...)");
  if constexpr (access::has_own_list<T>) {
    static_assert(covers_all<T>(),
                  "tenure::gc: TENURE_GC_MEMBERS leaves out a member or a base of this class: list them all");
    require_all_visible(access::types<T>{});
    require_all_visible(access::bases<T>{});
  }
}

template <class T>
constexpr void require_aggregate() {
  static_assert(!has_aggregate_base<T>,
                "tenure::gc: the fields of an aggregate with a base cannot be told: list them with "
                "TENURE_GC_MEMBERS_OF(class, (bases...), members...)");
  if constexpr (!has_aggregate_base<T>) {
    static_assert(field_count<T> <= most_fields,
                  "tenure::gc: an aggregate of more than 32 members: list them with TENURE_GC_MEMBERS");
    if constexpr (field_count<T> <= most_fields) require_all_visible(fields_of<T>{});
  }
}

// T does not compile as a part of a managed object unless it is seen through.
template <class T>
constexpr void require_visible() {
  if constexpr (std::is_array_v<T>) {
    require_visible<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (is_plain<T>() || is_leaf<T> || slot_type<T> || pair_type<T>) {
    // seen
  } else if constexpr (root_type<T>) {
    static_assert(!root_type<T>,
                  "tenure::gc: a local or root inside of a managed object would keep its target alive for ever when "
                  "they form a cycle: use member<T>");
  } else if constexpr (access::has_list<T>) {
    require_listed<T>();
  } else if constexpr (is_standard_array<T>) {
    require_visible<std::remove_cv_t<typename T::value_type>>();
  } else if constexpr (is_sequence<T>) {
    require_all_visible(typename arguments_of<T>::types{});
  } else if constexpr (hides_what_it_holds<T>()) {
    static_assert(!hides_what_it_holds<T>(),
                  "tenure::gc: std::function, std::any and their like can hide managed pointers: keep what they hold "
                  "in members of their own, or wrap it in a class for which tenure::gc::is_leaf is true");
  } else if constexpr (is_standard<T>()) {
    static_assert(!may_hold_managed<T>(),
                  "tenure::gc: a standard container cannot hold managed pointers, nor a class that hides its members, "
                  "for the collector cannot see into it: use tenure::gc::vector, map, unordered_map or "
                  "deque, or specialise tenure::gc::is_leaf for a class that holds none");
  } else if constexpr (std::is_empty_v<T> || std::is_trivially_default_constructible_v<T>) {
    // cannot hold a member<T>, whose default constructor is not trivial
  } else if constexpr (std::is_union_v<T>) {
    static_assert(!std::is_union_v<T>,
                  "tenure::gc: a union may not hold managed pointers, for the collector cannot tell which of its "
                  "members is alive: put the member<T> beside the union, or derive the alternatives from one class");
  } else if constexpr (std::is_aggregate_v<T>) {
    require_aggregate<T>();
  } else {
    static_assert(access::has_list<T>,
                  "tenure::gc: this class hides its members: list them once with TENURE_GC_MEMBERS(class, members...) "
                  "in it, or specialise tenure::gc::is_leaf for a class that holds no managed pointer");
  }
}

// --- Slots: their number and their addresses. Only for types that require_visible lets through.

template <class T>
constexpr slot_counts count_slots();

template <class... T>
constexpr slot_counts sum_slots(type_list<T...>) {
  return (slot_counts{} + ... + count_slots<std::remove_cv_t<T>>());
}

template <class T>
constexpr slot_counts count_slots() {
  if constexpr (std::is_array_v<T>) {
    return count_slots<std::remove_cv_t<std::remove_all_extents_t<T>>>() *
           (sizeof(T) / sizeof(std::remove_all_extents_t<T>));
  } else if constexpr (slot_type<T>) {
    return {1, 0};
  } else if constexpr (pair_type<T>) {
    return {0, 1};
  } else if constexpr (is_plain<T>() || is_leaf<T> || root_type<T>) {
    return {};
  } else if constexpr (access::has_own_list<T>) {
    return sum_slots(access::types<T>{}) + sum_slots(access::bases<T>{});
  } else if constexpr (is_standard_array<T>) {
    return count_slots<std::remove_cv_t<typename T::value_type>>() * std::tuple_size_v<T>;
  } else if constexpr (is_sequence<T>) {
    return sum_slots(typename arguments_of<T>::types{});
  } else if constexpr (is_standard<T>() || std::is_empty_v<T> || std::is_trivially_default_constructible_v<T>) {
    return {};
  } else if constexpr (std::is_aggregate_v<T> && !std::is_union_v<T> && !has_aggregate_base<T>) {
    return sum_slots(fields_of<T>{});
  } else {
    return {};
  }
}
template <class T>
inline constexpr slot_counts slots_in = count_slots<std::remove_cv_t<T>>();
template <class T>
inline constexpr bool has_slots = slots_in<T>.slots != 0 || slots_in<T>.pairs != 0;

template <class T>
void list_slots(T& object, slot_list& sink);

struct slot_visitor {
  template <class T>
  static constexpr bool wants = !std::is_reference_v<T> && has_slots<T>;
  template <class T>
  void field(T& field, const char* name) {
    const on_the_way step(sink, {name, 0});
    list_slots(field, sink);
  }
  slot_list& sink;
};

template <class T, class... Bases>
void list_base_slots(T& object, type_list<Bases...>, slot_list& sink) {
  ((has_slots<Bases> ? list_slots(static_cast<Bases&>(object), sink) : void()), ...);
}

template <class T>
void list_slots(T& object, slot_list& sink) {
  if constexpr (std::is_const_v<T>) {
    list_slots(const_cast<std::remove_const_t<T>&>(object), sink);
  } else if constexpr (std::is_array_v<T> || is_standard_array<T>) {
    std::size_t number = 0;
    for (auto& element : object) {
      const on_the_way step(sink, {nullptr, number++});
      list_slots(element, sink);
    }
  } else if constexpr (slot_type<T>) {
    sink.add(&object);
  } else if constexpr (pair_type<T>) {
    sink.add_pair(&object);
  } else if constexpr (access::has_own_list<T>) {
    slot_visitor visitor{sink};
    list_base_slots(object, access::bases<T>{}, sink);
    access::visit(object, visitor);
  } else if constexpr (is_sequence<T>) {
    std::size_t number = 0;
    const auto list_one = [&](auto& element) {
      const on_the_way step(sink, {nullptr, number++});
      list_slots(element, sink);
    };
    std::apply([&](auto&... element) { (list_one(element), ...); }, object);
  } else if constexpr (has_slots<T>) {
    slot_visitor visitor{sink};
    for_each_field(object, visitor);
  }
}

// --- Bases that are virtual: their place is the object's matter, not the type's.

template <class Base, class Derived>
inline constexpr bool is_virtual_base = std::is_base_of_v<Base, Derived> && !requires(Base * base) {
  static_cast<Derived*>(base);
};

template <class T, class... Bases>
constexpr bool any_virtual(type_list<Bases...>);

template <class T>
constexpr bool has_virtual_bases() {
  if constexpr (access::has_own_list<T>) {
    return any_virtual<T>(access::bases<T>{});
  } else {
    return false;
  }
}
template <class T, class... Bases>
constexpr bool any_virtual(type_list<Bases...>) {
  return ((is_virtual_base<Bases, T> || has_virtual_bases<Bases>()) || ...);
}

}  // namespace detail
}  // namespace tenure::gc
