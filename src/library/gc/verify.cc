#include "library/gc/verify.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>

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

struct walk {
  explicit walk(heap_state& of) : heap(of) {}

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
    const detail::type_descriptor* type = type_of(cell);
    if (type == nullptr) return;
    const char* payload = cell + type->payload_offset;
    const slots_and_pairs all = slots_in_cell(cell);
    for (char* slot : all.slots) {
      if (void* target = read_slot(slot)) arrive({cell, static_cast<std::size_t>(slot - payload), {}, target});
    }
    for (char* pair : all.pairs) pairs.push_back({cell, static_cast<std::size_t>(pair - payload), {}, pair});
  }

  // Values of pairs whose keys were found; false when there is no new one.
  bool follow_pairs() {
    const std::size_t before = found.size();
    for (arrival pair : pairs) {
      auto* words = static_cast<char*>(pair.target);
      pair.target = read_slot(words);
      if (pair.target == nullptr || !found.contains(expect_object(pair).cell)) continue;
      pair.offset += sizeof(void*);
      pair.target = read_slot(words + sizeof(void*));
      if (pair.target != nullptr) arrive(pair);
    }
    return found.size() != before;
  }

  heap_state& heap;
  arrivals found;
  std::deque<char*> waiting;
  std::vector<arrival> pairs;  // of what was found; the target is the pair itself
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
  walk from(heap);
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      const std::string name = "local of thread " + std::to_string(at->id);
      for_each_slot(*at, [&](void* target) { from.arrive({nullptr, 0, name, target}); });
    }
  }
  for_each_root([&](void* target) { from.arrive({nullptr, 0, "root", target}); });
  do {
    while (!from.waiting.empty()) {
      char* cell = from.waiting.front();
      from.waiting.pop_front();
      from.follow(cell);
    }
  } while (from.follow_pairs());
  return std::move(from.found);
}

void verify_marks(heap_state& heap) noexcept {
  check_heap(heap);
  window& all = window::get();
  for (const auto& [cell, how] : walk_from_roots(heap)) {
    if (!all.place(cell).is_alive()) disagree(how, cell, "reachable and not marked");
  }
}

void verify_reachable(heap_state& heap) noexcept {
  check_heap(heap);
  window::get().check();
  walk_from_roots(heap);
}

}  // namespace tenure::gc
