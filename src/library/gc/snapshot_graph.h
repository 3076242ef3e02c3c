// What a heap_snapshot holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tenure/gc/snapshot.hpp>

namespace tenure::gc {

struct heap_snapshot::graph {
  std::string heap_name;
  std::vector<snapshot_object> objects;
  std::vector<std::uint32_t> first_edge;  // of each object, and one more
  std::vector<snapshot_edge> edges;
  std::vector<std::string> names;                   // of slots; an empty one: an element of an array
  std::vector<bool> is_element;                     // of names: the element's number comes before
  std::uint32_t pair_name = snapshot_object::none;  // of the value of an ephemeron
  std::vector<std::string> holders;
  std::vector<snapshot_root> roots;
  std::vector<snapshot_site> sites;
  std::vector<std::uint32_t> by_dominance;  // objects; each comes behind its dominator
};

}  // namespace tenure::gc
