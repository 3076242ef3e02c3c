// Preloaded into a program, compares at every n-th allocation the stack that Tenure captures with the one that
// libunwind finds, and writes what it counted to <UNWIND_COMPARISON_FOLDER>/<pid> when the program ends. Tenure
// captures twice: by a whole walk, as for samples, and by the remembering one of the recorder, from one comparison to
// the next of the same thread.
//
// Allocation itself stays with glibc. libunwind may allocate; what it asks for while comparing is not compared.
#define UNW_LOCAL_ONLY
#include <fcntl.h>
#include <libunwind.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/telemetry/known_stack.h"
#include "core/telemetry/stack_trie.h"
#include "core/telemetry/unwind.h"

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);
}

namespace {

using tenure::telemetry::caller_place;
using tenure::telemetry::known_stack;
using tenure::telemetry::stack_trie;
using tenure::telemetry::walk_end;
namespace wire = tenure::wire;

constexpr std::size_t most_frames = 512;

struct counts {
  std::uint64_t stacks, frames, complete, no_rule, guessed, remembered, mismatches;
};
counts total;
char first_mismatch[512];
std::uint64_t interval = 0;  // 0: not read yet
std::uint64_t allocations;

__attribute__((tls_model("initial-exec"))) thread_local bool comparing = false;

void add(std::uint64_t counts::*field, std::uint64_t amount) noexcept {
  __atomic_fetch_add(&(total.*field), amount, __ATOMIC_RELAXED);
}

std::size_t by_libunwind(std::uint64_t* frames) noexcept {
  unw_context_t context;
  unw_cursor_t cursor;
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  std::size_t count = 0;
  while (count < most_frames && unw_step(&cursor) > 0) {
    unw_word_t address = 0;
    if (unw_get_reg(&cursor, UNW_REG_IP, &address) != 0 || address == 0) break;
    frames[count++] = address;
  }
  return count;
}

void* map(std::size_t bytes) noexcept {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return memory;
}

// The numbers of stacks, as in a tape. Made by the first comparison of the process.
wire::tape_header header;
wire::stack_node* nodes = nullptr;
stack_trie trie;
std::uint32_t trie_state = 0;  // 0 none, 1 in the making, 2 there

std::uint32_t announce_nothing(std::uint64_t) noexcept { return 0; }

bool have_trie() noexcept {
  std::uint32_t none = 0;
  if (__atomic_compare_exchange_n(&trie_state, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
    nodes = static_cast<wire::stack_node*>(map(sizeof *nodes * wire::stack_node_capacity));
    trie.attach(&header, nodes, wire::stack_node_capacity, nullptr, announce_nothing);
    __atomic_store_n(&trie_state, 2, __ATOMIC_RELEASE);
  }
  return __atomic_load_n(&trie_state, __ATOMIC_ACQUIRE) == 2;
}

// The stack from `from` outward by what the thread remembers; its frames, innermost first, and how it ended.
std::size_t by_memory(const caller_place& from, std::uint64_t* frames, std::uint32_t* end) noexcept {
  static thread_local known_stack* remembered __attribute__((tls_model("initial-exec"))) = nullptr;
  if (remembered == nullptr) remembered = new (map(sizeof(known_stack))) known_stack;
  std::size_t count = 0;
  std::uint32_t at = remembered->capture(trie, from);
  for (; at >= wire::stack_root_count && count < most_frames; at = nodes[at].parent)
    frames[count++] = nodes[at].address;
  *end = at;
  return count;
}

void note(std::size_t frame, std::size_t ours, std::size_t theirs, walk_end end, std::uint64_t our_address,
          std::uint64_t their_address) noexcept {
  add(&counts::mismatches, 1);
  if (first_mismatch[0] != '\0') return;
  std::snprintf(first_mismatch, sizeof first_mismatch,
                "frame %zu is %#llx, libunwind says %#llx; %zu frames (end %u) against %zu", frame,
                static_cast<unsigned long long>(our_address), static_cast<unsigned long long>(their_address), ours,
                static_cast<unsigned>(end), theirs);
}

[[gnu::noinline]] void compare() noexcept {
  static thread_local std::uint64_t ours[most_frames + 1] __attribute__((tls_model("initial-exec")));
  static thread_local std::uint64_t theirs[most_frames] __attribute__((tls_model("initial-exec")));
  const auto walk = tenure::telemetry::capture_stack(ours, most_frames + 1, 0);
  // Both begin in functions of this library: ours in compare(), theirs in by_libunwind()'s caller, which is compare().
  const std::size_t their_count = by_libunwind(theirs);
  const std::uint64_t* our_frames = ours + 1;
  const std::size_t our_count = walk.frame_count - 1;
  const std::uint64_t* their_frames = theirs + 1;
  const std::size_t rest = their_count == 0 ? 0 : their_count - 1;
  add(&counts::stacks, 1);
  if (have_trie()) {
    static thread_local std::uint64_t known[most_frames] __attribute__((tls_model("initial-exec")));
    std::uint32_t end = 0;
    const std::size_t known_count = by_memory(tenure::telemetry::own_caller(), known, &end);
    add(&counts::remembered, 1);
    for (std::size_t i = 0; i < known_count && i < our_count; ++i) {
      if (known[i] != our_frames[i]) return note(i, known_count, our_count, walk.end, known[i], our_frames[i]);
    }
    // One holds as many frames as the other but for the place that they begin in.
    const bool is_cut_off = walk.end == walk_end::limit || end == static_cast<std::uint32_t>(walk_end::limit);
    if (known_count != our_count && !is_cut_off) return note(known_count, known_count, our_count, walk.end, 0, 0);
  }
  for (std::size_t i = 0; i < our_count && i < rest; ++i) {
    if (our_frames[i] != their_frames[i]) return note(i, our_count, rest, walk.end, our_frames[i], their_frames[i]);
  }
  add(&counts::frames, our_count < rest ? our_count : rest);
  if (walk.end == walk_end::complete) add(&counts::complete, 1);
  if (walk.end == walk_end::no_rule) add(&counts::no_rule, 1);
  if (our_count == rest || (walk.end == walk_end::limit && rest + 1 >= most_frames)) return;
  // Where there is no unwind information libunwind guesses by the frame pointer; Tenure ends.
  if (our_count < rest && walk.end == walk_end::no_rule) return add(&counts::guessed, 1);
  note(our_count < rest ? our_count : rest, our_count, rest, walk.end, 0, 0);
}

void meet() noexcept {
  if (comparing) return;
  const std::uint64_t number = __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  if (interval == 0) {
    comparing = true;
    const char* text = std::getenv("UNWIND_COMPARISON_INTERVAL");
    if (text != nullptr) interval = std::strtoull(text, nullptr, 10);
    comparing = false;
    if (interval == 0) return;
  }
  if (number % interval != 0) return;
  comparing = true;
  compare();
  comparing = false;
}

[[gnu::destructor]] void write_counts() noexcept {
  comparing = true;
  const char* folder = std::getenv("UNWIND_COMPARISON_FOLDER");
  if (folder == nullptr) return;
  char text[1024];
  std::snprintf(text, sizeof text, "%s/%d", folder, getpid());
  const int file = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int bytes =
      std::snprintf(text, sizeof text, "%llu %llu %llu %llu %llu %llu %llu %s\n",
                    static_cast<unsigned long long>(total.stacks), static_cast<unsigned long long>(total.frames),
                    static_cast<unsigned long long>(total.complete), static_cast<unsigned long long>(total.no_rule),
                    static_cast<unsigned long long>(total.guessed), static_cast<unsigned long long>(total.remembered),
                    static_cast<unsigned long long>(total.mismatches), first_mismatch);
  if (file < 0 || write(file, text, static_cast<std::size_t>(bytes)) != bytes) std::abort();
  close(file);
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] void* malloc(std::size_t bytes) {
  meet();
  return __libc_malloc(bytes);
}
[[gnu::visibility("default")]] void* calloc(std::size_t count, std::size_t bytes) {
  meet();
  return __libc_calloc(count, bytes);
}
[[gnu::visibility("default")]] void* realloc(void* block, std::size_t bytes) {
  meet();
  return __libc_realloc(block, bytes);
}
}
