#include "core/telemetry/unwind.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "unwind_oracle.h"
#include "unwind_shapes.h"

using namespace tenure;
using tenure::testing::compare_here;
using tenure::testing::compare_interrupted;
using tenure::testing::compared_frames;

namespace {

std::vector<std::string>* differences;
int leaf_calls;

void look() {
  ++leaf_calls;
  // Twice: rules worked out afresh, then from the cache.
  for (int i = 0; i < 2; ++i) {
    if (std::string difference = compare_here(); !difference.empty()) differences->push_back(std::move(difference));
  }
}

// On a stack that makecontext() began: the function there has no unwind information of its own.
void look_in_coroutine() {
  ++leaf_calls;
  if (std::string difference = compare_here(false); !difference.empty()) differences->push_back(std::move(difference));
}

class unwind_test : public ::testing::Test {
 protected:
  void SetUp() override {
    differences = &found_;
    leaf_calls = 0;
    telemetry::forget_rules();
  }
  void TearDown() override {
    EXPECT_GT(leaf_calls, 0);
    EXPECT_TRUE(found_.empty()) << found_.size() << " differences, the first: " << found_.front();
    telemetry::check_unwind();
  }
  std::vector<std::string> found_;
};

struct shapes {
  void (*recursion)(leaf_function, int);
  void (*small_frames)(leaf_function);
  void (*big_frame)(leaf_function);
  void (*dynamic_frame)(leaf_function, int);
  void (*aligned_frame)(leaf_function, int);
  void (*never_returning)(leaf_function);
  void (*through_library)(leaf_function);
  void (*through_lambdas)(leaf_function);
  void (*in_catch)(leaf_function);
  void (*in_cleanup)(leaf_function);
  void (*many_arguments)(leaf_function);
  unsigned (*busy_work)(unsigned, int);
};

#define TENURE_SHAPES(name)                                                                                    \
  {                                                                                                            \
    name::recursion, name::small_frames, name::big_frame, name::dynamic_frame, name::aligned_frame,            \
        name::never_returning, name::through_library, name::through_lambdas, name::in_catch, name::in_cleanup, \
        name::many_arguments, name::busy_work                                                                  \
  }
const shapes all_shapes[] = {TENURE_SHAPES(shapes_at_0), TENURE_SHAPES(shapes_at_2), TENURE_SHAPES(shapes_at_3)};

void run_shapes(const shapes& shape, leaf_function leaf) {
  shape.recursion(leaf, 200);
  shape.small_frames(leaf);
  shape.big_frame(leaf);
  shape.dynamic_frame(leaf, 20);
  shape.aligned_frame(leaf, 10);
  shape.never_returning(leaf);
  shape.through_library(leaf);
  shape.through_lambdas(leaf);
  shape.in_catch(leaf);
  shape.in_cleanup(leaf);
  shape.many_arguments(leaf);
}

void on_signal(int, siginfo_t*, void* context) {
  look();
  if (std::string difference = compare_interrupted(*static_cast<ucontext_t*>(context)); !difference.empty()) {
    differences->push_back("interrupted: " + difference);
  }
}

void handle(int number, int flags) {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | flags;
  ASSERT_EQ(sigaction(number, &action, nullptr), 0);
}

TEST_F(unwind_test, agrees_with_libunwind_on_every_shape_of_code) {
  const std::uint64_t before = compared_frames();
  for (const shapes& shape : all_shapes) run_shapes(shape, look);
  EXPECT_GT(compared_frames() - before, 1000u);
}

TEST_F(unwind_test, agrees_in_threads) {
  for (const shapes& shape : all_shapes) std::thread([&] { run_shapes(shape, look); }).join();
}

TEST_F(unwind_test, agrees_in_signal_handlers) {
  handle(SIGUSR1, 0);
  for (const shapes& shape : all_shapes) shape.recursion([] { std::raise(SIGUSR1); }, 10);
}

TEST_F(unwind_test, agrees_in_signal_handlers_on_a_stack_of_their_own) {
  std::vector<char> memory(256 * 1024);
  stack_t alternate{};
  alternate.ss_sp = memory.data();
  alternate.ss_size = memory.size();
  ASSERT_EQ(sigaltstack(&alternate, nullptr), 0);
  handle(SIGUSR1, SA_ONSTACK);
  for (const shapes& shape : all_shapes) shape.dynamic_frame([] { std::raise(SIGUSR1); }, 10);
  alternate.ss_flags = SS_DISABLE;
  sigaltstack(&alternate, nullptr);
}

// Wherever a timer finds the program: prologues, epilogues, stubs of the linkage table, the C library.
TEST_F(unwind_test, agrees_at_instructions_that_a_timer_interrupts) {
#if defined(__SANITIZE_THREAD__)
  look();
  GTEST_SKIP() << "ThreadSanitizer holds signals back until the program calls it";
#endif
  handle(SIGVTALRM, SA_RESTART);
  itimerval timer{};
  timer.it_interval.tv_usec = timer.it_value.tv_usec = 1000;
  ASSERT_EQ(setitimer(ITIMER_VIRTUAL, &timer, nullptr), 0);
  volatile unsigned result = 1;
  while (leaf_calls < 150) {
    for (const shapes& shape : all_shapes) result = shape.busy_work(result, 8);
  }
  timer = {};
  setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

ucontext_t outside;
ucontext_t coroutine;

void run_on_coroutine() {
  // Without the shapes that throw: AddressSanitizer cannot follow an exception on a stack it does not know.
  for (const shapes& shape : all_shapes) {
    shape.recursion(look_in_coroutine, 100);
    shape.dynamic_frame(look_in_coroutine, 20);
    shape.through_library(look_in_coroutine);
    shape.through_lambdas(look_in_coroutine);
  }
  swapcontext(&coroutine, &outside);
}

[[gnu::noinline]] void start_coroutine(void* stack, std::size_t bytes) {
  ASSERT_EQ(getcontext(&coroutine), 0);
  coroutine.uc_stack.ss_sp = stack;
  coroutine.uc_stack.ss_size = bytes;
  coroutine.uc_link = &outside;
  makecontext(&coroutine, run_on_coroutine, 0);
  swapcontext(&outside, &coroutine);
}

TEST_F(unwind_test, agrees_on_stacks_that_the_program_makes_itself) {
  constexpr std::size_t bytes = 1024 * 1024;
  for (int i = 0; i < 3; ++i) {
    void* stack = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(stack, MAP_FAILED);
    start_coroutine(stack, bytes);
    munmap(stack, bytes);
    look();
  }
}

// Another file in the place of one that was unloaded: its rules must not be those of the old one.
TEST_F(unwind_test, agrees_after_another_file_took_the_place_of_one_unloaded) {
  const std::string path = ::testing::TempDir() + "unwind_plugin_" + std::to_string(getpid()) + ".so";
  std::vector<void*> places;
  for (int i = 0; i < 6; ++i) {
    std::filesystem::remove(path);
    std::filesystem::copy_file(i % 2 == 0 ? PLUGIN_SMALL : PLUGIN_LARGE, path);
    void* plugin = dlopen(path.c_str(), RTLD_NOW);
    ASSERT_NE(plugin, nullptr) << dlerror();
    auto* call = reinterpret_cast<int (*)(void (*)(), int)>(dlsym(plugin, "plugin_call"));
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call(look, 20), i % 2 == 0 ? 64 : 4096);
    places.push_back(reinterpret_cast<void*>(call));
    dlclose(plugin);
    telemetry::forget_rules();
  }
  std::filesystem::remove(path);
  EXPECT_EQ(places[0] == places[1] || places[1] == places[2], true) << "the plugins never shared a place";
}

TEST(capture_stack, counts_frames_from_its_caller_and_leaves_out_as_many_as_asked) {
  std::uint64_t all[64];
  std::uint64_t fewer[64];
  const auto whole = telemetry::capture_stack(all, 64, 0);
  const auto rest = telemetry::capture_stack(fewer, 64, 2);
  ASSERT_EQ(whole.frame_count, rest.frame_count + 2);
  for (std::uint32_t i = 0; i < rest.frame_count; ++i) EXPECT_EQ(fewer[i], all[i + 2]);
  Dl_info info{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(all[whole.frame_count - 1]), &info), 0);
  EXPECT_NE(all[0], fewer[0]);
}

