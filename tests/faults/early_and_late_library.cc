// A library that allocates in its constructor, before main() and before the program's own constructors, and frees in
// its destructor, after the program's own are gone.
#include "early_and_late_library.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

char* early_block = nullptr;
std::vector<std::string>* early_strings = nullptr;

__attribute__((constructor(101))) void before_everything() {
  early_block = static_cast<char*>(std::malloc(5000));
  std::memset(early_block, 0x3c, 5000);
}

__attribute__((destructor(101))) void after_everything() {
  for (int index = 0; index < 5000; ++index) {
    if (early_block[index] != 0x3c) std::fputs("broken: the early block changed\n", stderr);
  }
  std::free(early_block);
  void* late = std::malloc(300000);
  std::memset(late, 1, 300000);
  late = std::realloc(late, 3000000);
  std::free(late);
  delete early_strings;
  std::vector<std::string> last(1000, std::string(100, 'x'));
  std::fprintf(stderr, "the last destructor ran, %zu strings\n", last.size());
}

struct static_object {
  static_object() {
    early_strings = new std::vector<std::string>();
    for (int count = 0; count < 1000; ++count) early_strings->emplace_back(static_cast<std::size_t>(count % 90), 'e');
  }
} static_object_instance;

}  // namespace

std::size_t early_string_count() { return early_strings == nullptr ? 0 : early_strings->size(); }
