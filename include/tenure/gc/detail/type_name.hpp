// A type's name as the compiler prints it, and whether it is one of the standard library's.
//
// No list of the standard library's templates is kept and none of its headers is needed: a program may not put types
// of its own into namespace std, so the name decides.
#pragma once

#include <string_view>

namespace tenure::gc::detail {

template <class T>
constexpr std::string_view signature_of() noexcept {
  return __PRETTY_FUNCTION__;
}

// What stands around the type in the signature is the same for every type.
template <class T>
constexpr std::string_view name_of() noexcept {
  constexpr std::string_view probe = signature_of<double>();
  constexpr std::size_t before = probe.find("double");
  constexpr std::size_t after = probe.size() - before - std::string_view("double").size();
  constexpr std::string_view whole = signature_of<T>();
  // g++ explains its alias after the type: "T = int; std::string_view = ...".
  return whole.substr(before, whole.size() - before - after);
}

template <class T>
constexpr bool is_standard() noexcept {
  return name_of<T>().starts_with("std::");
}

// Standard types that can hold any object without naming it in their type.
template <class T>
constexpr bool hides_what_it_holds() noexcept {
  constexpr std::string_view name = name_of<T>();
  return name == "std::any" || name.starts_with("std::function<") || name.starts_with("std::packaged_task<") ||
         name.starts_with("std::move_only_function<");
}

}  // namespace tenure::gc::detail
