#include "instruments/cli/scan_refusal.h"

#include "wire/leak_scan.h"

namespace tenure::cli {

const char* refusal_text(std::uint32_t refusal) {
  switch (static_cast<wire::scan_refusal>(refusal)) {
    case wire::scan_refusal::none:
      return "";
    case wire::scan_refusal::threads_unknown:
      return "its threads cannot be listed: /proc is not mounted, or not readable";
    case wire::scan_refusal::no_copy:
      return "the kernel refused to copy the process (a limit on processes or on memory)";
    case wire::scan_refusal::no_memory:
      return "there was no memory, or no room in /dev/shm, for what was found";
    case wire::scan_refusal::copy_died:
      return "its copy was ended before it was looked through (out of memory, or killed)";
    case wire::scan_refusal::unsupported:
      return "it is built with a sanitizer";
    case wire::scan_refusal::already_scanning:
      return "it is still at the scan that was asked for before";
    case wire::scan_refusal::no_thread:
      return "the kernel refused it a thread (a limit on threads or on memory)";
    case wire::scan_refusal::inside_the_heap:
      return "a signal handler called exit() in the middle of malloc or free";
  }
  return "";
}

const char* unscanned_text(collect::process_end end) {
  switch (end) {
    case collect::process_end::killed:
      return "it was ended by a signal";
    case collect::process_end::left:
      return "it ended by _exit or quick_exit";
    case collect::process_end::replaced:
      return "it became another program";
    case collect::process_end::unwatched:
      return "it became a program without Tenure";
    case collect::process_end::running:
      return "it still runs";
    case collect::process_end::vanished:
      return "it ended without its destructors";
    case collect::process_end::exited:
      break;
  }
  return "it could not write what it found";
}

}  // namespace tenure::cli
