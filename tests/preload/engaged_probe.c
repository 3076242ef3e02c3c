/* Preloaded beside the heap: notes for each process, in the folder TENURE_TEST_ENGAGED, whether Tenure serves it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void note(void) {
  const char* folder = getenv("TENURE_TEST_ENGAGED");
  int (*active)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "tenure_is_active");
  char path[4096];
  if (folder == NULL) return;
  snprintf(path, sizeof path, "%s/%s.%d.%s", folder, program_invocation_short_name, (int)getpid(),
           active != NULL && active() == 1 ? "tenure" : "other");
  const int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file >= 0) close(file);
}
