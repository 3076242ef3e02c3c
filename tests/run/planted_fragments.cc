// Blocks that pin spans on purpose: of many that are freed, every 64th stays, and one in ten of these is another
// function's.
//
// usage: planted_fragments end|live
//   end   leaves them, and ends while its second thread waits with blocks in its cache
//   live  the same, says "ready" and goes on allocating until its input ends
//
// It prints a line for each block that stays: "NAME ADDRESS".
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

// Sizes that nothing else in the program asks for.
constexpr std::size_t pinned_bytes = 1250, cached_bytes = 3000, large_bytes = (1 << 20) + 1;
constexpr int filler_count = 40000;

// By its name a wrapper of malloc: call sites are its callers.
void* xmalloc(std::size_t bytes) {
  void* const block = std::malloc(bytes);
  std::memset(block, 1, bytes < 4096 ? bytes : 4096);
  return block;
}

void* told(const char* name, void* block) {
  std::printf("%s %p\n", name, block);
  return block;
}

std::vector<void*> kept;
int begun[2], to_end[2];

}  // namespace

extern "C" {

[[gnu::noinline]] void* pin_often() { return xmalloc(pinned_bytes); }
[[gnu::noinline]] void* pin_seldom() { return xmalloc(pinned_bytes); }
[[gnu::noinline]] void* fill() { return xmalloc(pinned_bytes); }
[[gnu::noinline]] void* hold_large() { return xmalloc(large_bytes); }
[[gnu::noinline]] void* pass_through() { return xmalloc(cached_bytes); }

}  // extern "C"

namespace {

void plant() {
  std::vector<void*> fillers;
  for (int i = 0; i < filler_count; ++i) {
    if (i % 640 == 0)
      kept.push_back(told("pin_seldom", pin_seldom()));
    else if (i % 64 == 0)
      kept.push_back(told("pin_often", pin_often()));
    else
      fillers.push_back(fill());
  }
  for (void* const one : fillers) std::free(one);
  kept.push_back(told("hold_large", hold_large()));
}

void keep_cached() {
  void* blocks[10];
  for (void*& one : blocks) one = pass_through();
  for (void* const one : blocks) std::free(one);
  if (::write(begun[1], "x", 1) != 1) std::_Exit(1);
  char byte;
  while (::read(to_end[0], &byte, 1) < 0) {
  }
}

void allocate_for_ever() {
  for (;;) {
    std::vector<void*> blocks(200);
    for (void*& block : blocks) block = std::malloc(64);
    for (void* block : blocks) std::free(block);
    ::usleep(2000);
  }
}

}  // namespace

int main(int count, char** words) {
  if (::pipe(begun) != 0 || ::pipe(to_end) != 0) return 1;
  std::thread(plant).join();
  std::thread(keep_cached).detach();
  char byte;
  while (::read(begun[0], &byte, 1) < 0) {
  }
  std::fflush(stdout);
  if (count > 1 && std::string(words[1]) == "live") {
    std::thread(allocate_for_ever).detach();
    std::puts("ready");
    std::fflush(stdout);
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    std::_Exit(0);
  }
  return 0;
}
