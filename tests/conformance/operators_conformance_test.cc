// Every form of operator new and operator delete, the new-handler, and bad_alloc.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;
using tenure::testing::is_aligned;
using tenure::testing::opaque;

const std::vector<std::size_t> sizes = {0, 1, 8, 16, 24, 100, 1024, 5000, 32768, 40000, 300000, 3000000};
constexpr std::size_t too_much = static_cast<std::size_t>(PTRDIFF_MAX) - 4096;

void expect_usable(void* block, std::size_t size, std::size_t alignment) {
  ASSERT_NE(block, nullptr) << size;
  ASSERT_TRUE(is_aligned(block, alignment)) << size;
  ASSERT_GE(malloc_usable_size(block), size);
  fill_pattern(block, size, size);
  ASSERT_TRUE(has_pattern(block, size, size));
}

TEST(plain_forms, give_and_take_in_every_combination) {
  for (const std::size_t size : sizes) {
    void* plain[6];
    for (void*& block : plain) {
      block = ::operator new(opaque(size));
      expect_usable(block, size, 16);
    }
    ::operator delete(plain[0]);
    ::operator delete(plain[1], size);
    ::operator delete(plain[2], std::nothrow);
    void* array[3];
    for (void*& block : array) {
      block = ::operator new[](opaque(size));
      expect_usable(block, size, 16);
    }
    ::operator delete[](array[0]);
    ::operator delete[](array[1], size);
    ::operator delete[](array[2], std::nothrow);
    std::free(plain[3]);
    ::operator delete(plain[4]);
    ::operator delete(plain[5], size);
  }
}

TEST(nothrow_forms, give_and_take_in_every_combination) {
  for (const std::size_t size : sizes) {
    void* first = ::operator new(opaque(size), std::nothrow);
    void* second = ::operator new(opaque(size), std::nothrow);
    expect_usable(first, size, 16);
    expect_usable(second, size, 16);
    ::operator delete(first, std::nothrow);
    ::operator delete(second, size);
    first = ::operator new[](opaque(size), std::nothrow);
    second = ::operator new[](opaque(size), std::nothrow);
    expect_usable(first, size, 16);
    expect_usable(second, size, 16);
    ::operator delete[](first, std::nothrow);
    ::operator delete[](second, size);
  }
}

TEST(aligned_forms, give_and_take_in_every_combination) {
  for (std::size_t power = 1; power <= 1024 * 1024; power *= 2) {
    const std::align_val_t alignment{power};
    for (const std::size_t size : sizes) {
      void* blocks[4];
      blocks[0] = ::operator new(opaque(size), alignment);
      blocks[1] = ::operator new(opaque(size), alignment);
      blocks[2] = ::operator new(opaque(size), alignment, std::nothrow);
      blocks[3] = ::operator new(opaque(size), alignment, std::nothrow);
      for (void* block : blocks) expect_usable(block, size, power);
      ::operator delete(blocks[0], alignment);
      ::operator delete(blocks[1], size, alignment);
      ::operator delete(blocks[2], alignment, std::nothrow);
      ::operator delete(blocks[3], size, alignment);
      blocks[0] = ::operator new[](opaque(size), alignment);
      blocks[1] = ::operator new[](opaque(size), alignment);
      blocks[2] = ::operator new[](opaque(size), alignment, std::nothrow);
      blocks[3] = ::operator new[](opaque(size), alignment, std::nothrow);
      for (void* block : blocks) expect_usable(block, size, power);
      ::operator delete[](blocks[0], alignment);
      ::operator delete[](blocks[1], size, alignment);
      ::operator delete[](blocks[2], alignment, std::nothrow);
      ::operator delete[](blocks[3], size, alignment);
    }
  }
}

TEST(delete_of_null, does_nothing_in_every_form) {
  void* null = opaque(static_cast<void*>(nullptr));
  const std::align_val_t alignment{64};
  ::operator delete(null);
  ::operator delete[](null);
  ::operator delete (null, std::size_t{8});
  ::operator delete[](null, std::size_t{8});
  ::operator delete(null, std::nothrow);
  ::operator delete[](null, std::nothrow);
  ::operator delete(null, alignment);
  ::operator delete[](null, alignment);
  ::operator delete (null, std::size_t{8}, alignment);
  ::operator delete[](null, std::size_t{8}, alignment);
  ::operator delete(null, alignment, std::nothrow);
  ::operator delete[](null, alignment, std::nothrow);
}

