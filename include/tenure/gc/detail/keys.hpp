// How maps order and compare their keys if the program does not say, and what else than a key a key is looked up by and
// made of.
//
// Not promised: nothing in namespace detail is for programs to use.
#pragma once

#include <functional>
#include <type_traits>

namespace tenure::gc::detail {

template <class K>
struct key_traits {
  using compare = std::less<K>;
  using equal = std::equal_to<K>;
  template <class Key>
  static constexpr bool takes = false;
};

template <class Function>
concept transparent = requires {
  typename Function::is_transparent;
};

// K itself, or what stands for one wherever all of these functions take it as it is.
template <class Key, class K, class... Functions>
concept key_for = std::is_same_v<std::remove_cvref_t<Key>, K> ||
    ((transparent<Functions> && ...) && key_traits<K>::template takes<std::remove_cvref_t<Key>>);
template <class Key, class K, class... Functions>
concept stands_for_key = !std::is_same_v<std::remove_cvref_t<Key>, K> && key_for<Key, K, Functions...>;

}  // namespace tenure::gc::detail
