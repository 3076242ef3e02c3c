// Secrets: what the kernel says of their pages, what is left of them, what misuse says.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tenure/secure.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "unit/resource/resource_support.h"

namespace {

std::size_t allocations_left = SIZE_MAX;  // then operator new refuses once

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (allocations_left != SIZE_MAX && allocations_left-- == 0) throw std::bad_alloc();
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace tenure {
namespace {

using testing::flags_of;

// A child's status where it may not become another user.
constexpr int cannot_tell = 77;

// What there is of it: a secret of 32 bytes needs no more than a page locked.
bool may_lock() {
  secure probe({.name = "probe"});
  try {
    probe.deallocate(probe.allocate(32), 32);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

TEST(Secure, HasPagesThatAreLockedAndNotDumped) {
  if (!may_lock()) GTEST_SKIP() << "nothing may be locked here";
  secure keys({.name = "keys"});
  void* key = keys.allocate(32);
  const std::string flags = flags_of(key);
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" wf"), std::string::npos) << flags;
  EXPECT_EQ(keys.locked_bytes(), keys.statistics().held_bytes);
  keys.deallocate(key, 32);
  EXPECT_EQ(keys.trim(), keys.statistics().peak_held_bytes);
  EXPECT_EQ(keys.locked_bytes(), 0u);
}

TEST(Secure, LeavesNothingOfASecret) {
  secure keys({.name = "keys", .must_lock = false});
  auto* const kept = static_cast<char*>(keys.allocate(100));
  auto* const key = static_cast<char*>(keys.allocate(100));
  std::memset(key, 'k', 100);
  keys.deallocate(key, 100);
  // The region is still there, by the secret that is kept. All but the link of the free block is zero.
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*static_cast<volatile char*>(key + i), 0);
  keys.deallocate(kept, 100);
}

TEST(Secure, IsEmptyInAChild) {
  secure keys({.name = "keys", .must_lock = false});
  auto* const key = static_cast<volatile char*>(keys.allocate(16));
  *key = 'k';
  const pid_t child = ::fork();
  if (child == 0) ::_exit(*key == 0 ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(*key, 'k');
  keys.deallocate(const_cast<char*>(key), 16);
}

TEST(Secure, RefusesWhatCannotBeLockedUnlessTold) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (::geteuid() == 0 && ::seteuid(65534) != 0)) ::_exit(cannot_tell);
    secure strict({.name = "strict"});
    secure lenient({.name = "lenient", .must_lock = false});
    try {
      static_cast<void>(strict.allocate(32));
      ::_exit(3);
    } catch (const std::bad_alloc&) {
    }
    if (strict.statistics().held_bytes != 0) ::_exit(4);
    lenient.deallocate(lenient.allocate(32), 32);
    ::_exit(lenient.locked_bytes() == 0 && lenient.statistics().held_bytes > 0 ? 0 : 5);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == cannot_tell) GTEST_SKIP() << "a process may not give up its rights here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A child that ends as programs do, with what it has of the parent's secrets.
TEST(Secure, EndsInAChildInSilence) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    auto keys = std::make_unique<secure>(secure_options{.name = "keys", .must_lock = false, .checks = checks});
    auto* const key = static_cast<char*>(keys->allocate(16));
    *key = 'k';
    const pid_t child = ::fork();
    if (child == 0) {
      keys->deallocate(key, 16);
      keys.reset();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_EQ(*key, 'k');
    keys->check();
    keys->deallocate(key, 16);
  }
}

TEST(Secure, WipesASecretThatWasOverrunWhereMisuseIsOnlyTold) {
  secure keys({.name = "keys", .must_lock = false, .checks = resource_checks::off});
  void* const kept = keys.allocate(40);
  auto* const key = static_cast<char*>(keys.allocate(40));
  const std::size_t volatile one_too_many = 41;
  std::memset(key, 'k', one_too_many);
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
  ::testing::internal::CaptureStderr();
  keys.deallocate(key, 40);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("write behind the end of a secret"), std::string::npos);
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
  for (int i = 0; i < 48; ++i) EXPECT_EQ(*static_cast<volatile char*>(key + i), 0);
  EXPECT_EQ(keys.statistics().used_blocks, 1u);
  keys.deallocate(kept, 40);
  keys.check();
}

