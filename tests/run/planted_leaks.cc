// Leaks that are there on purpose, one function each, and blocks that are none.
//
// usage: planted_leaks end|fail|interrupted|grow
//        planted_leaks live|become [THREADS [thread|write]]
//   end          plants and ends with 0; fail: with 3
//   interrupted  ends with 5, by exit() in a signal handler that has interrupted malloc
//   grow         plants nothing, and has containers: one that only grows, and others that do not for ever
//   live         plants, with threads that hold blocks, says "ready" and goes on allocating until its input ends; to
//   the
//                thread that does so the kernel refuses new threads, or to write at a place of a file
//   become       says "ready", and when a byte comes, without having allocated, becomes `live`
//
// What is planted is lost for good: each function overwrites the pointers that it had, and the stack below main is
// wiped, as a program's later calls would do it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

// What leads to the blocks that are no leaks.
void* volatile held_start;
char* volatile held_inside;
void* volatile held_largest;
void* volatile held_instead;
void* volatile passing;

struct node {
  node* next;
  char payload[40];
};

// The compiler may not see that nobody reads what is stored.
void pass(void* block) {
  passing = block;
  passing = nullptr;
}

}  // namespace

extern "C" {

[[gnu::noinline]] void plant_lost_pointer() { pass(std::memset(std::malloc(100), 1, 100)); }

[[gnu::noinline]] void plant_lost_large_block() { pass(std::memset(std::malloc(3 << 20), 1, 4096)); }

[[gnu::noinline]] void plant_circle() {
  auto* first = static_cast<node*>(std::calloc(1, sizeof(node)));
  auto* second = static_cast<node*>(std::calloc(1, sizeof(node)));
  first->next = second;
  second->next = first;
  pass(first);
}

[[gnu::noinline]] void plant_chain() {
  auto* first = static_cast<node*>(std::calloc(1, sizeof(node)));
  first->next = static_cast<node*>(std::calloc(1, sizeof(node)));
  first->next->next = static_cast<node*>(std::calloc(1, 3000));
  pass(first);
}

[[gnu::noinline]] void plant_inside_only() {
  held_inside = static_cast<char*>(std::memset(std::malloc(200), 0, 200)) + 50;
}

[[gnu::noinline]] void hold_by_start() { held_start = std::memset(std::malloc(300), 0, 300); }
[[gnu::noinline]] void hold_large() { held_largest = std::memset(std::malloc(2 << 20), 0, 2 << 20); }

}  // extern "C"

namespace {

thread_local void* of_thread = nullptr;

[[gnu::noinline]] void plant_in_thread() {
  of_thread = std::memset(std::malloc(777), 1, 777);
  passing = of_thread;
  passing = nullptr;
}

// What new[] keeps before the elements.
struct counted {
  ~counted() { passing = this; }
  std::uint64_t value = 1;
};
counted* volatile elements = nullptr;
[[gnu::noinline]] void hold_by_elements() { elements = new counted[7]; }

struct first_base {
  virtual ~first_base() = default;
  std::uint64_t one = 1;
};
struct second_base {
  virtual ~second_base() = default;
  std::uint64_t two = 2;
};
struct both : first_base, second_base {
  char payload[150] = {};
};
second_base* volatile by_second_base = nullptr;
[[gnu::noinline]] void hold_by_second_base() { by_second_base = new both; }

std::vector<std::string>* volatile strings = nullptr;
[[gnu::noinline]] void hold_in_containers() {
  strings = new std::vector<std::string>;
  for (int i = 0; i < 50; ++i) strings->push_back(std::string(100, 'x') + std::to_string(i));
}

pthread_key_t key;
[[gnu::noinline]] void hold_by_key() {
  pthread_key_create(&key, nullptr);
  pthread_setspecific(key, std::memset(std::malloc(555), 1, 555));
}

// Where the heap would have grown next, so that it lies below the heap's top in the end.
[[gnu::noinline]] void hold_in_gap() {
  auto* const block = static_cast<char*>(std::memset(std::malloc(666), 1, 666));
  std::FILE* const map = std::fopen("/proc/self/maps", "re");
  unsigned long begin = 0, end = 0;
  char line[512];
  const auto is_there = [&] { return reinterpret_cast<std::uintptr_t>(block) - begin < end - begin; };
  while (map != nullptr && !is_there() && std::fgets(line, sizeof line, map) != nullptr)
    std::sscanf(line, "%lx-%lx", &begin, &end);
  if (map != nullptr) std::fclose(map);
  void* const place = ::mmap(reinterpret_cast<void*>(end), 4096, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (place == MAP_FAILED) {
    held_instead = block;
  } else {
    *static_cast<char**>(place) = block;
  }
  void* const growing = std::malloc(100 << 20);
  pass(growing);
  std::free(growing);
}

// A thread that keeps one block on its stack, one in its thread-local storage, and one in a register if it can.
pthread_barrier_t begun;
int pipe_to_end[2];
[[gnu::noinline]] void hold_on_thread() {
  of_thread = std::memset(std::malloc(444), 1, 444);
  auto* on_stack = static_cast<char*>(std::memset(std::malloc(333), 1, 333));
  pthread_barrier_wait(&begun);
  char byte;
  while (read(pipe_to_end[0], &byte, 1) < 0) {
  }
  passing = on_stack;
  std::free(on_stack);
  std::free(of_thread);
}

[[gnu::noinline]] void wipe() {
  volatile char area[64 * 1024];
  for (volatile char& byte : area) byte = 0;
}

void plant() {
  // Its stack serves the next thread.
  std::thread([] {
    plant_in_thread();
    wipe();
  }).join();
  plant_lost_pointer();
  plant_lost_large_block();
  plant_circle();
  plant_chain();
  plant_inside_only();
  hold_by_start();
  hold_large();
  hold_by_elements();
  hold_by_second_base();
  hold_in_containers();
  hold_by_key();
  hold_in_gap();
  wipe();
}

// Two threads with stacks out of one piece, the upper one first.
void start_on_one_piece(pthread_t (&threads)[2]) {
  constexpr std::size_t stack_bytes = 256 * 1024;
  auto* const piece =
      static_cast<char*>(::mmap(nullptr, 2 * stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < 2; ++i) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, piece + (1 - i) * stack_bytes, stack_bytes);
    const auto run = [](void*) -> void* { return hold_on_thread(), nullptr; };
    if (piece == MAP_FAILED || pthread_create(&threads[i], &attributes, run, nullptr) != 0) std::exit(1);
    pthread_attr_destroy(&attributes);
  }
}

// The C library keeps their stacks, and serves one thread less from them later.
void leave_stacks() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([] { usleep(1000); });
  for (std::thread& one : threads) one.join();
}

