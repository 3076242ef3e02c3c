// Blocks that are held on purpose, each by a way that is known: from a variable through a list and a table, from a
// thread's stack, its registers and its thread-local storage, from memory that the program mapped, and by pointers into
// their inside.
//
// usage: planted_holders end|live
//   end   holds, and ends while its second thread waits
//   live  holds, says "ready" and goes on allocating until its input ends
//
// Before that it prints a line for each thing that the test cannot know: "thread ID", "mapped ADDRESS".
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

// Sampled for certain where every 4 KiB are.
constexpr std::size_t leaf_bytes = 1 << 20;

// By its name a wrapper of malloc: call sites are its callers.
void* xmalloc(std::size_t bytes) {
  void* const block = std::malloc(bytes);
  std::memset(block, 0, bytes < 4096 ? bytes : 4096);
  return block;
}

struct list_node {
  std::uint64_t number;
  list_node* next;
  void* held;
  char payload[24];
};

}  // namespace

// --- what the ways begin with; each at a place of its own within its variable

struct {
  std::uint64_t before[3];
  list_node* first;
} list_holder;
struct {
  std::uint64_t before[5];
  void* volatile direct;
} short_way;
char* volatile inside_holder;
thread_local void* volatile thread_holder = nullptr;
// Not seen by who looks for pointers.
volatile std::uintptr_t hidden = 0;
constexpr std::uintptr_t mask = 0x5555'5555'5555'5555;

struct first_base {
  virtual ~first_base() = default;
  std::uint64_t one = 1;
};
struct second_base {
  virtual ~second_base() = default;
  std::uint64_t two = 2;
};
struct both : first_base, second_base {
  char payload[leaf_bytes] = {};
};
second_base* volatile second_base_holder = nullptr;

extern "C" {

[[gnu::noinline]] void* make_leaf() { return xmalloc(leaf_bytes); }

// Its leaf lies in word 17 of 25.
[[gnu::noinline]] void** make_table() {
  auto** const table = static_cast<void**>(xmalloc(200));
  table[17] = make_leaf();
  return table;
}

// A hundred nodes; the sixtieth holds a table.
[[gnu::noinline]] void make_list() {
  list_node** end = &list_holder.first;
  for (std::uint64_t number = 1; number <= 100; ++number) {
    auto* const node = static_cast<list_node*>(xmalloc(sizeof(list_node)));
    node->number = number;
    if (number == 60) node->held = make_table();
    *end = node;
    end = &node->next;
  }
}

// The last node of the list leads to it too.
[[gnu::noinline]] void make_with_short_way() {
  short_way.direct = xmalloc(leaf_bytes);
  list_node* last = list_holder.first;
  while (last->next != nullptr) last = last->next;
  last->held = short_way.direct;
}

[[gnu::noinline]] void make_second_base() { second_base_holder = new both; }
[[gnu::noinline]] void make_inside() { inside_holder = static_cast<char*>(xmalloc(leaf_bytes)) + 1000; }
[[gnu::noinline]] void make_thread_local() { thread_holder = xmalloc(leaf_bytes); }
[[gnu::noinline]] void* make_on_stack() { return xmalloc(leaf_bytes); }
[[gnu::noinline]] void make_in_register() { hidden = reinterpret_cast<std::uintptr_t>(xmalloc(leaf_bytes)) ^ mask; }

[[gnu::noinline]] void** make_mapped() {
  void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::_Exit(1);
  auto** const place = static_cast<void**>(page) + 8;
  *place = xmalloc(leaf_bytes);
  return place;
}

}  // extern "C"

namespace {

[[gnu::noinline]] void wipe() {
  volatile char area[16 * 1024];
  for (volatile char& byte : area) byte = 0;
}

// Waits with the pointer in a register alone.
void wait_with_register(int descriptor) {
#if defined(__x86_64__)
  char byte;
  long result = -1;
  while (result < 0)
    asm volatile("mov %[hidden], %%r12\n\txor %[mask], %%r12\n\txor %%eax, %%eax\n\tsyscall\n\txor %%r12d, %%r12d"
                 : "=&a"(result)
                 : "D"(descriptor), "S"(&byte), "d"(1), [hidden] "m"(hidden), [mask] "r"(mask)
                 : "r12", "rcx", "r11", "memory");
#else
  char byte;
  while (::read(descriptor, &byte, 1) < 0) {
  }
#endif
}

int begun[2], to_end[2];
volatile long holding_thread = 0;

void hold_on_thread() {
  make_thread_local();
  make_in_register();
  wipe();
  void* volatile on_stack[2] = {nullptr, make_on_stack()};
  holding_thread = ::syscall(SYS_gettid);
  std::printf("thread %ld\n", holding_thread);
  std::fflush(stdout);
  if (::write(begun[1], "x", 1) != 1) std::_Exit(1);
  wait_with_register(to_end[0]);
  std::free(on_stack[1]);
}

// Until then the pointer is not in its register yet.
void wait_until_it_sleeps() {
  const std::string path = "/proc/self/task/" + std::to_string(holding_thread) + "/stat";
  for (char state = 0; state != 'S'; ::usleep(1000)) {
    std::FILE* const file = std::fopen(path.c_str(), "re");
    if (file == nullptr || std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) std::_Exit(1);
    std::fclose(file);
  }
}

void allocate_for_ever() {
  for (;;) {
    std::vector<void*> blocks(200);
    for (void*& block : blocks) block = std::malloc(64);
    for (void* block : blocks) std::free(block);
    ::usleep(2000);
  }
}

}  // namespace

int main(int count, char** words) {
  make_list();
  make_with_short_way();
  make_second_base();
  make_inside();
  std::printf("mapped %p\n", static_cast<void*>(make_mapped()));
  if (::pipe(begun) != 0 || ::pipe(to_end) != 0) return 1;
  std::thread(hold_on_thread).detach();
  char byte;
  while (::read(begun[0], &byte, 1) < 0) {
  }
  wait_until_it_sleeps();
  if (count > 1 && std::string(words[1]) == "live") {
    std::thread(allocate_for_ever).detach();
    std::puts("ready");
    std::fflush(stdout);
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    std::_Exit(0);
  }
  return 0;
}
