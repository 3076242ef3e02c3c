// A worker that is killed in the middle of its work: what it had is listed and given back, what it had handed on stays.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include <tenure/shared.hpp>

namespace {

using frame = std::vector<float, tenure::shared_allocator<float>>;

// In the worker: one result for all, then work that never comes to an end.
[[noreturn]] void work(tenure::shared& memory) {
  auto* const result = new (memory.allocate_kept(sizeof(frame), alignof(frame)))
      frame(1000, 0.5f, tenure::shared_allocator<float>(memory));
  memory.set_root(result);
  for (int i = 0; i < 3; ++i) static_cast<void>(memory.allocate(10'000));
  ::raise(SIGKILL);
  ::_exit(1);
}

}  // namespace

int main() {
  tenure::shared memory({.name = "frames"});
  const pid_t worker = ::fork();
  if (worker == 0) work(memory);
  ::waitpid(worker, nullptr, 0);
  for (const tenure::shared_participant& one : memory.participants()) {
    std::printf("%s, %llu blocks of %llu bytes\n", one.is_alive ? "alive" : "dead", (unsigned long long)one.used_blocks,
                (unsigned long long)one.used_bytes);
  }
  std::printf("%zu bytes given back\n", memory.reclaim_dead());
  auto* const result = static_cast<frame*>(memory.root());
  std::printf("%zu numbers, the last %.1f\n", result->size(), static_cast<double>(result->back()));
  return result->size() == 1000 && memory.statistics().used_bytes == 0 ? 0 : 1;
}
