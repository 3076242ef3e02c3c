// A key that is in no core dump, in no swap, and gone when it is given back.
#include <cstdio>
#include <memory_resource>
#include <vector>

#include <tenure/secure.hpp>

int main() {
  // With must_lock, its default, a system that lets a program lock nothing refuses the key.
  tenure::secure keys({.name = "session keys", .must_lock = false});
  unsigned sum = 0;
  {
    std::pmr::vector<unsigned char> key(32, 7, &keys);
    for (const unsigned char one : key) sum += one;
    std::printf("%llu bytes held, %zu of them locked\n", static_cast<unsigned long long>(keys.statistics().held_bytes),
                keys.locked_bytes());
  }
  std::printf("%llu secrets left\n", static_cast<unsigned long long>(keys.statistics().used_blocks));
  return sum == 224 && keys.statistics().used_blocks == 0 ? 0 : 1;
}
