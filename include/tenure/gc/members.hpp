// TENURE_GC_MEMBERS: a class tells the collector its members, once, and the compiler checks that none is left out.
//
// Aggregates need none of this. A class with private members, constructors or virtual functions lists all its members:
//
//     class document {
//      public:
//       explicit document(std::string title);
//      private:
//       TENURE_GC_MEMBERS(document, title_, first_, revision_);
//       std::string title_;
//       tenure::gc::member<paragraph> first_;
//       int revision_ = 0;
//     };
//
// With bases, virtual ones too, these come first, in parentheses:
//
//     class picture : public shape, public named {
//       TENURE_GC_MEMBERS_OF(picture, (shape, named), pixels_);
//
// A pointer-sized piece of the class that nothing in the list covers is a compile error: a forgotten member is one, and
// so is a forgotten base. What is smaller than a pointer (flags, small integers) may be left out; a reference and a
// bit-field must be, since neither can be named by its offset. Padding of a pointer's size, in front of a member that
// is aligned to more than a pointer is, cannot be told from a forgotten member: put such members first. Where bases are
// virtual, the check does not see behind the listed members, where their place is. At most 64 members.
//
// The macro leaves the access that it finds (public, private) as it is.
#pragma once

#include <array>
#include <cstddef>

#include <tenure/gc/detail/fields.hpp>

namespace tenure::gc::detail {

struct extent {
  std::size_t first;
  std::size_t bytes;
};

// Where the Itanium ABI puts non-virtual bases: a dynamic class first, then in the order of their declaration.
struct base_walk {
  std::size_t end;
  std::size_t virtual_bytes = 0;

  template <class Base, class Derived>
  constexpr void pass() {
    const std::size_t aligned = (end + alignof(Base) - 1) / alignof(Base) * alignof(Base);
    if constexpr (is_virtual_base<Base, Derived>) {
      virtual_bytes += sizeof(Base) + alignof(Base);
    } else if constexpr (!std::is_empty_v<Base>) {
      end = aligned + sizeof(Base);
    }
  }
};
template <class Derived, class... Bases>
constexpr base_walk walk_bases(type_list<Bases...>) {
  const bool dynamic_base = ((std::is_polymorphic_v<Bases> && !is_virtual_base<Bases, Derived>) || ...);
  base_walk walk{std::is_polymorphic_v<Derived> && !dynamic_base ? sizeof(void*) : 0};
  (..., (std::is_polymorphic_v<Bases> ? walk.template pass<Bases, Derived>() : void()));
  (..., (std::is_polymorphic_v<Bases> ? void() : walk.template pass<Bases, Derived>()));
  return walk;
}

// False when an aligned pointer fits into [from, to).
constexpr bool too_small(std::size_t from, std::size_t to) {
  return (from + sizeof(void*) - 1) / sizeof(void*) * sizeof(void*) + sizeof(void*) > to;
}

// Whether the listed members and the bases leave no room for a pointer.
template <class T>
constexpr bool covers_all() {
  if constexpr (sizeof(T) < sizeof(void*)) {
    return true;
  } else {
    const auto listed = access::extents<T>();
    const base_walk bases = walk_bases<T>(access::bases<T>{});
    const std::size_t end = sizeof(T) - (bases.virtual_bytes < sizeof(T) ? bases.virtual_bytes : sizeof(T));
    std::size_t covered = bases.end;
    if (bases.virtual_bytes != 0 && covered < sizeof(void*)) covered = sizeof(void*);
    while (covered < end) {
      std::size_t next = end;
      std::size_t reach = covered;
      for (const extent& member : listed) {
        if (member.first <= covered && member.first + member.bytes > reach) reach = member.first + member.bytes;
        if (member.first > covered && member.first < next) next = member.first;
      }
      if (reach == covered && !too_small(covered, next)) return false;
      covered = reach == covered ? next : reach;
    }
    return true;
  }
}

}  // namespace tenure::gc::detail

// For each argument macro(type, argument).
#define TENURE_GC_PARENTHESES ()
#define TENURE_GC_EXPAND(...) TENURE_GC_EXPAND_1(TENURE_GC_EXPAND_1(TENURE_GC_EXPAND_1(__VA_ARGS__)))
#define TENURE_GC_EXPAND_1(...) TENURE_GC_EXPAND_2(TENURE_GC_EXPAND_2(TENURE_GC_EXPAND_2(__VA_ARGS__)))
#define TENURE_GC_EXPAND_2(...) TENURE_GC_EXPAND_3(TENURE_GC_EXPAND_3(TENURE_GC_EXPAND_3(__VA_ARGS__)))
#define TENURE_GC_EXPAND_3(...) __VA_ARGS__
#define TENURE_GC_EACH(macro, type, ...) __VA_OPT__(TENURE_GC_EXPAND(TENURE_GC_EACH_STEP(macro, type, __VA_ARGS__)))
#define TENURE_GC_EACH_STEP(macro, type, first, ...) \
  macro(type, first) __VA_OPT__(TENURE_GC_EACH_AGAIN TENURE_GC_PARENTHESES(macro, type, __VA_ARGS__))
#define TENURE_GC_EACH_AGAIN() TENURE_GC_EACH_STEP

#define TENURE_GC_MEMBER_TYPE(type, name) , decltype(type::name)
#define TENURE_GC_MEMBER_EXTENT(type, name) \
  , ::tenure::gc::detail::extent { __builtin_offsetof(type, name), sizeof(decltype(type::name)) }
#define TENURE_GC_MEMBER_VISIT(type, name) \
  if constexpr (Visitor::template wants<decltype(type::name)>) visitor.field(object.name, #name);

// The first element of the lists stands for nothing, so that a list without members is one, too.
#define TENURE_GC_MEMBERS(type, ...) TENURE_GC_DECLARE(type, (), __VA_ARGS__)
#define TENURE_GC_STRIP(...) __VA_ARGS__
#define TENURE_GC_MEMBERS_OF(type, bases, ...) TENURE_GC_DECLARE(type, bases, __VA_ARGS__)

#define TENURE_GC_DECLARE(type, bases, ...)                                                                    \
  friend struct ::tenure::gc::detail::access;                                                                  \
  using tenure_gc_self = type;                                                                                 \
  using tenure_gc_bases = ::tenure::gc::detail::type_list<TENURE_GC_STRIP bases>;                              \
  static constexpr auto tenure_gc_types() {                                                                    \
    return ::tenure::gc::detail::type_list<int TENURE_GC_EACH(TENURE_GC_MEMBER_TYPE, type, __VA_ARGS__)>{};    \
  }                                                                                                            \
  static constexpr auto tenure_gc_extents() {                                                                  \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Winvalid-offsetof\"") return std::array{ \
        ::tenure::gc::detail::extent{0, 0} TENURE_GC_EACH(TENURE_GC_MEMBER_EXTENT, type, __VA_ARGS__)};        \
    _Pragma("GCC diagnostic pop")                                                                              \
  }                                                                                                            \
  template <class Visitor>                                                                                     \
  static void tenure_gc_visit([[maybe_unused]] type& object, [[maybe_unused]] Visitor& visitor) {              \
    TENURE_GC_EACH(TENURE_GC_MEMBER_VISIT, type, __VA_ARGS__)                                                  \
  }                                                                                                            \
  static_assert(true)
