// What the tests of resources share: an upstream that counts and refuses, blocks with content of their own.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory_resource>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <tenure/memory_resource.hpp>

namespace tenure::testing {

// Knows every block it has given, so that a release with another size or alignment fails the test.
class counting_upstream final : public std::pmr::memory_resource {
 public:
  std::size_t live_blocks() const { return blocks_.size(); }
  std::size_t live_bytes() const {
    std::size_t sum = 0;
    for (const auto& [address, of] : blocks_) sum += of.bytes;
    return sum;
  }
  std::size_t allocations() const { return allocations_; }
  void refuse_from_now(bool refuses) { refuses_ = refuses; }

 private:
  struct given {
    std::size_t bytes, alignment;
  };
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (refuses_) throw std::bad_alloc();
    void* block = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    blocks_[block] = {bytes, alignment};
    ++allocations_;
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    const auto found = blocks_.find(block);
    ASSERT_NE(found, blocks_.end()) << "not from here";
    EXPECT_EQ(found->second.bytes, bytes);
    EXPECT_EQ(found->second.alignment, alignment);
    blocks_.erase(found);
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::map<void*, given> blocks_;
  std::size_t allocations_ = 0;
  bool refuses_ = false;
};

struct filled_block {
  void* start;
  std::size_t bytes;
  std::size_t alignment;
  unsigned char seed;

  static filled_block make(std::pmr::memory_resource& from, std::size_t bytes, std::size_t alignment,
                           unsigned char seed) {
    filled_block made{from.allocate(bytes, alignment), bytes, alignment, seed};
    std::memset(made.start, seed, bytes);
    return made;
  }
  bool is_intact() const {
    const auto* at = static_cast<const unsigned char*>(start);
    for (std::size_t i = 0; i < bytes; ++i) {
      if (at[i] != seed) return false;
    }
    return true;
  }
};

// The ranges that a resource says are live, by address.
inline std::map<std::uintptr_t, std::size_t> live_ranges(const memory_resource& of) {
  std::map<std::uintptr_t, std::size_t> result;
  of.for_each_live([&](const live_block& one) {
    const bool is_new = result.emplace(reinterpret_cast<std::uintptr_t>(one.address), one.bytes).second;
    EXPECT_TRUE(is_new) << "told twice";
  });
  return result;
}

// The flags that the kernel has for the page of an address: "rd wr ... dd lo".
inline std::string flags_of(const void* address) {
  std::FILE* const smaps = std::fopen("/proc/self/smaps", "re");
  if (smaps == nullptr) return {};
  std::string flags;
  bool is_it = false;
  char line[1024];
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<std::uintptr_t>(address);
      is_it = at >= begin && at < end;
    } else if (is_it && std::strncmp(line, "VmFlags:", 8) == 0) {
      flags = line + 8;
    }
  }
  std::fclose(smaps);
  return flags;
}

}  // namespace tenure::testing
