#include "core/heap/misuse.h"

#include <dlfcn.h>
#include <unistd.h>
#include <cstdlib>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/base/options.h"
#include "core/heap/heap.h"
#include "core/os/clock.h"
#include "core/telemetry/unwind.h"

namespace tenure::core {
namespace {

const char* sentence(misuse what) noexcept {
  switch (what) {
    case misuse::double_free:
      return "double free of ";
    case misuse::interior_pointer:
      return "free of an interior pointer ";
    case misuse::foreign_pointer:
      return "free of a foreign pointer ";
    case misuse::size_mismatch:
      return "sized delete or free with a size that is not this block's: ";
    case misuse::heap_mismatch:
      return "free to a named heap that does not own the block ";
  }
  return "misuse of ";
}

void describe_address(message& text, const void* address) noexcept {
  std::size_t bytes = 0;
  const void* start = block_start(address, &bytes);
  if (start == nullptr) {
    text.add(is_in_window(address) ? "; no block in use lies there (freed before, or never handed out)"
                                   : "; it does not lie in Tenure's heap");
    return;
  }
  text.add("; it lies ").add_decimal(static_cast<const char*>(address) - static_cast<const char*>(start));
  text.add(" bytes into the block of ").add_decimal(bytes).add(" bytes at ");
  text.add_hex(reinterpret_cast<std::uintptr_t>(start));
}

void add_frame(message& text, std::uint64_t address) noexcept {
  text.add("  at ").add_hex(address);
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address - 1), &info) != 0 && info.dli_fname != nullptr) {
    text.add(" in ").add(info.dli_fname).add("+").add_hex(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
    if (info.dli_sname != nullptr) text.add(" (").add(info.dli_sname).add(")");
  }
  text.add("\n");
}

const char* name_of(wire::allocation_entry entry) noexcept {
  switch (entry) {
    case wire::allocation_entry::operator_new:
      return "operator new";
    case wire::allocation_entry::operator_new_array:
      return "operator new[]";
    default:
      return "malloc";
  }
}

const char* name_of(free_entry entry) noexcept {
  switch (entry) {
    case free_entry::operator_delete:
      return "operator delete";
    case free_entry::operator_delete_array:
      return "operator delete[]";
    default:
      return "free";
  }
}

// The message has begun; what lies at the address, who did it, and the stack.
void finish(message& text, const void* address) noexcept {
  text.add_hex(reinterpret_cast<std::uintptr_t>(address));
  describe_address(text, address);
  text.add(", in process ").add_decimal(static_cast<std::uint64_t>(::getpid()));
  text.add(", thread ").add_decimal(os::thread_id()).add("\n");
  std::uint64_t frames[32];
  const telemetry::walk_result stack = telemetry::capture_stack(frames, 32, 0);
  for (std::uint32_t i = 0; i < stack.frame_count; ++i) add_frame(text, frames[i]);
  text.write_to(STDERR_FILENO);
}

}  // namespace

void report_misuse(misuse what, const void* address) noexcept {
  message text;
  text.add("tenure: ").add(sentence(what));
  finish(text, address);
  if (value(option::abort_on_misuse) != 0) std::abort();
}

void report_mismatch(const void* block, wire::allocation_entry made, free_entry freed) noexcept {
  TENURE_DCHECK(block != nullptr && freed != free_entry::unknown);
  static bool is_told = false;
  if (__atomic_exchange_n(&is_told, true, __ATOMIC_RELAXED)) return;
  message text;
  text.add("tenure: ").add(name_of(freed)).add(" of what ").add(name_of(made)).add(" allocated, at ");
  finish(text, block);
  if (value(option::abort_on_mismatch) != 0 && value(option::abort_on_misuse) != 0) std::abort();
}

}  // namespace tenure::core
