// Runs to the end of its address space and back, several times; started with a limit on it by limit_faults_test.
// Exit codes: 0 all as it should be, else the step that was not.
#include <pthread.h>
#include <semaphore.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "support/engaged.h"
#include "support/memory_probe.h"

namespace {

struct link {
  link* next;
};

// Allocates blocks of `size` until the heap says no; the list of them is in the blocks themselves.
link* allocate_until_refused(std::size_t size, std::size_t* bytes) {
  link* all = nullptr;
  *bytes = 0;
  for (;;) {
    auto* block = static_cast<link*>(std::malloc(size));
    if (block == nullptr) return all;
    block->next = all;
    static_cast<char*>(static_cast<void*>(block))[size - 1] = 1;
    all = block;
    *bytes += size;
  }
}

void free_all(link* all) {
  while (all != nullptr) {
    link* next = all->next;
    std::free(all);
    all = next;
  }
}

// To the limit and back, at one size. 0, or the step that failed.
int exhaust(std::size_t size, std::size_t least_bytes) {
  std::size_t first_bytes = 0, second_bytes = 0;
  errno = 0;
  link* all = allocate_until_refused(size, &first_bytes);
  if (errno != ENOMEM) return 11;
  if (first_bytes < least_bytes) {
    std::fprintf(stderr, "blocks of %zu bytes: %zu bytes of the %zu wanted\n", size, first_bytes, least_bytes);
    return 12;
  }
  if (std::realloc(nullptr, std::size_t{1} << 40) != nullptr) return 13;
  // An exception needs memory of its own, which a program that could hardly start does not have.
  try {
    if (least_bytes != 0) static_cast<void>(::operator new(tenure::testing::opaque(std::size_t{1} << 40)));
    if (least_bytes != 0) return 14;
  } catch (const std::bad_alloc&) {
  }
  free_all(all);
  // What was freed can be had again, nearly all of it.
  all = allocate_until_refused(size, &second_bytes);
  free_all(all);
  if (second_bytes < first_bytes - first_bytes / 8) return 15;
  return 0;
}

struct turn {
  sem_t begun;
  std::size_t least_bytes;
  int step;
};

void* exhaust_in_its_turn(void* shared) {
  auto* its = static_cast<turn*>(shared);
  sem_wait(&its->begun);
  its->step = exhaust(500, its->least_bytes);
  return nullptr;
}

}  // namespace

// Without std::thread: it throws when there is no memory for a stack, and an exception needs memory too.
int main(int count, char** arguments) {
  tenure::testing::require_engaged();
  if (count != 2) return 2;
  const std::size_t least_bytes = std::strtoull(arguments[1], nullptr, 10);
  turn its{{}, least_bytes / 2, 0};
  sem_init(&its.begun, 0, 0);
  // The thread is there from the start: its stack is the C library's business, not the heap's.
  pthread_t second{};
  if (pthread_create(&second, nullptr, exhaust_in_its_turn, &its) != 0) return 16;
  int step = 0;
  for (const std::size_t size : {std::size_t{64}, std::size_t{3000}, std::size_t{50000}, std::size_t{2000000}}) {
    if (step == 0) step = exhaust(size, least_bytes);
  }
  sem_post(&its.begun);
  pthread_join(second, nullptr);
  if (step != 0) return step;
  return its.step == 0 ? 0 : its.step + 20;
}
