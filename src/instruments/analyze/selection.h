// Selection: which blocks of a recording a command speaks of. Every command that reads a recording takes the same.
//
//   window     allocated in [begin, end) since the process's start; what happens later is not looked at
//   process    by its pid
//   thread     that allocated: by its kernel id, or by its name
//   module     in which the stack's user frame lies (user_frame.h)
//   function   on whose behalf: any frame of the stack, inlined ones too
//   size       as requested
//
// A free goes with its allocation. Names are given as a pattern: a part of the name, or with `*` the whole of it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {

inline constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

struct selection {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = no_end;
  std::uint32_t process = no_index;  // no_index: all
  std::string thread = {};           // empty: all; likewise below
  std::string module = {};
  std::string function = {};
  std::uint64_t least_bytes = 0;
  std::uint64_t most_bytes = no_end;

  bool has_window() const { return begin_ns != 0 || end_ns != no_end; }
  // Whether blocks of one moment are told from others.
  bool chooses_blocks() const;
};

// "allocated from 1.00 s to 2.00 s, by thread 'worker'"; empty when everything is selected.
std::string describe(const selection& selected);

// Whether `pattern` is a part of `text` or, where it has a `*`, fits all of it.
bool fits(std::string_view pattern, std::string_view text);

// The selection, applied to one process. Each stack and thread is judged once, when it is first asked for.
class selector {
 public:
  // `frames` is of the process and outlives the selector.
  selector(const selection& selected, const process_profile& of, frame_resolver& frames);

  bool takes_process() const { return takes_process_; }
  bool takes(std::uint32_t stack, std::uint32_t thread, std::uint64_t bytes) {
    return bytes >= selected_.least_bytes && bytes <= selected_.most_bytes && (takes_all_ || takes_site(stack, thread));
  }

 private:
  enum class verdict : std::uint8_t { open, yes, no };
  bool takes_site(std::uint32_t stack, std::uint32_t thread);
  bool judge_stack(std::uint32_t stack);
  bool judge_thread(std::uint32_t thread) const;

  const selection& selected_;
  const process_profile& profile_;
  frame_resolver& frames_;
  bool takes_process_;
  bool takes_all_;  // stacks and threads
  std::vector<verdict> stacks_, threads_;
};

}  // namespace tenure::analyze
