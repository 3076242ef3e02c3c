// Child process: starts the watched command so that it cannot tell that it is watched, and stands aside as a shell's
// `time` does.
//
// The child keeps our standard streams, process group, terminal, signal mask and signal dispositions. While it lives we
// take the signals that people send to a command by its process id through a signalfd, to hand them on; what a terminal
// sends has reached the child by itself.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <expected>
#include <string>
#include <utility>
#include <vector>

namespace tenure::collect {

struct child_command {
  std::string program;                                           // path of the file to start
  std::vector<std::string> arguments;                            // arguments[0] as the program shall see it
  std::vector<std::pair<std::string, std::string>> environment;  // set in addition to our own
};

// From now on a file of ours that reaches RLIMIT_FSIZE is a write that fails; children get the signal's action back.
void survive_file_size_limit();

// Takes signals over for the time it lives, and gives everything back.
class signal_relay {
 public:
  signal_relay();
  ~signal_relay();
  signal_relay(const signal_relay&) = delete;
  signal_relay& operator=(const signal_relay&) = delete;

  int descriptor() const { return descriptor_; }  // readable when a signal or a change of a child is pending
  // Takes all pending signals and hands them on to `child`.
  void relay(pid_t child);

  // The mask that was in force before, and the signals whose default action the child must get back.
  const sigset_t& original_mask() const { return original_mask_; }
  const sigset_t& default_signals() const { return default_signals_; }

 private:
  int descriptor_ = -1;
  sigset_t original_mask_{};
  sigset_t default_signals_{};
};

// Starts the command; the error is an errno.
std::expected<pid_t, int> start_child(const child_command& command, const signal_relay& relay);

struct child_exit {
  pid_t pid = 0;
  int status = 0;  // as of wait(2)
  struct rusage usage {};
};

// Children and adopted orphans that ended since the last call.
std::vector<child_exit> take_ended_children();

// As shells have it: the exit status, or 128 + the signal.
int shell_exit_code(int wait_status);

}  // namespace tenure::collect
