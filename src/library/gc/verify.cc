#include "library/gc/verify.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "library/gc/finalizer.h"
#include "library/gc/marker.h"
#include "library/gc/reach.h"
#include "library/gc/roots.h"

namespace tenure::gc {

namespace {

std::string type_name(const char* cell) {
  const detail::type_descriptor* type = type_of(cell);
  return type == nullptr ? "an object under construction" : std::string(type->name);
}

[[noreturn]] void disagree(const arrival& how, const char* cell, const char* what) {
  const std::string from = how.from != nullptr ? type_name(how.from) + " + " + std::to_string(how.offset) : how.root;
  std::fprintf(stderr, "tenure: gc verifier: %s leads to %p (%s), which is %s\n", from.c_str(),
               static_cast<const void*>(cell), type_name(cell).c_str(), what);
  std::abort();
}

struct verification {
  explicit verification(heap_state& of) : heap(of) {}

  // Or of another heap, where a root may lead.
  cell_place expect_object(const arrival& how) const {
    const window& all = window::get();
    if (!all.holds(how.target)) disagree(how, static_cast<char*>(how.target), "not managed");
    const cell_place at = all.place(how.target);
    if (at.header->heap_number != heap.number) {
      if (how.from != nullptr) disagree(how, at.cell, "in another heap");
      return at;
    }
    if (!all.is_allocated(at)) disagree(how, at.cell, "free");
    return at;
  }

  void arrive(const arrival& how) {
    const cell_place at = expect_object(how);
    if (at.header->heap_number != heap.number) return;
    if (found.emplace(at.cell, how).second) waiting.push_back(at.cell);
  }

  void follow(char* cell) {
    if (const auto waited = waiting_pairs.find(cell); waited != waiting_pairs.end()) {
      for (const arrival& value : std::exchange(waited->second, {})) {
        if (value.target != nullptr) arrive(value);
      }
    }
    const detail::type_descriptor* type = type_of(cell);
    if (type == nullptr) return;
    const char* payload = cell + type->payload_offset;
    const slots_and_pairs all = slots_in_cell(cell);
    for (char* slot : all.slots) {
      if (void* target = read_slot(slot)) arrive({cell, static_cast<std::size_t>(slot - payload), {}, target});
    }
    for (char* pair : all.pairs) follow_pair(cell, static_cast<std::size_t>(pair - payload), pair);
  }

  // The value hangs on its key: a pair whose key was not found yet waits for it.
  void follow_pair(char* cell, std::size_t offset, char* words) {
    const arrival to_key{cell, offset, {}, read_slot(words)};
    if (to_key.target == nullptr) return;
    const arrival to_value{cell, offset + sizeof(void*), {}, read_slot(words + sizeof(void*))};
    char* key = expect_object(to_key).cell;
    if (!found.contains(key)) {
      waiting_pairs[key].push_back(to_value);
    } else if (to_value.target != nullptr) {
      arrive(to_value);
    }
  }

  heap_state& heap;
  arrivals found;
  std::deque<char*> waiting;
  std::unordered_map<char*, std::vector<arrival>> waiting_pairs;  // to values, by the cells of keys
};

}  // namespace

slots_and_pairs slots_in_cell(char* cell) {
  slots_and_pairs found;
  const detail::type_descriptor* type = type_of(cell);
  if (type == nullptr || type->list == nullptr) return found;
  if (type->needs_object && !type->listed.load(std::memory_order_acquire)) return found;
  const std::size_t count = element_count(*type, cell);
  std::vector<std::uint32_t> offsets(type->slot_count + type->pair_count);
  char* element = cell + type->payload_offset;
  for (std::size_t i = 0; i < count; ++i, element += type->element_bytes) {
    detail::slot_list sink{reinterpret_cast<std::uintptr_t>(element), offsets.data(), type->counts()};
    if (type->needs_object) {
      std::copy_n(type->offsets, offsets.size(), offsets.begin());
    } else {
      type->list(element, sink);
    }
    for (std::size_t each = 0; each < offsets.size(); ++each) {
      (each < type->slot_count ? found.slots : found.pairs).push_back(element + offsets[each]);
    }
  }
  return found;
}

arrivals walk_from_roots(heap_state& heap) {
  verification from(heap);
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      const std::string name = "local of thread " + std::to_string(at->id);
      for_each_slot(*at, [&](void* target) { from.arrive({nullptr, 0, name, target}); });
    }
  }
  for_each_root([&](void* target) { from.arrive({nullptr, 0, "root", target}); });
  while (!from.waiting.empty()) {
    char* cell = from.waiting.front();
    from.waiting.pop_front();
    from.follow(cell);
  }
  return std::move(from.found);
}

void verify_marks(heap_state& heap) noexcept try {
  check_heap(heap);
  window& all = window::get();
  for (const auto& [cell, how] : walk_from_roots(heap)) {
    if (!all.place(cell).is_alive()) disagree(how, cell, "reachable and not marked");
  }
} catch (const std::bad_alloc&) {
  return;  // nothing is known to be wrong; the next cycle looks again
}

void verify_reachable(heap_state& heap) {
  check_heap(heap);
  window::get().check();
  walk_from_roots(heap);
}

}  // namespace tenure::gc
