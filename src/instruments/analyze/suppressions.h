// Suppressions: which blocks that were never freed are no leaks, in the format of LeakSanitizer.
//
//   leak:load_plugins        a function, file or module of the stack has this in its name
//   leak:^libGL*.so          ^ is its beginning, $ its end, and * stands for anything
//   # a line of its own      is no rule; neither are rules of other kinds than leak
//
// What the C and C++ libraries keep for themselves until the process ends (buffers of streams, locales, what the loader
// knows) is always left out: it is theirs, a program cannot free it.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {

class suppressions {
 public:
  // The rules of a file's text. The error is a sentence without its beginning: "line 3 is no rule: ...".
  std::expected<void, std::string> add(std::string_view text);

  bool takes(const process_profile& of, frame_resolver& frames, std::uint32_t stack) const;

 private:
  std::vector<std::string> patterns_;
};

// Whether `pattern` is in `text`, as LeakSanitizer means it.
bool is_suppressed_by(std::string_view pattern, std::string_view text);

// Whether a stack's block belongs to the C or C++ library itself.
bool is_of_the_runtime(const process_profile& of, frame_resolver& frames, std::uint32_t stack);

}  // namespace tenure::analyze
