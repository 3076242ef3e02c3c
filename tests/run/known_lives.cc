// A program whose blocks live a known life, whatever the machine. Its words:
//   ring COUNT    blocks of 512 bytes from ring_blocks(); each is freed before the 64th after it comes
//   grow TIMES    a block from grow_block(), of 16 bytes, doubled so many times by realloc
//   hand COUNT    blocks of 3000 bytes from make_blocks() on the thread "maker", freed on the main one
//   leak COUNT    blocks of 700 bytes from leak_blocks(), never freed
//   once BYTES    a block from once_block(), freed at once
#include <pthread.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

char* made(void* block) {
  char* volatile result = static_cast<char*>(block);
  result[0] = 1;
  return result;
}

}  // namespace

// Memory of the program's own, so that nothing but the blocks is allocated.
std::array<char*, 100'000> leaked;
std::size_t leaked_count = 0;

[[gnu::noinline]] void ring_blocks(std::size_t count) {
  constexpr std::size_t length = 64;
  std::array<char*, length> ring{};
  for (std::size_t i = 0; i < count; ++i) {
    std::free(ring[i % length]);
    ring[i % length] = made(std::malloc(512));
  }
  for (char* one : ring) leaked.at(leaked_count++) = one;
}

[[gnu::noinline]] void grow_block(std::size_t times) {
  std::size_t bytes = 16;
  char* block = made(std::malloc(bytes));
  for (; times > 0; --times) block = made(std::realloc(block, bytes *= 2));
  std::free(block);
}

[[gnu::noinline]] void make_blocks(std::size_t count, std::vector<char*>& into) {
  for (; count > 0; --count) into.push_back(made(std::malloc(3000)));
}

[[gnu::noinline]] void hand_blocks(std::size_t count) {
  std::vector<char*> handed;
  handed.reserve(count);
  std::thread([&] {
    ::pthread_setname_np(::pthread_self(), "maker");
    make_blocks(count, handed);
  }).join();
  for (char* one : handed) std::free(one);
}

[[gnu::noinline]] void leak_blocks(std::size_t count) {
  for (; count > 0; --count) leaked.at(leaked_count++) = made(std::malloc(700));
}

[[gnu::noinline]] void once_block(std::size_t bytes) { std::free(made(std::malloc(bytes))); }

int main(int count, char** words) {
  for (int word = 1; word + 1 < count; word += 2) {
    const std::string what = words[word];
    const std::size_t amount = std::stoul(words[word + 1]);
    if (what == "ring") ring_blocks(amount);
    if (what == "grow") grow_block(amount);
    if (what == "hand") hand_blocks(amount);
    if (what == "leak") leak_blocks(amount);
    if (what == "once") once_block(amount);
  }
}
