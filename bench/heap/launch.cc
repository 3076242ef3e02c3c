// tenure-bench-launch: starts a program under a preloaded library and writes down what it cost.
//
//   tenure-bench-launch RESULT REPEAT NAME=VALUE... -- COMMAND ARGUMENT...
//
// The variables are set for the command alone. RESULT receives one line of JSON: exit code or signal, wall and CPU
// seconds, peak RSS of the largest process among the command and the children it waited for, page faults and voluntary
// switches. REPEAT runs the command that often, for programs too short to time once.
//
// It is a program of its own, and a static one, because the kernel counts the memory of the process that called exec
// towards the peak of the program that replaces it: from a Python interpreter every small program would seem to need
// the interpreter's 10 MiB.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

struct outcome {
  int exit_code = 0;
  int signal = 0;
  double wall_seconds = 0;
  double user_seconds = 0;
  double system_seconds = 0;
  long peak_kibibytes = 0;
  long minor_faults = 0;
  long major_faults = 0;
  long voluntary_switches = 0;
};

pid_t child = 0;

// Whoever ends the launcher means the program.
void pass_on(int number) {
  if (child > 0) {
    kill(child, number);
  }
}

[[noreturn]] void become(char** variables, char** command) {
  for (; std::strcmp(*variables, "--") != 0; ++variables) {
    putenv(*variables);
  }
  execvp(command[0], command);
  std::perror(command[0]);
  _exit(127);
}

bool run_once(char** variables, char** command, outcome& sum) {
  const double start = seconds_now();
  child = fork();
  if (child == 0) {
    become(variables, command);
  }
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0) {
  }
  sum.wall_seconds += seconds_now() - start;
  sum.user_seconds += seconds(usage.ru_utime);
  sum.system_seconds += seconds(usage.ru_stime);
  sum.peak_kibibytes = usage.ru_maxrss > sum.peak_kibibytes ? usage.ru_maxrss : sum.peak_kibibytes;
  sum.minor_faults += usage.ru_minflt;
  sum.major_faults += usage.ru_majflt;
  sum.voluntary_switches += usage.ru_nvcsw;
  sum.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  sum.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return sum.exit_code == 0 && sum.signal == 0;
}

bool write_result(const char* path, const outcome& sum) {
  FILE* file = std::fopen(path, "we");
  if (!file) {
    std::perror(path);
    return false;
  }
  std::fprintf(file,
               "{\"exit_code\": %d, \"signal\": %d, \"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, "
               "\"peak_rss_bytes\": %ld, \"minor_faults\": %ld, \"major_faults\": %ld, \"voluntary_switches\": %ld}\n",
               sum.exit_code, sum.signal, sum.wall_seconds, sum.user_seconds + sum.system_seconds,
               sum.peak_kibibytes * 1024, sum.minor_faults, sum.major_faults, sum.voluntary_switches);
  return std::fclose(file) == 0;
}

}  // namespace

int main(int count, char** arguments) {
  char** separator = arguments + (count < 4 ? count : 3);
  while (*separator && std::strcmp(*separator, "--") != 0) {
    ++separator;
  }
  if (count < 5 || !*separator || !separator[1]) {
    std::fprintf(stderr, "usage: tenure-bench-launch RESULT REPEAT [NAME=VALUE]... -- COMMAND [ARGUMENT]...\n");
    return 2;
  }
  signal(SIGTERM, pass_on);
  signal(SIGINT, pass_on);
  outcome sum;
  const long repeat = std::strtol(arguments[2], nullptr, 10);
  for (long turn = 0; turn < repeat && run_once(arguments + 3, separator + 1, sum); ++turn) {
  }
  return write_result(arguments[1], sum) ? 0 : 1;
}
