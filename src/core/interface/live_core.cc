#include "core/interface/live_core.h"

#include <dlfcn.h>
#include <cstdlib>

#include "core/heap/heap.h"
#include "wire/note.h"

// Says in every file that this core is linked into that it is there.
asm(R"(
  .pushsection .note.tenure, "a", %note
  .balign 4
  .long 2f - 1f
  .long 0
  .long 1
1: .asciz ")" TENURE_NOTE_OWNER R"("
2: .balign 4
  .popsection
)");
static_assert(tenure::wire::note_of_core == 1);

// In the end both questions are put by calling what the loader bound, since addresses that differ say nothing: an
// executable at a fixed address that mentions &malloc lends its own jump to malloc to everybody as malloc's address.
namespace tenure::core {
namespace {

enum answer : std::uint32_t { unknown, no, yes };

// True is certain, and costs the program no block of which a recording would tell.
bool is_malloc_beside_this_core() noexcept {
  void* const first = ::dlsym(RTLD_DEFAULT, "malloc");
  Dl_info of_malloc{}, of_core{};
  return first != nullptr && ::dladdr(first, &of_malloc) != 0 && ::dladdr(&core_identity, &of_core) != 0 &&
         of_malloc.dli_fbase == of_core.dli_fbase;
}

// Unknown while there is no memory.
answer ask_for_a_block() noexcept {
  // Volatile, since a compiler may take away a block that nobody uses.
  void* (*volatile allocate)(std::size_t) = &std::malloc;
  void* block = allocate(1);
  if (block == nullptr) return unknown;
  const bool ours = usable_bytes(block) != 0;
  void (*volatile release)(void*) = &std::free;
  release(block);
  return ours ? yes : no;
}

}  // namespace

bool is_live_core() noexcept { return tenure_core_identity() == &core_identity; }

bool serves_malloc() noexcept {
  static std::uint32_t known = unknown;
  const std::uint32_t before = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (before != unknown) return before == yes;
  const answer found = is_malloc_beside_this_core() ? yes : ask_for_a_block();
  __atomic_store_n(&known, found, __ATOMIC_RELAXED);
  return found == yes;
}

}  // namespace tenure::core
