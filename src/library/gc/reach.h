// A walk from the roots that shares nothing with the marker: a set of addresses, a queue, and the compiler's list of an
// object's slots, asked anew for each object. Slow, and simple enough to be believed. For the verifier and for whoever
// asks why an object is alive. With all threads stopped.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "library/gc/heap_state.h"

namespace tenure::gc {

// How an object was reached first.
struct arrival {
  char* from = nullptr;    // the cell whose slot led here; null: a root
  std::size_t offset = 0;  // of that slot in the payload
  std::string root;        // what root
  void* target = nullptr;  // what the slot said
};

using arrivals = std::unordered_map<char*, arrival>;  // by cell

// Everything of the heap that its roots lead to, nearest first. A pointer that leads to no object ends the program.
arrivals walk_from_roots(heap_state& heap);

// Addresses of all slots of the object in the cell, and of all its pairs.
struct slots_and_pairs {
  std::vector<char*> slots;
  std::vector<char*> pairs;
};
slots_and_pairs slots_in_cell(char* cell);

}  // namespace tenure::gc
