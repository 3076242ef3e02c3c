// Large blocks of the command lie in huge pages, where the kernel lets them: what it reads of a long recording are few
// blocks of hundreds of MiB that are written once from end to end, and to fault them in page by page took longer than
// to read them. Whoever links this has it.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t huge_page_bytes = 2 << 20;

// The whole huge pages within. What the kernel refuses is as before.
void ask_for_huge_pages(void* block, std::size_t bytes) {
  const auto begin = (reinterpret_cast<std::uintptr_t>(block) + huge_page_bytes - 1) / huge_page_bytes;
  const auto end = (reinterpret_cast<std::uintptr_t>(block) + bytes) / huge_page_bytes;
  if (begin < end)
    ::madvise(reinterpret_cast<void*>(begin * huge_page_bytes), (end - begin) * huge_page_bytes, MADV_HUGEPAGE);
}

}  // namespace

void* operator new(std::size_t bytes) {
  void* const block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  if (bytes >= 2 * huge_page_bytes) [[unlikely]]
    ask_for_huge_pages(block, bytes);
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
