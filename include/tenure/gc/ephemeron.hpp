// ephemeron<K, V>: a pair in a managed object: the value lives because of the key, and the key does not live because of
// the pair.
//
//     struct note { tenure::gc::ephemeron<page, layout> shown; };
//     n->shown.set(current, computed);
//     if (tenure::gc::local<layout> known = n->shown.value()) use(*known);
//
// What a weak key and a member value cannot do: a value that leads back to its own key keeps neither alive. weak_map is
// a table of them.
//
// The contract, a sentence a line; tests/unit/gc/ephemeron_test.cc has a test for each:
//   1. The value is alive while both the key and the object that has the pair are.
//   2. The pair keeps its key alive neither by itself nor through its value.
//   3. A key that is found dead leaves an empty pair: from then on key() and value() return null.
//   4. It is empty when a weak reference to the key is null, and before the destructors of key and value run.
//   5. Chains and rings of pairs, in which one's value is or leads to another's key, are followed to their end.
//   6. In a destructor, a pair of the dying object is empty if its key dies, too; a value that dies reads as null.
//   7. What key() and value() return keeps the object alive.
//
// In managed objects only, all of one heap. Two change places with swap(a, b), found by their class: std::swap(a, b) by
// its full name keeps one on the stack, where it keeps nothing alive. Thread-safety: as member<T>, one thread at a
// time. Cost: two words; to set it, a function call and what a store of a member costs; to read it, what
// weak<T>::lock() costs. To the collector: a look at each pair of a living object in a full cycle, in a young one at
// those set since the last.
#pragma once

#include <tenure/gc/detail/fields.hpp>
#include <tenure/gc/detail/runtime.hpp>
#include <tenure/gc/local.hpp>

namespace tenure::gc {

template <class K, class V>
class ephemeron final : detail::pair_class {
 public:
  ephemeron() noexcept {
    detail::store_word(&words_.key, static_cast<void*>(nullptr));
    detail::store_word(&words_.value, static_cast<void*>(nullptr));
  }
  ephemeron(const local<K>& key, const local<V>& value) noexcept : ephemeron() { set(key, value); }
  ephemeron(const ephemeron& other) noexcept : ephemeron() { *this = other; }
  ~ephemeron() = default;
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): storing what is there already is harmless
  ephemeron& operator=(const ephemeron& other) noexcept {
    const local<K> held = other.key();
    set(held, held ? other.value_now() : nullptr);
    return *this;
  }

  // With a null key it is empty.
  void set(const local<K>& key, const local<V>& value) noexcept {
    detail::store_pair(words_, detail::untyped(key.get()), detail::untyped(value.get()));
  }
  void clear() noexcept { detail::store_pair(words_, nullptr, nullptr); }

  // Keys and values of both are held by the stack while they are in neither pair.
  friend void swap(ephemeron& a, ephemeron& b) noexcept {
    const local<K> key = a.key();
    const local<V> value = key ? a.value_now() : nullptr;
    const local<K> other_key = b.key();
    const local<V> other_value = other_key ? b.value_now() : nullptr;
    a.set(other_key, other_value);
    b.set(key, value);
  }

  local<K> key() const noexcept {
    local<K> held;
    if (detail::lock_key(words_, held.held_slot())) held.refresh(static_cast<K*>(held.held_slot()->load()));
    return held;
  }
  local<V> value() const noexcept {
    const local<K> held = key();
    return held ? value_now() : nullptr;
  }
  // Without a look at whether the key lives: who asks has it.
  bool is_of(const local<K>& key) const noexcept { return raw_key() == detail::untyped(key.get()); }
  local<V> value_of(const local<K>& key) const noexcept { return key && is_of(key) ? value_now() : nullptr; }

 private:
  template <class, class>
  friend class weak_map;

  void* raw_key() const noexcept { return __atomic_load_n(&words_.key, __ATOMIC_ACQUIRE); }
  void* raw_value() const noexcept { return __atomic_load_n(&words_.value, __ATOMIC_ACQUIRE); }
  // The key is held by somebody, and with it the value.
  local<V> value_now() const noexcept { return local<V>(static_cast<V*>(raw_value())); }
  bool was_never_set() const noexcept { return raw_key() == nullptr && raw_value() == nullptr; }

  detail::pair_words words_;
};

}  // namespace tenure::gc
