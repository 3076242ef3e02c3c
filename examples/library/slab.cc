// Words and how often they occur: nodes and strings of several sizes from one slab, within a limit.
#include <cstdio>
#include <map>
#include <new>
#include <string>

#include <tenure/slab.hpp>

int main() {
  tenure::slab memory({.name = "words"});
  memory.set_limits({.hard_bytes = 512 << 10});
  {
    std::pmr::map<std::pmr::string, int> words(&memory);
    try {
      for (unsigned i = 0;; ++i) ++words[std::pmr::string(std::to_string(i)) + " times the length of a node"];
    } catch (const std::bad_alloc&) {
    }
    const auto now = memory.statistics();
    std::printf("%zu words in %llu blocks of %llu bytes; %llu held\n", words.size(),
                static_cast<unsigned long long>(now.used_blocks), static_cast<unsigned long long>(now.used_bytes),
                static_cast<unsigned long long>(now.held_bytes));
  }
  std::printf("%zu bytes given back\n", memory.trim());
  return memory.statistics().held_bytes == 0 ? 0 : 1;
}
