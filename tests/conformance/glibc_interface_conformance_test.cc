// The C library's extras, by which service owners look at the heap and push it: mallinfo, mallinfo2, malloc_info,
// malloc_stats, malloc_trim, mallopt.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/memory_probe.h"
#include "support/sizes.h"

namespace {

using tenure::mebibyte;
using tenure::testing::opaque;

std::vector<void*> allocate_many(std::size_t count, std::size_t size) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) {
    block = std::malloc(opaque(size));
    if (block != nullptr) std::memset(block, 1, size);
  }
  return blocks;
}

void free_all(const std::vector<void*>& blocks) {
  for (void* block : blocks) std::free(block);
}

std::size_t live_bytes(const struct mallinfo2& info) { return info.uordblks + info.hblkhd; }

TEST(mallinfo2_figures, follow_the_live_bytes) {
  const struct mallinfo2 before = mallinfo2();
  const std::vector<void*> blocks = allocate_many(65536, 1000);
  const struct mallinfo2 during = mallinfo2();
  free_all(blocks);
  const struct mallinfo2 after = mallinfo2();
  EXPECT_GE(live_bytes(during), live_bytes(before) + 65536u * 1000u);
  EXPECT_LE(live_bytes(during), live_bytes(before) + 65536u * 1300u);
  EXPECT_LE(live_bytes(after), live_bytes(before) + mebibyte);
}

TEST(mallinfo2_figures, follow_a_large_block) {
  const struct mallinfo2 before = mallinfo2();
  void* block = std::malloc(opaque(100 * mebibyte));
  const struct mallinfo2 during = mallinfo2();
  std::free(block);
  EXPECT_GE(live_bytes(during), live_bytes(before) + 100 * mebibyte);
  EXPECT_LE(live_bytes(during), live_bytes(before) + 102 * mebibyte);
  EXPECT_LE(live_bytes(mallinfo2()), live_bytes(before) + mebibyte);
}

TEST(mallinfo2_figures, add_up) {
  const std::vector<void*> blocks = allocate_many(5000, 300);
  const struct mallinfo2 info = mallinfo2();
  EXPECT_GT(info.arena, 0u);
  EXPECT_GT(info.uordblks, 0u);
  EXPECT_EQ(info.arena, info.uordblks + info.fordblks);
  free_all(blocks);
}

TEST(mallinfo_figures, are_those_of_mallinfo2_where_they_fit) {
  const std::vector<void*> blocks = allocate_many(5000, 300);
  const struct mallinfo2 wide = mallinfo2();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop
  EXPECT_GT(narrow.arena, 0);
  EXPECT_EQ(static_cast<std::size_t>(narrow.arena), wide.arena);
  EXPECT_EQ(static_cast<std::size_t>(narrow.uordblks), wide.uordblks);
  EXPECT_EQ(static_cast<std::size_t>(narrow.fordblks), wide.fordblks);
  free_all(blocks);
}

// Well-formedness of a document without CDATA: tags nest, attributes are quoted, one root.
bool well_formed(const std::string& text) {
  std::vector<std::string> open;
  std::size_t roots = 0, place = 0;
  while ((place = text.find_first_of("<>", place)) != std::string::npos) {
    if (text[place] == '>') return false;
    const std::size_t end = text.find('>', place);
    if (end == std::string::npos) return false;
    const std::string tag = text.substr(place + 1, end - place - 1);
    place = end + 1;
    if (tag.empty() || tag.find('<') != std::string::npos) return false;
    if (tag[0] == '?' || tag[0] == '!') continue;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return false;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
      continue;
    }
    if (std::isalpha(static_cast<unsigned char>(tag[0])) == 0) return false;
    if (open.empty() && ++roots > 1) return false;
    if (tag.back() != '/') open.push_back(tag.substr(0, tag.find(' ')));
  }
  return open.empty() && roots == 1;
}

TEST(malloc_info_document, is_well_formed_xml_with_the_root_the_manual_names) {
  const std::vector<void*> blocks = allocate_many(1000, 200);
  char* text = nullptr;
  std::size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(malloc_info(0, stream), 0);
  std::fclose(stream);
  const std::string document(text, bytes);
  std::free(text);
  free_all(blocks);
  EXPECT_EQ(document.find("<malloc"), document.find('<')) << document;
  EXPECT_TRUE(well_formed(document)) << document;
  EXPECT_NE(document.find("</malloc>"), std::string::npos);
  EXPECT_NE(document.find_first_of("123456789"), std::string::npos);
}

TEST(malloc_info_document, is_refused_for_unknown_options) {
  FILE* stream = std::fopen("/dev/null", "w");
  ASSERT_NE(stream, nullptr);
  EXPECT_NE(malloc_info(1, stream), 0);
  std::fclose(stream);
}

TEST(malloc_stats_text, goes_to_standard_error_and_nowhere_else) {
  const int captured = memfd_create("captured", MFD_CLOEXEC);
  ASSERT_GE(captured, 0);
  std::fflush(stderr);
  const int saved = dup(STDERR_FILENO);
  dup2(captured, STDERR_FILENO);
  malloc_stats();
  std::fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  std::string text(65536, '\0');
  const ssize_t got = pread(captured, text.data(), text.size(), 0);
  close(captured);
  ASSERT_GT(got, 20);
  EXPECT_NE(text.find_first_of("123456789"), std::string::npos);
}

TEST(malloc_trim_call, gives_freed_memory_back_to_the_system) {
  malloc_trim(0);
  const std::size_t before = tenure::testing::resident_bytes();
  std::vector<void*> blocks = allocate_many(200000, 1000);
  ASSERT_GE(tenure::testing::resident_bytes(), before + 190 * mebibyte);
  // A block in a thousand stays, so that the heap cannot simply lower its end.
  std::vector<void*> kept;
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    if (index % 1000 == 999) {
      kept.push_back(blocks[index]);
    } else {
      std::free(blocks[index]);
    }
  }
  blocks = {};
  EXPECT_EQ(malloc_trim(0), 1);
  EXPECT_LE(tenure::testing::resident_bytes(), before + 60 * mebibyte);
  free_all(kept);
}

TEST(malloc_trim_call, says_0_or_1_when_there_is_nothing_to_give) {
  malloc_trim(0);
  const int again = malloc_trim(0);
  EXPECT_TRUE(again == 0 || again == 1);
  EXPECT_GE(malloc_trim(1024 * mebibyte), 0);
}

TEST(mallopt_parameters, of_the_manual_are_accepted) {
  EXPECT_EQ(mallopt(M_ARENA_MAX, 2), 1);
  EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_TOP_PAD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 128 * 1024), 1);
  EXPECT_EQ(mallopt(M_MMAP_MAX, 65536), 1);
  EXPECT_EQ(mallopt(M_ARENA_TEST, 2), 1);
  EXPECT_EQ(mallopt(M_PERTURB, 0), 1);
  void* block = std::malloc(opaque(std::size_t{100}));
  EXPECT_NE(block, nullptr);
  std::free(block);
}

}  // namespace
