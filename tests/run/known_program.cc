// A program whose memory is known: what it keeps, what it churns, and on which thread. Its words:
//   keep MIB     blocks of 1000 bytes from keep_blocks(), never freed
//   churn MIB    blocks of 2000 bytes from churn_blocks(), each freed at once
//   hand MIB     blocks of 3000 bytes from make_blocks() on a thread, freed on the main one
//   touch MIB    an anonymous mapping of its own, touched
//   stay SECONDS
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

std::size_t blocks_of(std::size_t mebibytes, std::size_t size) { return mebibytes * 1024 * 1024 / size; }

// A block that the compiler cannot leave out. By its name a wrapper of malloc: reports speak of its callers.
char* allocate_block(std::size_t size) {
  char* volatile made = static_cast<char*>(std::malloc(size));
  std::memset(made, 1, size);
  return made;
}

}  // namespace

std::vector<char*> kept;

[[gnu::noinline]] void keep_blocks(std::size_t mebibytes) {
  for (std::size_t left = blocks_of(mebibytes, 1000); left > 0; --left) kept.push_back(allocate_block(1000));
}

[[gnu::noinline]] void churn_blocks(std::size_t mebibytes) {
  for (std::size_t left = blocks_of(mebibytes, 2000); left > 0; --left) std::free(allocate_block(2000));
}

[[gnu::noinline]] void make_blocks(std::size_t mebibytes, std::vector<char*>& into) {
  for (std::size_t left = blocks_of(mebibytes, 3000); left > 0; --left) into.push_back(allocate_block(3000));
}

int main(int count, char** words) {
  for (int word = 1; word + 1 < count; word += 2) {
    const std::string what = words[word];
    const std::size_t amount = std::stoul(words[word + 1]);
    if (what == "keep") keep_blocks(amount);
    if (what == "churn") churn_blocks(amount);
    if (what == "hand") {
      std::vector<char*> handed;
      std::thread([&] { make_blocks(amount, handed); }).join();
      for (char* one : handed) std::free(one);
    }
    if (what == "touch") {
      void* const memory = ::mmap(nullptr, amount << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      std::memset(memory, 1, amount << 20);
    }
    if (what == "stay") ::sleep(static_cast<unsigned>(amount));
  }
}
