// The fields of an aggregate: how many there are, their types, and each in turn. Nothing has to be declared.
//
// The number of fields is found by trying how many initialisers an aggregate takes from a value that converts to
// anything. A built-in array takes one initialiser for each element, which is told from a nested aggregate by what
// still fits behind it when its initialisers stand in braces. With the number known, a structured binding names them.
// The technique is that of Antony Polukhin's magic_get.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace tenure::gc::detail {

template <class... T>
struct type_list {
  static constexpr std::size_t size = sizeof...(T);
};

// Never called, but with a body: what is asked whether it takes one may be instantiated for the answer, and a function
// without a body that returns a type of one file alone is an error to clang then.
struct converts_to_anything {
  template <class T>
  operator T() const noexcept {
    __builtin_unreachable();
  }
};
template <class Derived>
struct converts_to_base_of {
  template <class T>
  requires(std::is_base_of_v<T, Derived> && !std::is_same_v<T, Derived>) operator T() const noexcept {
    __builtin_unreachable();
  }
};

inline constexpr std::size_t most_fields = 32;
inline constexpr std::size_t most_initializers = 256;

template <std::size_t>
using anything = converts_to_anything;

template <class T, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { T{anything<I>{}...}; };
}
template <class T, std::size_t... Before, std::size_t... Inside, std::size_t... After>
constexpr bool takes_nested(std::index_sequence<Before...>, std::index_sequence<Inside...>,
                            std::index_sequence<After...>) {
  return requires { T{anything<Before>{}..., {anything<Inside>{}...}, anything<After>{}...}; };
}

// The most initialisers that T takes. Fewer may be refused as well, where a field has no default.
template <class T, std::size_t count = 0, bool found = false>
constexpr std::size_t initializers() {
  if constexpr (takes<T>(std::make_index_sequence<count>{})) {
    if constexpr (count == most_initializers) {
      return count;
    } else {
      return initializers<T, count + 1, true>();
    }
  } else if constexpr (found || count == most_fields) {
    return count == 0 ? 0 : count - 1;
  } else {
    return initializers<T, count + 1, false>();
  }
}

// How many initialisers the field that begins with initialiser `at` takes: more than one only for a built-in array.
template <class T, std::size_t all, std::size_t at, std::size_t size>
constexpr std::size_t array_length() {
  if constexpr (size <= 1) {
    return 1;
  } else {
    constexpr auto before = std::make_index_sequence<at>{};
    constexpr auto inside = std::make_index_sequence<size>{};
    if constexpr (takes_nested<T>(before, inside, std::make_index_sequence<all - at - size>{}) &&
                  !takes_nested<T>(before, inside, std::make_index_sequence<all - at - size + 1>{})) {
      return size;
    } else {
      return array_length<T, all, at, size - 1>();
    }
  }
}
template <class T, std::size_t all, std::size_t at = 0>
constexpr std::size_t fields_from() {
  if constexpr (at >= all) {
    return 0;
  } else {
    return 1 + fields_from<T, all, at + array_length<T, all, at, all - at>()>();
  }
}

template <class T>
inline constexpr std::size_t field_count = fields_from<T, initializers<T>()>();

template <class T>
inline constexpr bool has_aggregate_base = requires {
  T{converts_to_base_of<T>{}};
};

