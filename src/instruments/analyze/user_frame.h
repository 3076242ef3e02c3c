// User frame: which frame of a stack stands for it.
//
// The innermost frames of every stack are the heap, the C++ library and the program's own wrappers of malloc and free;
// a table that names those says nothing. The user frame is the first one outside of them; the chain shown beside it
// begins there. A stack that never leaves the runtime, such as that of a library's constructor, has the runtime's first
// frame outside of the heap for its user frame.
#pragma once

#include <string>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// Frames of the record's locations, resolved when they are first asked for and kept in the profile.
class frame_resolver {
 public:
  frame_resolver(process_profile& of, symbols::symbolizer& symbolizer);

  const std::vector<frame>& at(std::uint32_t location);
  // All of them, for exports that name every frame.
  void resolve_all();

  // One frame of a stack, with the module it was found in.
  struct placed_frame {
    const frame* what = nullptr;
    std::uint32_t module = no_index;
    std::uint32_t location = no_index;
  };
  // The frames that speak for a stack, from the user frame outward, inlined ones among them; at most `limit`.
  std::vector<placed_frame> user_chain(std::uint32_t stack, std::size_t limit);
  // As many of them as a report shows beside a figure.
  std::vector<frame> shown_chain(std::uint32_t stack);
  // As many as tell two sites apart.
  std::vector<frame> site_chain(std::uint32_t stack);

 private:
  std::vector<frame> first_of_chain(std::uint32_t stack, std::size_t limit);
  // The frames outside of certain modules and of the helpers that come first.
  std::vector<placed_frame> chain_beyond(bool (*leaves_out)(const std::string& path), std::uint32_t stack,
                                         std::size_t limit);

  process_profile& profile_;
  symbols::symbolizer& symbolizer_;
};

// Whether a module is the heap or a library beneath the program: libc, the C++ library, the loader.
bool is_runtime_module(const std::string& path);
// Whether a function is of the C++ library, makes managed objects, or is a wrapper of malloc or free by its name
// ("xmalloc", "sqlite3DbMallocRaw", "g_free").
bool is_allocation_helper(const std::string& function);

// What a site reads as: the same for stacks whose frames read the same, its own for one without frames.
std::string shown_site(const std::vector<frame>& chain, std::uint32_t stack);

std::string module_label(const process_profile& of, std::uint32_t module);

}  // namespace tenure::analyze