TEST(capture_stack, says_that_there_is_more_than_the_capacity) {
  std::uint64_t all[64];
  const auto whole = telemetry::capture_stack(all, 64, 0);
  ASSERT_EQ(whole.end, telemetry::walk_end::complete);
  std::uint64_t few[3];
  const auto cut = telemetry::capture_stack(few, 3, 0);
  EXPECT_EQ(cut.frame_count, 3u);
  EXPECT_EQ(cut.end, telemetry::walk_end::limit);
  std::vector<std::uint64_t> exact(whole.frame_count);
  EXPECT_EQ(telemetry::capture_stack(exact.data(), exact.size(), 0).end, telemetry::walk_end::complete);
}

telemetry::walk_result middle;
std::uint64_t middle_frames[16];
void capture_in_middle() { middle = telemetry::capture_stack(middle_frames, 16, 0); }

// Code that no file describes: the walk ends there and says so.
TEST(capture_stack, ends_at_code_without_unwind_information) {
#if defined(__x86_64__)
  // push rbx; call rdi; pop rbx; ret
  static constexpr unsigned char code[] = {0x53, 0xff, 0xd7, 0x5b, 0xc3};
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  // Not at the page's beginning: clang's sanitizer looks for a function's type before it.
  char* const function = static_cast<char*>(page) + 64;
  std::memcpy(function, code, sizeof code);
  reinterpret_cast<void (*)(void (*)())>(function)(capture_in_middle);
  EXPECT_EQ(middle.end, telemetry::walk_end::no_rule);
  ASSERT_EQ(middle.frame_count, 2u);
  EXPECT_EQ(middle_frames[1], reinterpret_cast<std::uint64_t>(function) + 3);
  munmap(page, 4096);
#else
  GTEST_SKIP() << "the code is x86-64's";
#endif
}

