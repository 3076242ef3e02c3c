// A program whose memory calls are refused by refusal_faults_test. Each scenario does its work while calls may fail,
// accepts null with ENOMEM and nothing else, and then, when calls work again, must find the heap in order.
// Exit codes: 0 well, 10 errno was not ENOMEM, 11 content changed, 12 the heap did not recover.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/engaged.h"
#include "support/memory_probe.h"
#include "traced_program.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;

constexpr std::size_t capacity = 4096;

// A set of blocks with known content, in memory of its own: the scenarios must not depend on the heap for it.
class block_set {
 public:
  // False when the heap refused, with the right errno or not.
  bool add(std::size_t size) {
    errno = 0;
    void* block = std::malloc(size);
    if (block == nullptr) return refused();
    fill_pattern(block, checked(size), size);
    places_[count_] = block;
    sizes_[count_++] = size;
    return true;
  }
  bool grow(std::size_t index, std::size_t size) {
    errno = 0;
    void* block = std::realloc(places_[index], size);
    if (block == nullptr) return refused();
    if (!has_pattern(block, checked(std::min(size, sizes_[index])), sizes_[index])) std::_Exit(11);
    fill_pattern(block, checked(size), size);
    places_[index] = block;
    sizes_[index] = size;
    return true;
  }
  void free_all() {
    for (std::size_t index = 0; index < count_; ++index) {
      if (!has_pattern(places_[index], checked(sizes_[index]), sizes_[index])) std::_Exit(11);
      std::free(places_[index]);
    }
    count_ = 0;
  }

 private:
  static std::size_t checked(std::size_t size) { return size < 20000 ? size : 20000; }
  static bool refused() {
    if (errno != ENOMEM) std::_Exit(10);
    return false;
  }
  void* places_[capacity];
  std::size_t sizes_[capacity];
  std::size_t count_ = 0;
};

block_set blocks, other_blocks;

void grow_in_small_steps() {
  for (std::size_t count = 0; count < 1500; ++count) blocks.add(count % 40 * 200 + 1);
  blocks.free_all();
  for (std::size_t count = 0; count < 300; ++count) blocks.add(count % 7 * 5000 + 30000);
}

void allocate_large() {
  for (std::size_t round = 0; round < 12; ++round) {
    for (std::size_t size = 300000; size < 40000000; size *= 2) blocks.add(size + round);
    blocks.free_all();
    void* zeroed = std::calloc(1, 5000000 + round * 100000);
    if (zeroed != nullptr && !tenure::testing::is_zero(zeroed, 5000000)) std::_Exit(11);
    std::free(zeroed);
    std::free(std::aligned_alloc(std::size_t{1} << (12 + round), 100000));
  }
}

void reallocate() {
  for (std::size_t round = 0; round < 8; ++round) {
    if (!blocks.add(100)) continue;
    for (std::size_t size = 200; size < 30000000; size = size * 3 / 2 + round) blocks.grow(0, size);
    for (std::size_t size = 20000000; size > 100; size /= 3) blocks.grow(0, size);
    blocks.free_all();
  }
}

void work_in_threads() {
  for (std::size_t round = 0; round < 3; ++round) {
    try {
      std::thread second([] {
        for (std::size_t count = 0; count < 400; ++count) other_blocks.add(count * 37 % 30000);
      });
      for (std::size_t count = 0; count < 400; ++count) blocks.add(count * 41 % 30000);
      second.join();
    } catch (const std::exception&) {
      // The C library could not make a thread: its own memory was refused.
    }
    blocks.free_all();
    other_blocks.free_all();
  }
}

// The program's whole start runs while calls may fail; here there is little left to do.
void start_up() {
  for (std::size_t count = 0; count < 200; ++count) blocks.add(count * 100);
}

bool works_again() {
  blocks.free_all();
  for (std::size_t size = 1; size < 5000000; size += size / 4 + 1) {
    if (!blocks.add(size)) return false;
  }
  blocks.free_all();
  bool fine = false;
  std::thread([&] { fine = other_blocks.add(100) && other_blocks.add(1000000); }).join();
  other_blocks.free_all();
  return fine;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string scenario = count > 1 ? arguments[1] : "";
  if (scenario == "growth" || scenario == "large" || scenario == "realloc" || scenario == "threads") {
    tenure::testing::require_engaged();
  }
  tenure::testing::refusal_mark(true);
  if (scenario == "start") start_up();
  if (scenario == "growth") grow_in_small_steps();
  if (scenario == "large") allocate_large();
  if (scenario == "realloc") reallocate();
  if (scenario == "threads") work_in_threads();
  tenure::testing::refusal_mark(false);
  return works_again() ? 0 : 12;
}
