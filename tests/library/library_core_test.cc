// A program that links a library of the core and a room: which core serves it, alone, under preload, and beside another
// malloc. The oracle is who was put first, never what Tenure says of itself.
//
// TENURE_TEST_SERVED names who should serve malloc: "tenure" or "other".
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <tenure/heap.hpp>

#include "library/sample_room.h"

namespace {

namespace fs = std::filesystem;
using namespace tenure::testing;

bool served_by_tenure() {
  const char* expected = std::getenv("TENURE_TEST_SERVED");
  return expected != nullptr && std::strcmp(expected, "tenure") == 0;
}

// Mentioned by address: built for a fixed address, the program lends its own jump to malloc to everybody as malloc's
// address, and its jump to tenure_version likewise.
void* (*volatile chosen_malloc)(std::size_t) = &std::malloc;

std::uint64_t live_bytes() {
  static tenure_statistics figures;
  figures.struct_size = sizeof figures;
  EXPECT_EQ(tenure_statistics_get(&figures), 1);
  return figures.live_bytes;
}

TEST(library_core_test, tells_whether_malloc_is_tenures) {
  EXPECT_EQ(tenure_is_active(), served_by_tenure() ? 1 : 0);
  EXPECT_EQ(sample_is_active(), served_by_tenure() ? 1 : 0);
  void* block = chosen_malloc(100);
  EXPECT_EQ(tenure_block_size(block) >= 100, served_by_tenure());
  std::free(block);
}

TEST(library_core_test, the_room_and_the_program_meet_one_core) {
  EXPECT_EQ(sample_address_of_version(), reinterpret_cast<const void*>(&tenure_version));
  EXPECT_EQ(sample_address_of_version(), dlsym(RTLD_DEFAULT, "tenure_version"));
}

TEST(library_core_test, statistics_tell_of_the_heap_that_serves) {
  constexpr std::size_t bytes = 8 * 1024 * 1024;
  const std::uint64_t before = sample_live_bytes();
  void* block = std::malloc(bytes);
  ASSERT_NE(block, nullptr);
  std::memset(block, 1, bytes);
  const std::uint64_t gained = sample_live_bytes() - before;
  if (served_by_tenure()) {
    EXPECT_GE(gained, bytes);
  } else {
    EXPECT_EQ(gained, 0u);
  }
  EXPECT_EQ(sample_live_bytes(), live_bytes());
  std::free(block);
}

TEST(library_core_test, heaps_work_whoever_serves_malloc) {
  tenure::heap heap("numbers");
  {
    std::pmr::vector<int> numbers(&heap);
    for (int i = 0; i < 100'000; ++i) numbers.push_back(i);
    EXPECT_GE(heap.statistics().live_bytes, 100'000 * sizeof(int));
    EXPECT_EQ(numbers[99'999], 99'999);
    EXPECT_GE(tenure_block_size(numbers.data()), 100'000 * sizeof(int));
  }
  EXPECT_EQ(heap.statistics().live_bytes, 0u);
  tenure_check();
}

TEST(library_core_test, a_resource_of_the_room_counts_and_throws_by_type) {
  sample_resource resource;
  std::pmr::memory_resource& as_base = resource;
  void* block = as_base.allocate(1000, 64);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0u);
  EXPECT_GE(resource.live_bytes(), 1000u);
  as_base.deallocate(block, 1000, 64);
  EXPECT_EQ(resource.live_bytes(), 0u);
  EXPECT_THROW(static_cast<void>(as_base.allocate(2 << 20, 16)), sample_error);
  EXPECT_NE(dynamic_cast<sample_resource*>(&as_base), nullptr);
}

TEST(library_core_test, hides_what_the_header_does_not_declare) {
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "_ZN6tenure7testing13sample_hiddenEv"), nullptr);
  EXPECT_NE(dlsym(RTLD_DEFAULT, "_ZN6tenure7testing16sample_is_activeEv"), nullptr);
}

// The exit code of this program, run anew on one of its tests with a session folder in its environment.
int run_in_session(const std::string& folder, const char* test) {
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const std::string filter = std::string("--gtest_filter=") + test;
  const pid_t child = fork();
  if (child == 0) {
    setenv("TENURE_SESSION", folder.c_str(), 1);
    execl(self.c_str(), self.c_str(), filter.c_str(), "--gtest_brief=1", nullptr);
    _exit(127);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Two cores that both began would each open a region for the process.
TEST(library_core_test, one_core_begins) {
  std::string folder = (fs::temp_directory_path() / "tenure-library-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  EXPECT_EQ(run_in_session(folder, "*heaps_work*"), 0);
  int regions = 0;
  for (const auto& entry : fs::directory_iterator(folder)) regions += entry.path().extension() == ".region" ? 1 : 0;
  EXPECT_EQ(regions, 1);
  fs::remove_all(folder);
}

}  // namespace
