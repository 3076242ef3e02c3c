// From the library's constructor to the process's end.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#include <cerrno>

#include "core/base/options.h"
#include "core/heap/background.h"
#include "core/heap/fork.h"
#include "core/heap/heap.h"
#include "core/interface/account.h"
#include "core/interface/export.h"
#include "core/interface/figures.h"
#include "core/interface/live_core.h"
#include "core/interface/report.h"
#include "core/scan/scan.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/telemetry.h"
#include "core/telemetry/unwind.h"

using namespace tenure;

namespace {

// One that was chosen for neither is inert: live_core.h says why there can be two.
bool has_a_part() noexcept { return core::is_live_core() || core::serves_malloc(); }

// The interface's own locks stand outside of the heap's.
void before_fork() noexcept {
  core::lock_foreign_shrinkers();
  core::lock_figures();
  core::before_fork();
}
void unlock_interface() noexcept {
  core::unlock_figures();
  core::unlock_foreign_shrinkers();
}
void after_fork_in_parent() noexcept {
  core::after_fork_in_parent();
  unlock_interface();
}
void after_fork_in_child() noexcept {
  core::after_fork_in_child();
  unlock_interface();  // held by this thread, which is the one that lives
}

// Runs before the program's own constructors; malloc has been called before, by the loader and by libraries.
[[gnu::constructor(101)]] void begin() {
  if (!has_a_part()) return;
  core::initialize();
  telemetry::tell_malloc_owner(core::serves_malloc() ? wire::malloc_owner::tenure : wire::malloc_owner::other);
  ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  core::allow_background();
  core::prepare_scans();
}

// Runs after the program's destructors and atexit functions, as far as the loader can tell. Memory is served on.
[[gnu::destructor(101)]] void end() {
  if (!has_a_part()) return;
  core::forbid_background();
  core::scan_at_exit();
  if (core::value(core::option::report_at_exit) != 0) core::write_report(STDERR_FILENO);
  telemetry::finish();
}

}  // namespace

// Code may be unloaded and other code loaded in its place: what the unwinder knows of it is forgotten.
TENURE_EXPORT int dlclose(void* handle) {
  using function = int (*)(void*);
  static function next = nullptr;
  if (next == nullptr) next = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "dlclose"));
  const int result = next == nullptr ? -1 : next(handle);
  telemetry::forget_recorded_stacks();
  telemetry::forget_rules();
  return result;
}