struct alignas(256) wide {
  char bytes[300];
};
struct counted {
  explicit counted(int* live) : live_(live) { ++*live_; }
  ~counted() { --*live_; }
  int* live_;
  char bulk[48];
};

TEST(objects_and_arrays, are_built_and_torn_down_by_the_language) {
  for (int count = 0; count < 1000; ++count) {
    auto one = std::make_unique<wide>();
    auto many = std::make_unique<wide[]>(static_cast<std::size_t>(count % 7 + 1));
    ASSERT_TRUE(is_aligned(one.get(), 256));
    ASSERT_TRUE(is_aligned(many.get(), 256));
  }
  int live = 0;
  auto* array = static_cast<counted*>(::operator new[](sizeof(counted) * 10));
  for (int index = 0; index < 10; ++index) new (array + index) counted(&live);
  EXPECT_EQ(live, 10);
  for (int index = 0; index < 10; ++index) array[index].~counted();
  ::operator delete[](array);
  EXPECT_EQ(live, 0);
}

int handler_calls = 0;
void give_up_after_five() {
  if (++handler_calls == 5) std::set_new_handler(nullptr);
}
void throw_at_third() {
  if (++handler_calls == 3) throw std::bad_alloc();
}

class new_handler_test : public ::testing::Test {
 protected:
  void SetUp() override { handler_calls = 0; }
  void TearDown() override { std::set_new_handler(nullptr); }
};

TEST_F(new_handler_test, is_called_until_it_takes_itself_away) {
  std::set_new_handler(give_up_after_five);
  EXPECT_THROW(static_cast<void>(::operator new(opaque(too_much))), std::bad_alloc);
  EXPECT_EQ(handler_calls, 5);
}

TEST_F(new_handler_test, may_throw_out_of_every_throwing_form) {
  std::set_new_handler(throw_at_third);
  EXPECT_THROW(static_cast<void>(::operator new(opaque(too_much))), std::bad_alloc);
  EXPECT_EQ(handler_calls, 3);
  handler_calls = 0;
  EXPECT_THROW(static_cast<void>(::operator new[](opaque(too_much))), std::bad_alloc);
  EXPECT_EQ(handler_calls, 3);
  handler_calls = 0;
  EXPECT_THROW(static_cast<void>(::operator new (opaque(too_much), std::align_val_t{128})), std::bad_alloc);
  EXPECT_EQ(handler_calls, 3);
}

TEST_F(new_handler_test, that_throws_becomes_null_in_every_nothrow_form) {
  std::set_new_handler(throw_at_third);
  EXPECT_EQ(::operator new(opaque(too_much), std::nothrow), nullptr);
  EXPECT_EQ(handler_calls, 3);
  handler_calls = 0;
  EXPECT_EQ(::operator new[](opaque(too_much), std::nothrow), nullptr);
  EXPECT_EQ(handler_calls, 3);
  handler_calls = 0;
  EXPECT_EQ(::operator new (opaque(too_much), std::align_val_t{128}, std::nothrow), nullptr);
  EXPECT_EQ(handler_calls, 3);
  handler_calls = 0;
  EXPECT_EQ(::operator new[](opaque(too_much), std::align_val_t{128}, std::nothrow), nullptr);
  EXPECT_EQ(handler_calls, 3);
}

TEST_F(new_handler_test, is_not_called_by_malloc) {
  std::set_new_handler(give_up_after_five);
  EXPECT_EQ(std::malloc(opaque(too_much)), nullptr);
  EXPECT_EQ(handler_calls, 0);
}

void* reserve = nullptr;
void free_the_reserve() {
  std::free(reserve);
  reserve = nullptr;
}

// The classic use: a reserve that the handler gives up, after which the same call succeeds.
int succeed_after_the_handler() {
  const std::size_t mebibyte = 1024 * 1024;
  reserve = std::malloc(600 * mebibyte);
  if (reserve == nullptr) return 2;
  std::memset(reserve, 0, 4096);
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = 900 * mebibyte;
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 3;
  std::set_new_handler(free_the_reserve);
  void* block = ::operator new(opaque(500 * mebibyte), std::nothrow);
  if (block == nullptr) return 4;
  if (reserve != nullptr) return 5;
  ::operator delete(block);
  return 0;
}

TEST_F(new_handler_test, that_frees_enough_makes_the_call_succeed) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(succeed_after_the_handler());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
