#include "traced_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <map>

namespace tenure::testing {
namespace {

bool is_memory_call(unsigned long long number) {
  return number == SYS_mmap || number == SYS_mprotect || number == SYS_madvise || number == SYS_mremap ||
         number == SYS_munmap || number == SYS_brk;
}

class tracer {
 public:
  explicit tracer(const refusal_plan& plan) : plan_(plan), counting_(plan.from_the_start) {}

  refusal_outcome run(pid_t child) {
    outcome_.traced = true;
    ptrace(PTRACE_SETOPTIONS, child, nullptr,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC);
    ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    int status = 0;
    for (;;) {
      const pid_t stopped = waitpid(-1, &status, __WALL);
      if (stopped < 0) return outcome_;
      if (WIFSTOPPED(status)) {
        resume(stopped, status);
        continue;
      }
      if (stopped != child) continue;
      outcome_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
      return outcome_;
    }
  }

 private:
  enum class phase { outside, inside, refused };

  void resume(pid_t thread, int status) {
    long pass_on = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      at_call(thread);
    } else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
      pass_on = WSTOPSIG(status);
    }
    ptrace(PTRACE_SYSCALL, thread, nullptr, pass_on);
  }

  void at_call(pid_t thread) {
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) return;
    phase& now = phases_[thread];
    if (now == phase::refused) {
      // brk refuses by returning the break as it is, which is what it did when asked for 0; all others return an error.
      if (registers.orig_rax == SYS_brk) registers.rdi = asked_break_;
      if (registers.orig_rax != SYS_brk) registers.rax = static_cast<unsigned long long>(-ENOMEM);
      ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
      now = phase::outside;
      return;
    }
    if (now == phase::inside) {
      now = phase::outside;
      return;
    }
    now = phase::inside;
    if (registers.orig_rax == SYS_getpriority && registers.rdi == static_cast<unsigned long>(mark_begin))
      counting_ = true;
    if (registers.orig_rax == SYS_getpriority && registers.rdi == static_cast<unsigned long>(mark_end))
      counting_ = false;
    if (!counting_ || !is_memory_call(registers.orig_rax) || from_loader(thread, registers.rip)) return;
    ++outcome_.counted_calls;
    if (outcome_.counted_calls < plan_.first || outcome_.refused_calls >= plan_.calls) return;
    ++outcome_.refused_calls;
    if (registers.orig_rax == SYS_brk) {
      asked_break_ = registers.rdi;
      registers.rdi = 0;
    } else {
      registers.orig_rax = static_cast<unsigned long long>(-1);
    }
    ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
    now = phase::refused;
  }

  // The dynamic loader does not survive what it is refused; it is not what is under test.
  bool from_loader(pid_t thread, unsigned long long instruction) {
    if (loader_end_ == 0) find_loader(thread);
    return instruction >= loader_begin_ && instruction < loader_end_;
  }

  void find_loader(pid_t process) {
    std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("/ld-linux") == std::string::npos) continue;
      unsigned long long begin = 0, end = 0;
      if (std::sscanf(line.c_str(), "%llx-%llx", &begin, &end) != 2) continue;
      if (loader_begin_ == 0) loader_begin_ = begin;
      loader_end_ = end;
    }
  }

  refusal_plan plan_;
  unsigned long long loader_begin_ = 0, loader_end_ = 0;
  bool counting_;
  unsigned long long asked_break_ = 0;  // the kernel serialises brk
  refusal_outcome outcome_;
  std::map<pid_t, phase> phases_;
};

}  // namespace

refusal_outcome run_with_refusals(const std::vector<std::string>& command, const refusal_plan& plan) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return {};
  if (child == 0) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    alarm(60);
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(99);
    execv(arguments[0], arguments.data());
    _exit(98);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return {};
  return tracer(plan).run(child);
}

}  // namespace tenure::testing
