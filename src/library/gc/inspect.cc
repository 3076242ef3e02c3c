// What a heap tells about its objects.
#include <algorithm>

#include "library/gc/cycle.h"
#include "library/gc/marker.h"
#include "library/gc/reach.h"
#include "library/gc/verify.h"

namespace tenure::gc {

namespace {

void add_objects(std::size_t block, std::vector<object_information>& into) {
  window& all = window::get();
  const block_header& header = all.header(block);
  for (std::uint32_t index = 0; index < header.cell_count; ++index) {
    const cell_place at = all.place(all.address_of(block) + std::size_t{index} * header.cell_bytes);
    if (!all.is_allocated(at)) continue;
    const detail::type_descriptor* type = type_of(at.cell);
    if (type == nullptr || type == &detail::descriptor_of<char>) continue;  // not made yet, or not any more
    const std::size_t bytes = header.reciprocal != 0 ? header.cell_bytes : header.large_bytes;
    into.push_back({at.cell + type->payload_offset, type->name, bytes, element_count(*type, at.cell)});
  }
}

}  // namespace

std::vector<object_information> heap::objects() const {
  std::vector<object_information> found;
  const holding guard(cycle_lock());
  const stopped_world stopped(nullptr);
  for_each_block(*state_, [&](std::size_t block) { add_objects(block, found); });
  return found;
}

std::vector<path_step> heap::path_to(const void* address) const {
  std::vector<path_step> path;
  const holding guard(cycle_lock());
  const stopped_world stopped(nullptr);
  window& all = window::get();
  if (!all.holds(address)) return path;
  const arrivals reached = walk_from_roots(*state_);
  char* cell = all.place(address).cell;
  for (auto at = reached.find(cell); at != reached.end(); at = reached.find(cell)) {
    const arrival& how = at->second;
    const std::string from = how.from != nullptr ? std::string(type_of(how.from)->name) : how.root;
    path.push_back({from, how.offset, how.target});
    if (how.from == nullptr) break;
    cell = how.from;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

void heap::check() const {
  const holding guard(cycle_lock());
  const stopped_world stopped(nullptr);
  verify_reachable(*state_);
}

}  // namespace tenure::gc
