#include "instruments/collect/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <string_view>

#include "instruments/collect/process_files.h"

extern char** environ;

namespace tenure::collect {
namespace {

// Whether the file size limit had its default action, to be given back to the program.
bool ends_at_file_size_limit = false;

// What somebody may send to the command and means for the program; all but what cannot be taken or tells of a fault.
sigset_t relayed_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH,
                           SIGALRM, SIGPIPE, SIGURG, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT})
    ::sigaddset(&set, signal);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ::sigaddset(&set, signal);
  return set;
}

// The terminal tells its whole foreground group, and a program that we run which signals its group (kill(0, ...)) has
// told the child too.
bool has_reached_child(const signalfd_siginfo& info) {
  return info.ssi_code == SI_KERNEL || is_descendant(static_cast<std::uint32_t>(info.ssi_pid));
}

// Ours alone: a pipe of ours that nobody reads any more.
bool is_our_own(const signalfd_siginfo& info) { return info.ssi_pid == static_cast<std::uint32_t>(::getpid()); }

// Stops this process as the signal would have done by itself.
void stop_self() {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTSTP);
  ::raise(SIGTSTP);
  ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& additions) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    bool is_replaced = false;
    for (const auto& [added, value] : additions) is_replaced |= added == name;
    if (!is_replaced) result.emplace_back(text);
  }
  for (const auto& [name, value] : additions) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& one : strings) result.push_back(const_cast<char*>(one.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

void survive_file_size_limit() {
  struct sigaction current {};
  ::sigaction(SIGXFSZ, nullptr, &current);
  ends_at_file_size_limit = ends_at_file_size_limit || current.sa_handler == SIG_DFL;
  ::signal(SIGXFSZ, SIG_IGN);
}

signal_relay::signal_relay() {
  ::sigemptyset(&default_signals_);
  if (ends_at_file_size_limit) ::sigaddset(&default_signals_, SIGXFSZ);
  const sigset_t relayed = relayed_signals();
  ::sigprocmask(SIG_BLOCK, &relayed, &original_mask_);
  descriptor_ = ::signalfd(-1, &relayed, SFD_CLOEXEC | SFD_NONBLOCK);
}

signal_relay::~signal_relay() {
  ::close(descriptor_);
  ::sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
}

void signal_relay::relay(pid_t child) {
  signalfd_siginfo info{};
  while (::read(descriptor_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) continue;
    if (child > 0 && !is_our_own(info) && !has_reached_child(info)) ::kill(child, signal);
    if (signal == SIGTSTP) stop_self();
  }
}

std::expected<pid_t, int> start_child(const child_command& command, const signal_relay& relay) {
  const std::vector<std::string> environment = environment_with(command.environment);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  const std::vector<char*> argument_pointers = pointers_to(command.arguments);

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &relay.original_mask());
  ::posix_spawnattr_setsigdefault(&attributes, &relay.default_signals());
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, command.program.c_str(), nullptr, &attributes, argument_pointers.data(),
                                  environment_pointers.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return std::unexpected(error);
  return child;
}

std::vector<child_exit> take_ended_children() {
  std::vector<child_exit> result;
  for (;;) {
    child_exit one;
    one.pid = ::wait4(-1, &one.status, WNOHANG, &one.usage);
    if (one.pid < 0 && errno == EINTR) continue;
    if (one.pid <= 0) return result;
    result.push_back(one);
  }
}

int shell_exit_code(int wait_status) {
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return WEXITSTATUS(wait_status);
}

}  // namespace tenure::collect
