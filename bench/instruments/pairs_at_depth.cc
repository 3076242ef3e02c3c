// What one malloc and its free cost at a given depth of the stack, in a program without frame pointers: run it alone,
// under a recorder, and under another.
//
//   pairs_at_depth DEPTH PAIRS SITES [THREADS]
//
// main ─► descend ─► ... ─► work ─► one of SITES functions ─► malloc, free. Every function has a frame of its own size.
// With one site each capture finds the stack as it was; with more, the innermost frames change each time.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

namespace {

long pairs = 0;
int sites = 1;

template <int Site>
[[gnu::noinline]] void* allocate_at(std::size_t bytes) {
  volatile char frame[16 + Site * 24];
  frame[0] = 1;
  void* block = std::malloc(bytes);
  frame[1] = frame[0];
  return block;
}

using site = void* (*)(std::size_t);
constexpr site all_sites[] = {allocate_at<0>, allocate_at<1>, allocate_at<2>, allocate_at<3>,
                              allocate_at<4>, allocate_at<5>, allocate_at<6>, allocate_at<7>};

[[gnu::noinline]] void work() {
  int next = 0;
  for (long i = 0; i < pairs; ++i) {
    void* block = all_sites[next](static_cast<std::size_t>(16 + i % 7 * 32));
    static_cast<volatile char*>(block)[0] = 1;
    std::free(block);
    if (++next == sites) next = 0;
  }
}

template <int Level>
[[gnu::noinline]] void descend(int levels) {
  volatile char frame[16 + Level * 8 % 200];
  frame[0] = static_cast<char>(levels);
  if (levels <= 1) {
    work();
  } else if constexpr (Level < 64) {
    descend<Level + 1>(levels - 1);
  }
  frame[1] = frame[0];
}

double seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

int main(int count, char** words) {
  const int depth = count > 1 ? std::atoi(words[1]) : 20;
  pairs = count > 2 ? std::atol(words[2]) : 10'000'000;
  sites = count > 3 ? std::atoi(words[3]) : 1;
  const int threads = count > 4 ? std::atoi(words[4]) : 1;
  if (depth < 1 || depth > 64 || sites < 1 || sites > 8 || threads < 1) return 2;
  const double wall = seconds(CLOCK_MONOTONIC);
  const double processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([depth] { descend<0>(depth); });
  descend<0>(depth);
  for (std::thread& other : others) other.join();
  const double all = static_cast<double>(pairs) * threads;
  std::printf("%.1f ns a pair of processor time, %.1f of wall time\n",
              (seconds(CLOCK_PROCESS_CPUTIME_ID) - processor) * 1e9 / all,
              (seconds(CLOCK_MONOTONIC) - wall) * 1e9 / all);
}
