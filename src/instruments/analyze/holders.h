// Holders: what leads to the blocks that are reachable or possible, by the stack that allocated them and by the root
// from which they are reached.
//
//   root ─► block ─► block ─► ... ─► block of the site
//
// A process tells for each of its blocks one pointer to it, so that the way from a root is a shortest one
// (wire/leak_scan.h). Of a site the blocks are summed by the variable, stack or register where their ways begin, and of
// each of these the shortest way is told. It is one way and not the only one: freeing what it goes through need not
// free the block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/user_frame.h"
#include "instruments/collect/leak_scan.h"

namespace tenure::analyze {

struct holding_root {
  wire::root_kind kind = wire::root_kind::memory;
  bool is_known = false;     // the pointer lies in a root that was told
  std::string name;          // the variable's; "module+0xoffset", or the mapping's where that alone is known; or empty
  std::string module;        // of a variable
  std::uint64_t offset = 0;  // of the pointer: in the variable, in the mapping, from the stack pointer or the end of it
  std::uint32_t thread = 0;  // the kernel's number; 0: of memory
  std::string thread_name;   // empty: not known
  std::uint64_t address = 0;  // of the pointer to the first block of the way

  bool is_same_holder(const holding_root& other) const {
    return kind == other.kind && thread == other.thread && name == other.name && module == other.module;
  }
};

struct holding_step {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;  // as requested where that is known, else usable
  std::uint32_t stack = no_index;
  std::uint64_t inside = 0;   // how far into the block the pointer to it points
  std::uint64_t offset = 0;   // of the pointer to it, in the block before; of the first block, see the root
  std::uint64_t repeats = 0;  // so many more follow, of the same stack and size, by the same offset; told as one step
  frame place;                // the user frame of the stack; without a function where none is known
};

struct holding {
  holding_root root;
  exact_amount held;              // of the site, by ways that begin there
  std::vector<holding_step> way;  // to the nearest of these blocks, which is the last step
  std::uint64_t way_blocks = 0;   // with the repeats
};

struct held_site {
  wire::block_reach reach = wire::block_reach::reachable;
  std::uint32_t stack = no_index;
  exact_amount held;
  amount sampled;                 // what the sampled ones among them stand for
  std::vector<frame> chain;       // from the user frame outward
  std::vector<holding> holdings;  // by bytes, greatest first
};

// Of the blocks whose stack is known and that `takes` says yes to; reachable ones first, by bytes, greatest first.
std::vector<held_site> find_holders(const process_profile& of, const collect::leak_scan& scan, frame_resolver& frames,
                                    symbols::symbolizer& symbolizer,
                                    const std::function<bool(const collect::scanned_block&)>& takes);

}  // namespace tenure::analyze