// From now on such system calls fail, or come as a signal.
void filter(std::vector<sock_filter> rules) {
  const sock_fprog program{static_cast<unsigned short>(rules.size()), rules.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::_Exit(77);
}
constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter end_with(std::uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }
constexpr std::size_t argument(int index) { return offsetof(seccomp_data, args) + static_cast<std::size_t>(index) * 8; }

void refuse(const std::string& what) {
  if (what == "thread")
    filter({load(offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2), load(argument(0)),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0), end_with(SECCOMP_RET_ALLOW),
            end_with(SECCOMP_RET_ERRNO | EAGAIN)});
  if (what == "write")
    filter({load(offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 1, 0),
            end_with(SECCOMP_RET_ALLOW), end_with(SECCOMP_RET_ERRNO | ENOSPC)});
}

// The heap asks the kernel for a block so large, with its locks held, and the answer is a signal.
void end_interrupted() {
  constexpr std::uint32_t least_bytes = 512u << 20;
  struct sigaction ending {};
  ending.sa_handler = [](int) { std::exit(5); };
  sigaction(SIGSYS, &ending, nullptr);
  filter({load(offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 2), load(argument(1)),
          BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, least_bytes, 1, 0), end_with(SECCOMP_RET_ALLOW),
          end_with(SECCOMP_RET_TRAP)});
  pass(std::malloc(std::size_t{2} * least_bytes));
}

void live(int thread_count, const std::string& refused) {
  pthread_barrier_init(&begun, nullptr, static_cast<unsigned>(thread_count) + 3);
  if (pipe(pipe_to_end) != 0) std::exit(1);
  pthread_t on_one_piece[2];
  start_on_one_piece(on_one_piece);
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; ++i) threads.emplace_back(hold_on_thread);
  pthread_barrier_wait(&begun);
  leave_stacks();
  plant();
  // A process with a filter on its first thread would not be attached to.
  std::thread([refused] {
    refuse(refused);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
      std::vector<void*> blocks(200);
      for (void*& block : blocks) block = std::malloc(64);
      for (void* block : blocks) std::free(block);
      usleep(2000);
    }
  }).detach();
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  close(pipe_to_end[1]);
  for (const pthread_t one : on_one_piece) pthread_join(one, nullptr);
  for (std::thread& thread : threads) thread.join();
}

void become(char** words) {
  char name[] = "live";
  words[1] = name;
  char byte = '\n';
  const char ready[] = "ready\n";
  if (write(STDOUT_FILENO, ready, sizeof ready - 1) < 0 || read(STDIN_FILENO, &byte, 1) != 1) std::_Exit(1);
  execv("/proc/self/exe", words);
  std::_Exit(1);
}

// Containers over the steps of a run.
constexpr int steps = 6000;
using blocks = std::vector<void*>;

[[gnu::noinline]] void grow_without_end(blocks& of) { of.push_back(std::malloc(64)); }
// Most of what it takes it gives back, and yet it grows.
[[gnu::noinline]] void grow_though_freed(blocks& of, int step) {
  of.push_back(std::malloc(80));
  if (step % 4 == 0) return;
  std::free(of.front());
  of.front() = of.back();
  of.pop_back();
}
[[gnu::noinline]] void fill_early(blocks& of) {
  if (of.size() < steps / 8) of.push_back(std::malloc(96));
}
// A cache of so many entries, which has levelled off after three fifths of the run.
[[gnu::noinline]] void fill_cache(blocks& of, int step) {
  constexpr std::size_t most = steps * 3 / 5;
  if (of.size() < most) {
    of.push_back(std::malloc(112));
    return;
  }
  void*& oldest = of[static_cast<std::size_t>(step) % most];
  std::free(oldest);
  oldest = std::malloc(112);
}
[[gnu::noinline]] void fill_and_empty(blocks& of) {
  of.push_back(std::malloc(128));
  if (of.size() < steps / 20) return;
  for (void* one : of) std::free(one);
  of.clear();
}

void grow() {
  static std::vector<blocks> containers(5);
  for (blocks& one : containers) one.reserve(steps);
  for (int step = 0; step < steps; ++step) {
    grow_without_end(containers[0]);
    grow_though_freed(containers[1], step);
    fill_early(containers[2]);
    fill_cache(containers[3], step);
    fill_and_empty(containers[4]);
    void* const passing_by = std::malloc(512);
    pass(passing_by);
    std::free(passing_by);
  }
}

}  // namespace

int main(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "end";
  if (what == "live") {
    live(count > 2 ? std::atoi(words[2]) : 3, count > 3 ? words[3] : "");
    std::_Exit(0);
  }
  if (what == "become") become(words);
  if (what == "interrupted") end_interrupted();
  if (what == "grow") {
    grow();
    return 0;
  }
  plant();
  return what == "end" ? 0 : 3;
}
