// Buffers in a range that is never touched by whoever divides it: here address space without memory behind it.
#include <sys/mman.h>
#include <cstdio>

#include <tenure/buddy.hpp>

int main() {
  constexpr std::size_t bytes = std::size_t{1} << 30;
  void* range = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return 1;
  tenure::buddy device({.name = "device buffers", .begin = range, .bytes = bytes});
  void* vertices = device.allocate(3 << 20);
  std::printf("a block of %zu bytes for 3 MiB; the largest free one has %zu\n", device.block_bytes(vertices),
              device.largest_free_bytes());
  device.deallocate(vertices, 3 << 20);
  const bool is_whole = device.largest_free_bytes() == bytes;
  ::munmap(range, bytes);
  return is_whole ? 0 : 1;
}
