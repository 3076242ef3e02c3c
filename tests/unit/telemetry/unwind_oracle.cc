#include "unwind_oracle.h"

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <atomic>
#include <cstdio>

#include "core/telemetry/unwind.h"

namespace tenure::testing {
namespace {

constexpr std::size_t most_frames = 2048;

std::atomic<std::uint64_t> total_frames{0};

std::string describe(std::size_t frame, std::uint64_t ours, std::uint64_t theirs) {
  char text[160];
  std::snprintf(text, sizeof text, "frame %zu: tenure %#llx, libunwind %#llx", frame,
                static_cast<unsigned long long>(ours), static_cast<unsigned long long>(theirs));
  return text;
}

// Return addresses of the callers of where the cursor stands.
std::size_t callers(unw_cursor_t* cursor, std::uint64_t* frames) {
  std::size_t count = 0;
  while (count < most_frames && unw_step(cursor) > 0) {
    unw_word_t address = 0;
    if (unw_get_reg(cursor, UNW_REG_IP, &address) != 0 || address == 0) break;
    frames[count++] = address;
  }
  return count;
}

std::string compare(const std::uint64_t* ours, std::size_t our_count, telemetry::walk_end end,
                    const std::uint64_t* theirs, std::size_t their_count, bool known_start) {
  for (std::size_t i = 0; i < our_count && i < their_count; ++i) {
    if (ours[i] != theirs[i]) return describe(i, ours[i], theirs[i]);
  }
  total_frames += our_count;
  if (our_count != their_count) {
    return "tenure has " + std::to_string(our_count) + " frames, libunwind " + std::to_string(their_count);
  }
  if ((end == telemetry::walk_end::complete) != known_start) {
    return "the walk of " + std::to_string(our_count) + " frames ended with " +
           std::to_string(static_cast<unsigned>(end));
  }
  return {};
}

}  // namespace

[[gnu::noinline]] std::string compare_here(bool known_start) {
  static thread_local std::uint64_t ours[most_frames];
  static thread_local std::uint64_t theirs[most_frames];
  const telemetry::walk_result walk = telemetry::capture_stack(ours, most_frames, 0);
  unw_context_t context;
  unw_cursor_t cursor;
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  const std::size_t their_count = callers(&cursor, theirs);
  // The first of ours is in this function, where libunwind's cursor began.
  return compare(ours + 1, walk.frame_count - 1, walk.end, theirs, their_count, known_start);
}

std::string compare_interrupted(const ucontext_t& context) {
  static thread_local std::uint64_t ours[most_frames];
  static thread_local std::uint64_t theirs[most_frames];
  telemetry::start_registers from{};
#if defined(__x86_64__)
  from.instruction = static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
  from.stack = static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RSP]);
  from.frame = static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RBP]);
#else
  from.instruction = context.uc_mcontext.pc;
  from.stack = context.uc_mcontext.sp;
  from.frame = context.uc_mcontext.regs[29];
  from.link = context.uc_mcontext.regs[30];
#endif
  const telemetry::walk_result walk = telemetry::walk_stack(from, ours, most_frames);
  unw_context_t copy = context;
  unw_cursor_t cursor;
  unw_init_local2(&cursor, &copy, UNW_INIT_SIGNAL_FRAME);
  const std::size_t their_count = callers(&cursor, theirs);
  if (walk.frame_count == 0 || ours[0] != from.instruction) return "the interrupted instruction is missing";
  return compare(ours + 1, walk.frame_count - 1, walk.end, theirs, their_count, true);
}

std::uint64_t compared_frames() { return total_frames; }

}  // namespace tenure::testing
