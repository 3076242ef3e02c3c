#include "unwind_shapes.h"

#include <alloca.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdlib>
#include <functional>
#include <stdexcept>

namespace SHAPES {
namespace {

// Keeps calls from becoming jumps.
volatile int after_call;

jmp_buf way_out;

[[noreturn, gnu::noinline]] void leave(leaf_function leaf) {
  leaf();
  std::longjmp(way_out, 1);
}

// The call is the last instruction: its return address lies in the function behind this one.
[[gnu::noinline]] void call_without_return(leaf_function leaf) {
  volatile char frame[48];
  frame[0] = 1;
  after_call = frame[0];
  leave(leaf);
}

leaf_function leaf_of_comparison;

int compare_and_look(const void* a, const void* b) {
  leaf_of_comparison();
  after_call = 1;
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

struct calls_in_destructor {
  leaf_function leaf;
  ~calls_in_destructor() {
    leaf();
    after_call = 2;
  }
};

[[gnu::noinline]] void throw_past(leaf_function leaf, int levels) {
  calls_in_destructor guard{leaf};
  if (levels == 0) throw std::runtime_error("on purpose");
  throw_past(leaf, levels - 1);
  after_call = levels;
}

[[gnu::noinline]] int sum_many(leaf_function leaf, int a, int b, int c, int d, int e, int f, int g, int h, int i) {
  leaf();
  return a + b + c + d + e + f + g + h + i;
}

}  // namespace

[[gnu::noinline]] void recursion(leaf_function leaf, int levels) {
  if (levels == 0) {
    leaf();
  } else {
    recursion(leaf, levels - 1);
  }
  after_call = levels;
}

[[gnu::noinline]] void small_frames(leaf_function leaf) {
  leaf();
  after_call = 3;
}

// More than a compact rule can say, and more than the pages a walk knows of.
[[gnu::noinline]] void big_frame(leaf_function leaf) {
  volatile char frame[300 * 1024];
  frame[0] = 1;
  frame[sizeof frame - 1] = 1;
  small_frames(leaf);
  frame[1] = frame[0];
}

[[gnu::noinline]] void dynamic_frame(leaf_function leaf, int levels) {
  auto* frame = static_cast<volatile char*>(alloca(static_cast<std::size_t>(levels) * 77 + 1));
  frame[0] = 1;
  if (levels == 0) {
    small_frames(leaf);
  } else {
    dynamic_frame(leaf, levels - 1);
  }
  frame[0] = 2;
}

// Aligned beyond the ABI and of varying size: the CFA is then an expression.
[[gnu::noinline]] void aligned_frame(leaf_function leaf, int levels) {
  alignas(64) volatile char fixed[128];
  auto* varying = static_cast<volatile char*>(alloca(static_cast<std::size_t>(levels) * 13 + 1));
  varying[0] = 1;
  fixed[0] = varying[0];
  if (levels == 0) {
    leaf();
  } else {
    aligned_frame(leaf, levels - 1);
  }
  after_call = fixed[0];
}

void never_returning(leaf_function leaf) {
  if (setjmp(way_out) == 0) call_without_return(leaf);
}

void through_library(leaf_function leaf) {
  leaf_of_comparison = leaf;
  std::array<int, 5> numbers{4, 1, 3, 5, 2};
  std::qsort(numbers.data(), numbers.size(), sizeof(int), compare_and_look);
}

void through_lambdas(leaf_function leaf) {
  const std::function<void(int)> down = [&](int levels) {
    if (levels == 0) {
      leaf();
    } else {
      down(levels - 1);
    }
    after_call = levels;
  };
  down(10);
  std::array<int, 3> numbers{1, 2, 3};
  std::for_each(numbers.begin(), numbers.end(), [&](int) { small_frames(leaf); });
}

void in_catch(leaf_function leaf) {
  try {
    throw_past([] {}, 3);
  } catch (const std::runtime_error&) {
    leaf();
    after_call = 4;
  }
}

void in_cleanup(leaf_function leaf) {
  try {
    throw_past(leaf, 3);
  } catch (const std::runtime_error&) {
    after_call = 5;
  }
}

void many_arguments(leaf_function leaf) { after_call = sum_many(leaf, 1, 2, 3, 4, 5, 6, 7, 8, after_call); }

// Calls, pushes and pops for a signal to fall into.
[[gnu::noinline]] unsigned busy_work(unsigned seed, int depth) {
  volatile char frame[64];
  frame[seed % 64] = static_cast<char>(seed);
  if (depth == 0) return seed * 2654435761u + static_cast<unsigned>(frame[seed % 64]);
  const unsigned left = busy_work(seed * 1664525u + 1013904223u, depth - 1);
  const unsigned right = busy_work(left ^ seed, depth - 1);
  return static_cast<unsigned>(std::abs(static_cast<int>(left ^ right))) + static_cast<unsigned>(std::rand() & 1);
}

}  // namespace SHAPES
