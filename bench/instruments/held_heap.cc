// A heap of so many MiB in blocks of one size, and a thread that goes on allocating: what leaks_pause.py has looked
// through.
//
// usage: held_heap MIB BLOCK_BYTES THREADS
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

int main(int count, char** words) {
  if (count != 4) return 2;
  const std::size_t block_bytes = std::strtoull(words[2], nullptr, 10);
  std::vector<void*> blocks((std::strtoull(words[1], nullptr, 10) << 20) / block_bytes);
  for (void*& block : blocks) block = std::memset(std::malloc(block_bytes), 1, block_bytes);
  std::vector<std::thread> sleepers;
  for (int i = 0; i < std::atoi(words[3]); ++i)
    sleepers.emplace_back([] {
      for (;;) ::pause();
    });
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    std::vector<void*> some(500);
    for (void*& block : some) block = std::malloc(64);
    for (void* block : some) std::free(block);
    ::usleep(5000);
  }
}
