// heaptrack's traces: a tree of places, each with the trace of its caller, as stacks of a recording.
#pragma once

#include <cstdint>
#include <vector>

#include "instruments/import/imported_run.h"

namespace tenure::importing {

class heaptrack_traces {
 public:
  explicit heaptrack_traces(imported_run& into) : into_(into) {}

  // How many there are, trace 0, that of nothing, among them.
  std::size_t size() const { return traces_.size(); }
  // `location` is of the recording, `parent` a trace before.
  void add(std::uint32_t location, std::uint32_t parent) { traces_.push_back({location, parent}); }
  // The stack of one of them.
  std::uint32_t stack_of(std::uint64_t trace);
  // A few lines can name the same long stacks over and over.
  bool are_too_many() const;

 private:
  struct step {
    std::uint32_t location = 0;
    std::uint32_t parent = 0;
  };
  imported_run& into_;
  std::vector<step> traces_ = {{}};
  std::vector<std::uint32_t> stacks_;  // no_index: not needed yet
  std::size_t stack_frames_ = 0;       // of all stacks
};

}  // namespace tenure::importing