// Registers that no compiler would leave: the walk may find nothing, but it reads only what is there to be read.
TEST(walk_stack, survives_registers_that_make_no_sense) {
  std::uint64_t frames[64];
  std::mt19937_64 random(7);
  const auto here = telemetry::capture_stack(frames, 64, 0);
  std::vector<std::uint64_t> code(frames, frames + here.frame_count);
  auto* edge = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(edge, MAP_FAILED);
  ASSERT_EQ(mprotect(edge + 4096, 4096, PROT_NONE), 0);
  // A chain of frames that climbs into memory that is not there.
  for (int i = 0; i < 4096; i += 16) {
    const std::uint64_t next = reinterpret_cast<std::uint64_t>(edge) + static_cast<std::uint64_t>(i) + 16;
    std::memcpy(edge + i, &next, 8);
    std::memcpy(edge + i + 8, &code[static_cast<std::size_t>(i / 16) % code.size()], 8);
  }
  const auto pick = [&]() -> std::uint64_t {
    switch (random() % 5) {
      case 0:
        return random();
      case 1:
        return reinterpret_cast<std::uint64_t>(edge) + random() % 8192;
      case 2:
        return reinterpret_cast<std::uint64_t>(&random) + random() % 4096;
      case 3:
        return random() % 65536;
      default:
        return ~random() % 65536;
    }
  };
  for (int i = 0; i < 20000; ++i) {
    const telemetry::start_registers from{code[random() % code.size()], pick(), pick()};
    const auto result = telemetry::walk_stack(from, frames, 64);
    ASSERT_LE(result.frame_count, 64u);
    ASSERT_EQ(frames[0], from.instruction);
  }
  munmap(edge, 8192);
}

// Rules are worked out, used, pushed out and forgotten by several threads at once.
TEST(rules, are_shared_by_threads_that_capture_and_forget) {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        std::uint64_t first[128];
        std::uint64_t second[128];
        telemetry::walk_result results[2];
        std::uint64_t* frames[2] = {first, second};
        for (int k = 0; k < 2; ++k) results[k] = telemetry::capture_stack(frames[k], 128, 1);
        if (results[0].frame_count != results[1].frame_count || results[0].end != telemetry::walk_end::complete)
          ++wrong;
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    telemetry::forget_rules();
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  telemetry::check_unwind();
}

}  // namespace
