// A program with the library that needs LZ4: a page that goes and comes back, where userfaultfd is allowed.
#include <cstdio>
#include <cstring>
#include <tenure/compressed.hpp>

int main() {
  if (const char* const why = tenure::compressed::why_not()) {
    std::puts(why);
    return 0;
  }
  tenure::compressed memory({.name = "cold"});
  auto* const block = static_cast<char*>(memory.allocate(4096));
  std::memset(block, 7, 4096);
  memory.compress_cold();
  memory.compress_cold();
  const bool is_right = memory.compression().compressed_bytes >= 4096 && block[4095] == 7;
  memory.deallocate(block, 4096);
  return is_right ? 0 : 1;
}
