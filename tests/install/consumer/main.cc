// A program of somebody else's: says whether malloc and operator new are Tenure's, and uses a heap of its own.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <tenure/heap.hpp>
#include <vector>

namespace {

bool is_ours(const void* block) { return tenure_block_size(block) != 0; }

bool throws_and_catches(const std::vector<std::string>& words) {
  try {
    throw std::runtime_error(words.back());
  } catch (const std::exception& error) {
    return words.back() == error.what();
  }
}

}  // namespace

int main() {
  tenure::heap heap("numbers");
  std::pmr::vector<int> numbers(&heap);
  numbers.resize(1000);
  const std::vector<std::string> words(100, std::string(100, 'x'));
  const std::unique_ptr<void, void (*)(void*)> block(std::malloc(10), std::free);
  const bool good = tenure_is_active() == 1 && is_ours(block.get()) && is_ours(words.data()) &&
                    heap.statistics().live_bytes >= 1000 * sizeof(int) && throws_and_catches(words);
  std::puts(good ? "served by Tenure" : "not served by Tenure");
  return good ? 0 : 1;
}
