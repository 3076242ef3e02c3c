// replay: what a program allocated and freed, done again. The trace (trace.h) is read piece by piece, so that it is not
// part of what is measured; an operation is done by a thread of the number that did it, in the order in which it was
// done: threads take turns, for as many operations as one did in a row. Each block is touched as those of the other
// workloads are.
//
//   trace --read--> piece --run of one thread--> that thread
#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "measure.h"
#include "trace.h"
#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t piece_operations = 4096;
constexpr std::uint32_t most_threads = 1024;

void* make(const trace_operation& one, void* old) {
  switch (one.kind) {
    case trace_kind::allocate_zeroed:
      return std::calloc(1, one.bytes);
    case trace_kind::allocate_aligned:
      return std::aligned_alloc(64, (one.bytes + 63) / 64 * 64);
    case trace_kind::reallocate:
      return std::realloc(old, one.bytes == 0 ? 1 : one.bytes);
    default:
      return std::malloc(one.bytes);
  }
}

void perform(const trace_operation& one, void** slots) {
  if (one.kind == trace_kind::free) {
    std::free(slots[one.slot]);
    slots[one.slot] = nullptr;
    return;
  }
  void* old = one.kind == trace_kind::reallocate ? slots[one.from_slot] : nullptr;
  if (old != nullptr) slots[one.from_slot] = nullptr;
  slots[one.slot] = make(one, old);
  touch(slots[one.slot], one.bytes);
}

// Threads that do what they are handed, one at a time.
class actors {
 public:
  actors(std::uint32_t count, void** slots) : slots_(slots) {
    for (std::uint32_t number = 1; number < count; ++number) threads_.emplace_back([this, number] { serve(number); });
  }
  actors(const actors&) = delete;
  actors& operator=(const actors&) = delete;
  ~actors() {
    first_ = nullptr;
    for (std::uint32_t number = 1; number <= threads_.size(); ++number) hand(number);
    for (std::thread& each : threads_) each.join();
  }

  // Operations of one thread, in a row.
  void run(const trace_operation* first, const trace_operation* end) {
    first_ = first;
    end_ = end;
    if (first->thread == 0) return perform_all();
    hand(first->thread);
  }

 private:
  void hand(std::uint32_t number) {
    turn_.store(number, std::memory_order_release);
    turn_.notify_all();
    for (std::uint32_t now = number; now != 0; now = turn_.load(std::memory_order_acquire)) turn_.wait(now);
  }
  void serve(std::uint32_t number) {
    for (;;) {
      std::uint32_t now = turn_.load(std::memory_order_acquire);
      if (now != number) {
        turn_.wait(now);
        continue;
      }
      const bool is_over = first_ == nullptr;
      if (!is_over) perform_all();
      turn_.store(0, std::memory_order_release);
      turn_.notify_all();
      if (is_over) return;
    }
  }
  void perform_all() {
    for (const trace_operation* one = first_; one != end_; ++one) perform(*one, slots_);
  }

  void** slots_;
  const trace_operation* first_ = nullptr;
  const trace_operation* end_ = nullptr;
  std::atomic<std::uint32_t> turn_{0};
  std::vector<std::thread> threads_;
};

bool is_sound(const trace_operation& one, const trace_header& header) {
  return one.slot < header.slots && one.from_slot < header.slots && one.thread < header.threads &&
         one.kind <= trace_kind::free;
}

// False when the file is not as its header says.
bool run_pieces(std::FILE* file, const trace_header& header, actors& all) {
  static trace_operation piece[piece_operations];
  std::uint64_t left = header.operations;
  while (left != 0) {
    const std::size_t count =
        std::fread(piece, sizeof piece[0], left < piece_operations ? left : piece_operations, file);
    if (count == 0) return false;
    left -= count;
    std::size_t first = 0;
    for (std::size_t index = 0; index < count; ++index) {
      if (!is_sound(piece[index], header)) return false;
      const bool is_last = index + 1 == count || piece[index + 1].thread != piece[index].thread;
      if (!is_last) continue;
      all.run(piece + first, piece + index + 1);
      first = index + 1;
    }
  }
  return true;
}

int give_up(const char* path) {
  std::fprintf(stderr, "tenure-bench-heap: %s is no trace, or is cut off\n", path);
  return 2;
}

}  // namespace

int run_replay(const char* path) {
  static char buffer[1 << 16];
  trace_header header;
  std::FILE* file = std::fopen(path, "rbe");
  if (file == nullptr) return give_up(path);
  std::setvbuf(file, buffer, _IOFBF, sizeof buffer);  // the library's own would be the heap's
  if (std::fread(&header, sizeof header, 1, file) != 1 || header.magic != trace_magic || header.threads == 0 ||
      header.threads > most_threads || header.slots == 0) {
    return give_up(path);
  }
  void* slots = mmap(nullptr, header.slots * sizeof(void*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) return give_up(path);
  bool is_whole = false;
  const reading before = read_now();
  {
    actors all(header.threads, static_cast<void**>(slots));
    is_whole = run_pieces(file, header, all);
  }
  const reading cost = read_now() - before;
  std::fclose(file);
  if (!is_whole) return give_up(path);
  print_result("replay", header.operations, cost, peak_rss_bytes(), rss_bytes());
  return 0;
}

}  // namespace tenure::bench