TEST(Secure, HoldsNothingAfterARequestThatFailsAnywhere) {
  for (std::size_t before = 0;; ++before) {
    secure keys({.name = "keys", .must_lock = false, .checks = resource_checks::on});
    void* key = nullptr;
    allocations_left = before;
    try {
      key = keys.allocate(88);  // of 112 bytes, of which a region is no multiple
    } catch (const std::bad_alloc&) {
    }
    allocations_left = SIZE_MAX;
    if (key == nullptr) {
      keys.trim();
      ASSERT_EQ(keys.statistics().held_bytes, 0u) << "without allocation " << before;
      continue;
    }
    keys.deallocate(key, 88);
    ASSERT_GT(before, 3u);
    break;
  }
}

// Whether mappings without access end where the one of an address begins, and begin where it ends.
bool stands_between_guards(const void* address) {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return false;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  unsigned long begin = 0, end = 0, guard_end = 0, region_end = 0;
  bool is_guarded = false;
  char line[1024], rights[8] = {};
  while (!is_guarded && std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3) continue;
    const bool is_guard = std::strncmp(rights, "---", 3) == 0;
    is_guarded = is_guard && begin == region_end;
    if (at >= begin && at < end && guard_end == begin) region_end = end;
    if (is_guard) guard_end = end;
  }
  std::fclose(maps);
  return is_guarded;
}

TEST(Secure, FaultsBeyondARegionAtBothEnds) {
  secure keys({.name = "keys", .must_lock = false});
  auto* const key = static_cast<volatile char*>(keys.allocate(16));
  EXPECT_TRUE(stands_between_guards(const_cast<char*>(key)));
  const auto held = static_cast<std::ptrdiff_t>(keys.statistics().held_bytes);
  EXPECT_DEATH(static_cast<void>(key[held]), "");
  EXPECT_DEATH(static_cast<void>(key[-4096]), "");
  keys.deallocate(const_cast<char*>(key), 16);
}

TEST(Secure, CountsWhatItHoldsInWholePages) {
  secure keys({.name = "keys", .must_lock = false});
  std::vector<void*> all;
  for (int i = 0; i < 1000; ++i) all.push_back(keys.allocate(50));
  EXPECT_EQ(keys.statistics().held_bytes % 4096, 0u);
  EXPECT_LT(keys.statistics().held_bytes, 1000u * 300u);  // many to a region
  for (void* one : all) keys.deallocate(one, 50);
  keys.trim();
  EXPECT_EQ(keys.statistics().held_bytes, 0u);
  EXPECT_THROW(secure({.region_bytes = 5000}), std::invalid_argument);
}

// Death tests that begin anew: in a child of fork() there are no secrets.
struct SecureMisuse : ::testing::Test {
  SecureMisuse() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(SecureMisuse, EndsInAMessage) {
  secure keys({.name = "session keys", .must_lock = false, .checks = resource_checks::off});
  secure others({.name = "others", .must_lock = false, .checks = resource_checks::off});
  // Whose size the compiler has lost sight of.
  void* volatile const made = keys.allocate(40);
  auto* const key = static_cast<char*>(made);
  EXPECT_DEATH((key[40] = 1, keys.deallocate(key, 40)),
               "write behind the end of a secret: 0x.*a block of 40 bytes, secure \"session keys\"");
  EXPECT_DEATH((key[-16] = static_cast<char>(key[-16] + 1), keys.deallocate(key, 40)),
               "or a write before its beginning");
  EXPECT_DEATH(keys.deallocate(key, 41), "release with a size that is not this secret's");
  EXPECT_DEATH(others.deallocate(key, 40), "release of what is no secret in use");
  keys.deallocate(key, 40);
  EXPECT_DEATH(keys.deallocate(key, 40), "release of what is no secret in use");
}

TEST_F(SecureMisuse, TellsBothSitesWithChecksOn) {
  secure keys({.name = "session keys", .must_lock = false, .checks = resource_checks::on});
  secure others({.name = "others", .must_lock = false, .checks = resource_checks::on});
  void* key = keys.allocate(40);
  EXPECT_DEATH(others.deallocate(key, 40),
               "release of a block that secure \"session keys\" has handed out(.|\n)*allocated there\n");
  keys.deallocate(key, 40);
  EXPECT_DEATH(keys.deallocate(key, 40), "double release: 0x(.|\n)*allocated\n(.|\n)*released first\n");
}

}  // namespace
}  // namespace tenure
