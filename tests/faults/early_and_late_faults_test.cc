// Allocation before main(), in exit handlers, in destructors of statics and of thread-locals, and in a thread that
// still runs while the process ends. The library's last destructor prints the line that CTest waits for.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "early_and_late_library.h"
#include "support/engaged.h"

namespace {

std::unique_ptr<std::vector<std::string>> made_before_main = [] {
  auto strings = std::make_unique<std::vector<std::string>>();
  for (int count = 0; count < 2000; ++count) strings->emplace_back(static_cast<std::size_t>(count % 300), 's');
  return strings;
}();

struct thread_local_object {
  std::vector<int> numbers = std::vector<int>(1000, 1);
  ~thread_local_object() {
    std::vector<std::string> more(100, std::string(200, 't'));
    numbers.clear();
    numbers.shrink_to_fit();
  }
};
thread_local thread_local_object local_to_main;

void* in_exit_handler = nullptr;
void exit_handler() {
  std::free(in_exit_handler);
  for (int count = 0; count < 1000; ++count) std::free(std::malloc(static_cast<std::size_t>(count) * 50));
}

std::atomic<bool> ending{false};

}  // namespace

int main() {
  tenure::testing::require_engaged();
  if (early_string_count() != 1000 || made_before_main->size() != 2000) {
    std::fputs("broken: the constructors did not run\n", stderr);
    return 1;
  }
  local_to_main.numbers.resize(5000);
  in_exit_handler = std::malloc(77777);
  std::atexit(exit_handler);
  // Never joined: it allocates on while the destructors run around it.
  std::thread([] {
    while (!ending) std::free(std::malloc(3000));
  }).detach();
  return 0;
}
