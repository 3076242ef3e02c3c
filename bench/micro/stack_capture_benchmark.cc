// What it costs to capture a stack, by depth, warm: Tenure's unwinder, libunwind's cached backtrace and glibc's.
//
// The stack is made of functions that are all different, built without frame pointers, with frames of different sizes;
// `frames` in the output is what was really captured, so that a capture that stops early cannot look fast.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <cstdint>
#include <utility>

#include "core/telemetry/unwind.h"

#ifdef TENURE_HAS_LIBUNWIND
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#endif

namespace {

constexpr int most_frames = 128;

void capture_with_tenure(benchmark::State& state) {
  std::uint64_t frames[most_frames];
  std::uint32_t count = 0;
  for (auto _ : state) {
    count = tenure::telemetry::capture_stack(frames, most_frames, 0).frame_count;
    benchmark::DoNotOptimize(frames[0]);
  }
  state.counters["frames"] = count;
}

// glibc's own: libunwind brings a function of the same name, which would be linked first.
void capture_with_glibc(benchmark::State& state) {
  static void* library = ::dlopen("libc.so.6", RTLD_NOW);
  static auto* glibc_backtrace = reinterpret_cast<int (*)(void**, int)>(::dlsym(library, "backtrace"));
  void* frames[most_frames];
  int count = 0;
  for (auto _ : state) {
    count = glibc_backtrace(frames, most_frames);
    benchmark::DoNotOptimize(frames[0]);
  }
  state.counters["frames"] = count;
}

#ifdef TENURE_HAS_LIBUNWIND
void capture_with_libunwind(benchmark::State& state) {
  void* frames[most_frames];
  int count = 0;
  for (auto _ : state) {
    count = ::unw_backtrace(frames, most_frames);
    benchmark::DoNotOptimize(frames[0]);
  }
  state.counters["frames"] = count;
}
#endif

using capture_function = void (*)(benchmark::State&);

// Level N of the stack: a function of its own, with a frame of its own size.
template <int Level>
[[gnu::noinline]] void descend(benchmark::State& state, capture_function capture, int levels) {
  volatile char frame[16 + Level * 8 % 200];
  frame[0] = static_cast<char>(levels);
  if (levels <= 1) {
    capture(state);
  } else if constexpr (Level < 64) {
    descend<Level + 1>(state, capture, levels - 1);
  }
  frame[1] = frame[0];
}

template <capture_function Capture>
void at_depth(benchmark::State& state) {
  descend<0>(state, Capture, static_cast<int>(state.range(0)));
}

// Google Benchmark, main() and the C library bring eleven frames of their own: 19 makes 30.
BENCHMARK_TEMPLATE(at_depth, capture_with_tenure)->Arg(2)->Arg(12)->Arg(19)->Arg(52);
#ifdef TENURE_HAS_LIBUNWIND
BENCHMARK_TEMPLATE(at_depth, capture_with_libunwind)->Arg(2)->Arg(12)->Arg(19)->Arg(52);
#endif
BENCHMARK_TEMPLATE(at_depth, capture_with_glibc)->Arg(2)->Arg(12)->Arg(19)->Arg(52);

}  // namespace

BENCHMARK_MAIN();
