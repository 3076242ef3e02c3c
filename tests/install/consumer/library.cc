// A program that has the library and not the override: its heap is Tenure's, malloc is whoever's it was. Says which.
#include <cstdio>
#include <cstdlib>
#include <tenure/heap.hpp>
#include <vector>

int main() {
  tenure::heap heap("numbers");
  std::pmr::vector<int> numbers(&heap);
  numbers.resize(1000);
  void* block = std::malloc(10);
  const bool consistent = (tenure_block_size(block) != 0) == (tenure_is_active() == 1);
  std::free(block);
  if (!consistent || heap.statistics().live_bytes < 1000 * sizeof(int)) return 1;
  std::puts(tenure_is_active() == 1 ? "heaps and malloc" : "heaps alone");
  return 0;
}
