// weak_map<K, V>: what belongs to objects without being in them. An entry lives as long as its key does.
//
//     struct viewer { tenure::gc::weak_map<page, layout> layouts; };
//     v->layouts.set(current, computed);
//     if (tenure::gc::local<layout> known = v->layouts.get(current)) use(*known);
//
// A table of ephemerons (ephemeron.hpp): an entry keeps its key alive neither by itself nor through its value, and is
// gone when the key has been found dead. Keys are told apart by their addresses, which do not change; two pointers to
// different parts of an object are different keys.
//
// A map lies in a managed object, or is one (make<weak_map<K, V>>()); keys, values and table are of its heap.
//
// Thread-safety: as std::unordered_map; the collector needs no leave. Throws std::bad_alloc, and then nothing has
// changed. A key is not null. Cost: 16 bytes a place, a quarter to three quarters of them free; get() is a probe of the
// table. The table grows, or is cleared of what is gone, when set() or insert() finds three quarters of it in use.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <tenure/gc/ephemeron.hpp>
#include <tenure/gc/make.hpp>
#include <tenure/gc/member.hpp>
#include <tenure/gc/members.hpp>

namespace tenure::gc {

template <class K, class V>
class weak_map final {
 public:
  weak_map() noexcept = default;
  weak_map(const weak_map&) = delete;
  weak_map& operator=(const weak_map&) = delete;
  ~weak_map() = default;

  // Null: there is none, or the value is null.
  local<V> get(const local<K>& key) const noexcept {
    const entry* found = find(key);
    return found != nullptr ? found->value_now() : nullptr;
  }
  bool contains(const local<K>& key) const noexcept { return find(key) != nullptr; }

  void set(const local<K>& key, const local<V>& value) {
    entry* found = find(key);
    if (found == nullptr) found = &make_place(key);
    found->set(key, value);
  }
  // False when the key has a value already, which stays.
  bool insert(const local<K>& key, const local<V>& value) {
    if (find(key) != nullptr) return false;
    make_place(key).set(key, value);
    return true;
  }
  // False when there was none.
  bool erase(const local<K>& key) noexcept {
    entry* found = find(key);
    if (found != nullptr) found->clear();
    return found != nullptr;
  }
  void clear() noexcept {
    table_ = nullptr;
    used_ = 0;
  }

  // Entries whose keys have not been found dead. Looks at all of them.
  std::size_t count() const noexcept {
    std::size_t living = 0;
    for_each([&](const local<K>&, const local<V>&) { ++living; });
    return living;
  }
  // visit(const local<K>&, const local<V>&) for each; it may change the map, and sees entries that it adds or not.
  template <class Visit>
  void for_each(Visit visit) const {
    const local<array<entry>> table = table_;
    if (!table) return;
    for (const entry& each : *table) {
      if (const local<K> key = each.key()) visit(key, each.value_now());
    }
  }

 private:
  TENURE_GC_MEMBERS(weak_map, table_, used_);
  using entry = ephemeron<K, V>;
  static constexpr std::size_t least_places = 8;

  static std::size_t hash(const local<K>& key) noexcept {
    const std::uint64_t mixed = reinterpret_cast<std::uintptr_t>(key.get()) * 0x9E3779B97F4A7C15;
    return mixed ^ mixed >> 32;
  }

  entry* find(const local<K>& key) const noexcept {
    if (table_ == nullptr) return nullptr;
    const std::size_t mask = table_->size() - 1;
    for (std::size_t at = hash(key);; ++at) {
      entry& each = (*table_)[at & mask];
      if (each.is_of(key)) return &each;
      if (each.was_never_set()) return nullptr;
    }
  }

  // For a key that is not in the table: a place that is empty, in use from here on.
  entry& make_place(const local<K>& key) {
    if (table_ == nullptr || (used_ + 1) * 4 > table_->size() * 3) rebuild();
    return take_place(*table_, key);
  }
  entry& take_place(array<entry>& table, const local<K>& key) noexcept {
    const std::size_t mask = table.size() - 1;
    for (std::size_t at = hash(key);; ++at) {
      entry& each = table[at & mask];
      if (each.raw_key() != nullptr) continue;
      if (each.was_never_set()) ++used_;
      return each;
    }
  }

  void rebuild() {
    const std::size_t places = std::bit_ceil(count() * 2 + least_places);
    const local<array<entry>> made = detail::make_array_in<entry>(detail::heap_of_owner(this, "weak_map").heap, places);
    const local<array<entry>> before = table_;
    used_ = 0;
    if (before) {
      for (const entry& each : *before) {
        if (const local<K> key = each.key()) take_place(*made, key).set(key, each.value_now());
      }
    }
    table_ = made;
  }

  member<array<entry>> table_;
  std::size_t used_ = 0;  // places that are not as they were made
};

}  // namespace tenure::gc
