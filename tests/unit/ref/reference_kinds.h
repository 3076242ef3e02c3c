// The kinds of references that one conformance suite is put through, each with how it is made.
#pragma once

#include <gtest/gtest.h>
#include <tenure/arc.hpp>
#include <tenure/brc.hpp>
#include <tenure/rc.hpp>

#include <utility>

namespace tenure::test {

struct rc_kind {
  template <class T>
  using strong = rc<T>;
  template <class T>
  using weak = weak_rc<T>;
  template <class T, class... Arguments>
  static rc<T> make(Arguments&&... arguments) {
    return make_rc<T>(std::forward<Arguments>(arguments)...);
  }
  template <class T, class... Arguments>
  static rc<T> allocate(std::pmr::memory_resource& from, Arguments&&... arguments) {
    return allocate_rc<T>(from, std::forward<Arguments>(arguments)...);
  }
};

struct arc_kind {
  template <class T>
  using strong = arc<T>;
  template <class T>
  using weak = weak_arc<T>;
  template <class T, class... Arguments>
  static arc<T> make(Arguments&&... arguments) {
    return make_arc<T>(std::forward<Arguments>(arguments)...);
  }
  template <class T, class... Arguments>
  static arc<T> allocate(std::pmr::memory_resource& from, Arguments&&... arguments) {
    return allocate_arc<T>(from, std::forward<Arguments>(arguments)...);
  }
};

struct brc_kind {
  template <class T>
  using strong = brc<T>;
  template <class T>
  using weak = weak_brc<T>;
  template <class T, class... Arguments>
  static brc<T> make(Arguments&&... arguments) {
    return make_brc<T>(std::forward<Arguments>(arguments)...);
  }
  template <class T, class... Arguments>
  static brc<T> allocate(std::pmr::memory_resource& from, Arguments&&... arguments) {
    return allocate_brc<T>(from, std::forward<Arguments>(arguments)...);
  }
};

using reference_kinds = ::testing::Types<rc_kind, arc_kind, brc_kind>;

}  // namespace tenure::test
