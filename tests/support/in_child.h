// What a child of fork() finds out, as its exit code.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace tenure::testing {

// 0: all as it should be; 99: it threw; 98: it was killed, as by an alarm() of its own.
template <class Function>
int in_child(Function function) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = function();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(result);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 98;
  return WEXITSTATUS(status);
}

}  // namespace tenure::testing