// visit.template field<declared type>(field, "f1") for each field; a reference is not touched, nor is a bit-field
// bound.
#define TENURE_GC_FIELD(name) \
  if constexpr (Visitor::template wants<decltype(name)>) visit.template field<decltype(name)>(name, #name);

#define TENURE_GC_NAMES_1 f1
#define TENURE_GC_NAMES_2 TENURE_GC_NAMES_1, f2
#define TENURE_GC_NAMES_3 TENURE_GC_NAMES_2, f3
#define TENURE_GC_NAMES_4 TENURE_GC_NAMES_3, f4
#define TENURE_GC_NAMES_5 TENURE_GC_NAMES_4, f5
#define TENURE_GC_NAMES_6 TENURE_GC_NAMES_5, f6
#define TENURE_GC_NAMES_7 TENURE_GC_NAMES_6, f7
#define TENURE_GC_NAMES_8 TENURE_GC_NAMES_7, f8
#define TENURE_GC_NAMES_9 TENURE_GC_NAMES_8, f9
#define TENURE_GC_NAMES_10 TENURE_GC_NAMES_9, f10
#define TENURE_GC_NAMES_11 TENURE_GC_NAMES_10, f11
#define TENURE_GC_NAMES_12 TENURE_GC_NAMES_11, f12
#define TENURE_GC_NAMES_13 TENURE_GC_NAMES_12, f13
#define TENURE_GC_NAMES_14 TENURE_GC_NAMES_13, f14
#define TENURE_GC_NAMES_15 TENURE_GC_NAMES_14, f15
#define TENURE_GC_NAMES_16 TENURE_GC_NAMES_15, f16
#define TENURE_GC_NAMES_17 TENURE_GC_NAMES_16, f17
#define TENURE_GC_NAMES_18 TENURE_GC_NAMES_17, f18
#define TENURE_GC_NAMES_19 TENURE_GC_NAMES_18, f19
#define TENURE_GC_NAMES_20 TENURE_GC_NAMES_19, f20
#define TENURE_GC_NAMES_21 TENURE_GC_NAMES_20, f21
#define TENURE_GC_NAMES_22 TENURE_GC_NAMES_21, f22
#define TENURE_GC_NAMES_23 TENURE_GC_NAMES_22, f23
#define TENURE_GC_NAMES_24 TENURE_GC_NAMES_23, f24
#define TENURE_GC_NAMES_25 TENURE_GC_NAMES_24, f25
#define TENURE_GC_NAMES_26 TENURE_GC_NAMES_25, f26
#define TENURE_GC_NAMES_27 TENURE_GC_NAMES_26, f27
#define TENURE_GC_NAMES_28 TENURE_GC_NAMES_27, f28
#define TENURE_GC_NAMES_29 TENURE_GC_NAMES_28, f29
#define TENURE_GC_NAMES_30 TENURE_GC_NAMES_29, f30
#define TENURE_GC_NAMES_31 TENURE_GC_NAMES_30, f31
#define TENURE_GC_NAMES_32 TENURE_GC_NAMES_31, f32
#define TENURE_GC_FIELDS_1 TENURE_GC_FIELD(f1)
#define TENURE_GC_FIELDS_2 TENURE_GC_FIELDS_1 TENURE_GC_FIELD(f2)
#define TENURE_GC_FIELDS_3 TENURE_GC_FIELDS_2 TENURE_GC_FIELD(f3)
#define TENURE_GC_FIELDS_4 TENURE_GC_FIELDS_3 TENURE_GC_FIELD(f4)
#define TENURE_GC_FIELDS_5 TENURE_GC_FIELDS_4 TENURE_GC_FIELD(f5)
#define TENURE_GC_FIELDS_6 TENURE_GC_FIELDS_5 TENURE_GC_FIELD(f6)
#define TENURE_GC_FIELDS_7 TENURE_GC_FIELDS_6 TENURE_GC_FIELD(f7)
#define TENURE_GC_FIELDS_8 TENURE_GC_FIELDS_7 TENURE_GC_FIELD(f8)
#define TENURE_GC_FIELDS_9 TENURE_GC_FIELDS_8 TENURE_GC_FIELD(f9)
#define TENURE_GC_FIELDS_10 TENURE_GC_FIELDS_9 TENURE_GC_FIELD(f10)
#define TENURE_GC_FIELDS_11 TENURE_GC_FIELDS_10 TENURE_GC_FIELD(f11)
#define TENURE_GC_FIELDS_12 TENURE_GC_FIELDS_11 TENURE_GC_FIELD(f12)
#define TENURE_GC_FIELDS_13 TENURE_GC_FIELDS_12 TENURE_GC_FIELD(f13)
#define TENURE_GC_FIELDS_14 TENURE_GC_FIELDS_13 TENURE_GC_FIELD(f14)
#define TENURE_GC_FIELDS_15 TENURE_GC_FIELDS_14 TENURE_GC_FIELD(f15)
#define TENURE_GC_FIELDS_16 TENURE_GC_FIELDS_15 TENURE_GC_FIELD(f16)
#define TENURE_GC_FIELDS_17 TENURE_GC_FIELDS_16 TENURE_GC_FIELD(f17)
#define TENURE_GC_FIELDS_18 TENURE_GC_FIELDS_17 TENURE_GC_FIELD(f18)
#define TENURE_GC_FIELDS_19 TENURE_GC_FIELDS_18 TENURE_GC_FIELD(f19)
#define TENURE_GC_FIELDS_20 TENURE_GC_FIELDS_19 TENURE_GC_FIELD(f20)
#define TENURE_GC_FIELDS_21 TENURE_GC_FIELDS_20 TENURE_GC_FIELD(f21)
#define TENURE_GC_FIELDS_22 TENURE_GC_FIELDS_21 TENURE_GC_FIELD(f22)
#define TENURE_GC_FIELDS_23 TENURE_GC_FIELDS_22 TENURE_GC_FIELD(f23)
#define TENURE_GC_FIELDS_24 TENURE_GC_FIELDS_23 TENURE_GC_FIELD(f24)
#define TENURE_GC_FIELDS_25 TENURE_GC_FIELDS_24 TENURE_GC_FIELD(f25)
#define TENURE_GC_FIELDS_26 TENURE_GC_FIELDS_25 TENURE_GC_FIELD(f26)
#define TENURE_GC_FIELDS_27 TENURE_GC_FIELDS_26 TENURE_GC_FIELD(f27)
#define TENURE_GC_FIELDS_28 TENURE_GC_FIELDS_27 TENURE_GC_FIELD(f28)
#define TENURE_GC_FIELDS_29 TENURE_GC_FIELDS_28 TENURE_GC_FIELD(f29)
#define TENURE_GC_FIELDS_30 TENURE_GC_FIELDS_29 TENURE_GC_FIELD(f30)
#define TENURE_GC_FIELDS_31 TENURE_GC_FIELDS_30 TENURE_GC_FIELD(f31)
#define TENURE_GC_FIELDS_32 TENURE_GC_FIELDS_31 TENURE_GC_FIELD(f32)
#define TENURE_GC_TYPES_1 decltype(f1)
#define TENURE_GC_TYPES_2 TENURE_GC_TYPES_1, decltype(f2)
#define TENURE_GC_TYPES_3 TENURE_GC_TYPES_2, decltype(f3)
#define TENURE_GC_TYPES_4 TENURE_GC_TYPES_3, decltype(f4)
#define TENURE_GC_TYPES_5 TENURE_GC_TYPES_4, decltype(f5)
#define TENURE_GC_TYPES_6 TENURE_GC_TYPES_5, decltype(f6)
#define TENURE_GC_TYPES_7 TENURE_GC_TYPES_6, decltype(f7)
#define TENURE_GC_TYPES_8 TENURE_GC_TYPES_7, decltype(f8)
#define TENURE_GC_TYPES_9 TENURE_GC_TYPES_8, decltype(f9)
#define TENURE_GC_TYPES_10 TENURE_GC_TYPES_9, decltype(f10)
#define TENURE_GC_TYPES_11 TENURE_GC_TYPES_10, decltype(f11)
#define TENURE_GC_TYPES_12 TENURE_GC_TYPES_11, decltype(f12)
#define TENURE_GC_TYPES_13 TENURE_GC_TYPES_12, decltype(f13)
#define TENURE_GC_TYPES_14 TENURE_GC_TYPES_13, decltype(f14)
#define TENURE_GC_TYPES_15 TENURE_GC_TYPES_14, decltype(f15)
#define TENURE_GC_TYPES_16 TENURE_GC_TYPES_15, decltype(f16)
#define TENURE_GC_TYPES_17 TENURE_GC_TYPES_16, decltype(f17)
#define TENURE_GC_TYPES_18 TENURE_GC_TYPES_17, decltype(f18)
#define TENURE_GC_TYPES_19 TENURE_GC_TYPES_18, decltype(f19)
#define TENURE_GC_TYPES_20 TENURE_GC_TYPES_19, decltype(f20)
#define TENURE_GC_TYPES_21 TENURE_GC_TYPES_20, decltype(f21)
#define TENURE_GC_TYPES_22 TENURE_GC_TYPES_21, decltype(f22)
#define TENURE_GC_TYPES_23 TENURE_GC_TYPES_22, decltype(f23)
#define TENURE_GC_TYPES_24 TENURE_GC_TYPES_23, decltype(f24)
#define TENURE_GC_TYPES_25 TENURE_GC_TYPES_24, decltype(f25)
#define TENURE_GC_TYPES_26 TENURE_GC_TYPES_25, decltype(f26)
#define TENURE_GC_TYPES_27 TENURE_GC_TYPES_26, decltype(f27)
#define TENURE_GC_TYPES_28 TENURE_GC_TYPES_27, decltype(f28)
#define TENURE_GC_TYPES_29 TENURE_GC_TYPES_28, decltype(f29)
#define TENURE_GC_TYPES_30 TENURE_GC_TYPES_29, decltype(f30)
#define TENURE_GC_TYPES_31 TENURE_GC_TYPES_30, decltype(f31)
#define TENURE_GC_TYPES_32 TENURE_GC_TYPES_31, decltype(f32)

#define TENURE_GC_VISIT(count)                \
  if constexpr (field_count<T> == (count)) {  \
    auto& [TENURE_GC_NAMES_##count] = object; \
    TENURE_GC_FIELDS_##count                  \
  }
#define TENURE_GC_TYPES(count)                   \
  if constexpr (field_count<T> == (count)) {     \
    auto& [TENURE_GC_NAMES_##count] = object;    \
    return type_list<TENURE_GC_TYPES_##count>{}; \
  } else

// clang-format off
template <class T, class Visitor>
constexpr void for_each_field(T& object, Visitor& visit) {
  TENURE_GC_VISIT(1) TENURE_GC_VISIT(2) TENURE_GC_VISIT(3) TENURE_GC_VISIT(4) TENURE_GC_VISIT(5) TENURE_GC_VISIT(6)
  TENURE_GC_VISIT(7) TENURE_GC_VISIT(8) TENURE_GC_VISIT(9) TENURE_GC_VISIT(10) TENURE_GC_VISIT(11)
  TENURE_GC_VISIT(12) TENURE_GC_VISIT(13) TENURE_GC_VISIT(14) TENURE_GC_VISIT(15) TENURE_GC_VISIT(16)
  TENURE_GC_VISIT(17) TENURE_GC_VISIT(18) TENURE_GC_VISIT(19) TENURE_GC_VISIT(20) TENURE_GC_VISIT(21)
  TENURE_GC_VISIT(22) TENURE_GC_VISIT(23) TENURE_GC_VISIT(24) TENURE_GC_VISIT(25) TENURE_GC_VISIT(26)
  TENURE_GC_VISIT(27) TENURE_GC_VISIT(28) TENURE_GC_VISIT(29) TENURE_GC_VISIT(30) TENURE_GC_VISIT(31)
  TENURE_GC_VISIT(32)
}

// For its result type only.
template <class T>
constexpr auto field_types(T& object) {
  TENURE_GC_TYPES(1) TENURE_GC_TYPES(2) TENURE_GC_TYPES(3) TENURE_GC_TYPES(4) TENURE_GC_TYPES(5) TENURE_GC_TYPES(6)
  TENURE_GC_TYPES(7) TENURE_GC_TYPES(8) TENURE_GC_TYPES(9) TENURE_GC_TYPES(10) TENURE_GC_TYPES(11)
  TENURE_GC_TYPES(12) TENURE_GC_TYPES(13) TENURE_GC_TYPES(14) TENURE_GC_TYPES(15) TENURE_GC_TYPES(16)
  TENURE_GC_TYPES(17) TENURE_GC_TYPES(18) TENURE_GC_TYPES(19) TENURE_GC_TYPES(20) TENURE_GC_TYPES(21)
  TENURE_GC_TYPES(22) TENURE_GC_TYPES(23) TENURE_GC_TYPES(24) TENURE_GC_TYPES(25) TENURE_GC_TYPES(26)
  TENURE_GC_TYPES(27) TENURE_GC_TYPES(28) TENURE_GC_TYPES(29) TENURE_GC_TYPES(30) TENURE_GC_TYPES(31)
  TENURE_GC_TYPES(32)
  return type_list<>{};
}
// clang-format on

#undef TENURE_GC_VISIT
#undef TENURE_GC_TYPES
#undef TENURE_GC_FIELD
#undef TENURE_GC_NAMES_1
#undef TENURE_GC_FIELDS_1
#undef TENURE_GC_TYPES_1
#undef TENURE_GC_NAMES_2
#undef TENURE_GC_FIELDS_2
#undef TENURE_GC_TYPES_2
#undef TENURE_GC_NAMES_3
#undef TENURE_GC_FIELDS_3
#undef TENURE_GC_TYPES_3
#undef TENURE_GC_NAMES_4
#undef TENURE_GC_FIELDS_4
#undef TENURE_GC_TYPES_4
#undef TENURE_GC_NAMES_5
#undef TENURE_GC_FIELDS_5
#undef TENURE_GC_TYPES_5
#undef TENURE_GC_NAMES_6
#undef TENURE_GC_FIELDS_6
#undef TENURE_GC_TYPES_6
#undef TENURE_GC_NAMES_7
#undef TENURE_GC_FIELDS_7
#undef TENURE_GC_TYPES_7
#undef TENURE_GC_NAMES_8
#undef TENURE_GC_FIELDS_8
#undef TENURE_GC_TYPES_8
#undef TENURE_GC_NAMES_9
#undef TENURE_GC_FIELDS_9
#undef TENURE_GC_TYPES_9
#undef TENURE_GC_NAMES_10
#undef TENURE_GC_FIELDS_10
#undef TENURE_GC_TYPES_10
#undef TENURE_GC_NAMES_11
#undef TENURE_GC_FIELDS_11
#undef TENURE_GC_TYPES_11
#undef TENURE_GC_NAMES_12
#undef TENURE_GC_FIELDS_12
#undef TENURE_GC_TYPES_12
#undef TENURE_GC_NAMES_13
#undef TENURE_GC_FIELDS_13
#undef TENURE_GC_TYPES_13
#undef TENURE_GC_NAMES_14
#undef TENURE_GC_FIELDS_14
#undef TENURE_GC_TYPES_14
#undef TENURE_GC_NAMES_15
#undef TENURE_GC_FIELDS_15
#undef TENURE_GC_TYPES_15
#undef TENURE_GC_NAMES_16
#undef TENURE_GC_FIELDS_16
#undef TENURE_GC_TYPES_16
#undef TENURE_GC_NAMES_17
#undef TENURE_GC_FIELDS_17
#undef TENURE_GC_TYPES_17
#undef TENURE_GC_NAMES_18
#undef TENURE_GC_FIELDS_18
#undef TENURE_GC_TYPES_18
#undef TENURE_GC_NAMES_19
#undef TENURE_GC_FIELDS_19
#undef TENURE_GC_TYPES_19
#undef TENURE_GC_NAMES_20
#undef TENURE_GC_FIELDS_20
#undef TENURE_GC_TYPES_20
#undef TENURE_GC_NAMES_21
#undef TENURE_GC_FIELDS_21
#undef TENURE_GC_TYPES_21
#undef TENURE_GC_NAMES_22
#undef TENURE_GC_FIELDS_22
#undef TENURE_GC_TYPES_22
#undef TENURE_GC_NAMES_23
#undef TENURE_GC_FIELDS_23
#undef TENURE_GC_TYPES_23
#undef TENURE_GC_NAMES_24
#undef TENURE_GC_FIELDS_24
#undef TENURE_GC_TYPES_24
#undef TENURE_GC_NAMES_25
#undef TENURE_GC_FIELDS_25
#undef TENURE_GC_TYPES_25
#undef TENURE_GC_NAMES_26
#undef TENURE_GC_FIELDS_26
#undef TENURE_GC_TYPES_26
#undef TENURE_GC_NAMES_27
#undef TENURE_GC_FIELDS_27
#undef TENURE_GC_TYPES_27
#undef TENURE_GC_NAMES_28
#undef TENURE_GC_FIELDS_28
#undef TENURE_GC_TYPES_28
#undef TENURE_GC_NAMES_29
#undef TENURE_GC_FIELDS_29
#undef TENURE_GC_TYPES_29
#undef TENURE_GC_NAMES_30
#undef TENURE_GC_FIELDS_30
#undef TENURE_GC_TYPES_30
#undef TENURE_GC_NAMES_31
#undef TENURE_GC_FIELDS_31
#undef TENURE_GC_TYPES_31
#undef TENURE_GC_NAMES_32
#undef TENURE_GC_FIELDS_32
#undef TENURE_GC_TYPES_32

template <class T>
using fields_of = decltype(field_types(std::declval<T&>()));

}  // namespace tenure::gc::detail
