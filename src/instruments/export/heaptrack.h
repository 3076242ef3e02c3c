// heaptrack's data as heaptrack_interpret leaves them (version 3 of its format), for heaptrack_print and heaptrack_gui.
//
//   s 4 main        text 1, 2, ...; the first is the program's file
//   i 55af 1 2 ...  place 1, 2, ...: address, module, then function, file and line, the innermost first
//   t 1 0           trace 1, 2, ...: place, trace of its caller
//   a 40 1          kind of block 0, 1, ...: bytes, trace
//   + 0   - 0       one of that kind came, one went
//   c 1f4           milliseconds since the start
//
// The events stand in it one by one, so it is written as the recording is read: memory does not grow with its length.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "instruments/analyze/recording_walk.h"

namespace tenure::exporting {

// Takes the next piece of the text; false when it cannot be written.
using text_sink = std::function<bool(std::string_view)>;

// What is selected of the walk's process number `index`. Runs the walk. False when the sink has refused a piece.
bool write_heaptrack(analyze::recording_walk& walk, std::size_t index, const text_sink& sink);

}  // namespace tenure::exporting
