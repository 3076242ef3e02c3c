// Logs: what is written is what was asked, and a replay asks the same again.
#include <gtest/gtest.h>
#include <tenure/adaptor/logging_resource_adaptor.hpp>
#include <tenure/fixed_pool.hpp>

#include <random>
#include <sstream>
#include <stdexcept>
#include <streambuf>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

// Remembers requests by the order of their blocks, as a log must.
class remembering final : public std::pmr::memory_resource {
 public:
  std::vector<std::string> requests;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes > 1'000'000) {
      requests.push_back("! " + std::to_string(bytes));
      throw std::bad_alloc();
    }
    void* block = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    numbers_[block] = next_;
    requests.push_back("+ " + std::to_string(next_++) + " " + std::to_string(bytes) + " " + std::to_string(alignment));
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    requests.push_back("- " + std::to_string(numbers_.at(block)));
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::map<void*, int> numbers_;
  int next_ = 0;
};

// What is behind its text cannot be read, and nothing can be written.
class failing_buffer final : public std::streambuf {
 public:
  explicit failing_buffer(std::string text) : text_(std::move(text)) {
    setg(text_.data(), text_.data(), text_.data() + text_.size());
  }

 private:
  int_type underflow() override { throw std::runtime_error("a broken disk"); }
  int_type overflow(int_type) override { throw std::runtime_error("a broken disk"); }

  std::string text_;
};

std::string random_log(remembering& upstream, int requests) {
  std::ostringstream text;
  logging_resource_adaptor logged({.name = "parser one", .to = &text, .upstream = &upstream});
  std::mt19937_64 dice(3);
  std::vector<testing::filled_block> blocks;
  for (int i = 0; i < requests; ++i) {
    if (blocks.size() < 5 || dice() % 2 == 0) {
      blocks.push_back(testing::filled_block::make(logged, 1 + dice() % 300, std::size_t{1} << dice() % 7, 1));
    } else {
      std::swap(blocks[dice() % blocks.size()], blocks.back());
      logged.deallocate(blocks.back().start, blocks.back().bytes, blocks.back().alignment);
      blocks.pop_back();
    }
  }
  EXPECT_THROW(static_cast<void>(logged.allocate(2'000'000)), std::bad_alloc);
  for (const auto& one : blocks) logged.deallocate(one.start, one.bytes, one.alignment);
  EXPECT_EQ(logged.lines(), upstream.requests.size());
  logged.flush();
  EXPECT_EQ(logged.lost_lines(), 0u);
  return text.str();
}

TEST(ResourceLog, ReplaysWhatWasAsked) {
  remembering first, again;
  std::istringstream text(random_log(first, 3000));
  const resource_log log = resource_log::read(text);
  EXPECT_EQ(log.name(), "parser one");
  const auto figures = log.replay(again);
  EXPECT_EQ(figures.allocations, log.allocations());
  EXPECT_EQ(figures.releases, log.allocations());
  EXPECT_EQ(figures.refusals, 0u);
  std::erase(first.requests, "! 2000000");  // what was refused is not asked again
  EXPECT_EQ(again.requests, first.requests);
  std::uint64_t before = 0;
  for (const auto& one : log.requests()) {
    EXPECT_GE(one.at_ns, before);
    before = one.at_ns;
  }
}

TEST(ResourceLog, GoesOnWhereTheResourceRefuses) {
  remembering first;
  std::istringstream text(random_log(first, 3000));
  const resource_log log = resource_log::read(text);
  counting_upstream upstream;
  fixed_pool small({.block_bytes = 100, .checks = resource_checks::on, .upstream = &upstream});
  const auto figures = log.replay(small);
  EXPECT_GT(figures.refusals, 0u);
  EXPECT_EQ(figures.allocations + figures.refusals, log.allocations());
  EXPECT_EQ(figures.releases, figures.allocations);
  EXPECT_EQ(small.statistics().used_blocks, 0u);
}

TEST(ResourceLog, GivesBackWhatTheLogLeavesInUse) {
  std::istringstream text("tenure resource log 1 short\n+ 10 8 8 1\n+ 20 16 8 2\n- 10 8 8 3\n! 99 1 4\n+ 20 4 1 5\n");
  const resource_log log = resource_log::read(text);
  EXPECT_EQ(log.peak_bytes(), 24u);
  counting_upstream upstream;
  const auto figures = log.replay(upstream);
  EXPECT_EQ(figures.allocations, 3u);
  EXPECT_EQ(figures.releases, 1u);
  EXPECT_EQ(upstream.live_blocks(), 0u);
}

TEST(ResourceLog, NamesTheLineThatIsNone) {
  const auto refusal = [](const std::string& lines) -> std::string {
    std::istringstream text("tenure resource log 1 x\n+ 10 8 8 1\n" + lines);
    try {
      static_cast<void>(resource_log::read(text));
      return "taken";
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refusal("- 10 8 8 2\n"), "taken");
  EXPECT_NE(refusal("- 18 8 8 2\n").find("line 3: the address is not in use"), std::string::npos);
  EXPECT_NE(refusal("- 10 9 8 2\n").find("line 3: the block was allocated with another size"), std::string::npos);
  EXPECT_NE(refusal("- 10 8 8 2\n\n").find("line 4: it begins with none of"), std::string::npos);
  EXPECT_NE(refusal("+ 18 8\n").find("line 3: a number is missing"), std::string::npos);
  EXPECT_NE(refusal("+ 18 8 x 9\n").find("line 3: this is no number"), std::string::npos);
  EXPECT_NE(refusal("+ 18 8 8 9 9\n").find("line 3: there is more than a request"), std::string::npos);
  EXPECT_NE(refusal("+ 18 8 3 9\n").find("line 3: nobody can have been given such a block"), std::string::npos);
  std::istringstream empty;
  EXPECT_THROW(static_cast<void>(resource_log::read(empty)), std::invalid_argument);
  EXPECT_THROW(logging_resource_adaptor({.name = "x", .to = nullptr}), std::invalid_argument);
}

TEST(ResourceLog, RefusesWhatCannotBeReadToItsEnd) {
  failing_buffer lines("tenure resource log 1 x\n+ 10 8 8 1\n");
  std::istream text(&lines);
  EXPECT_THROW(static_cast<void>(resource_log::read(text)), std::invalid_argument);
}

TEST(ResourceLog, RefusesMoreThanThereCanBe) {
  const std::string large = " " + std::to_string(PTRDIFF_MAX) + " 8 1\n";
  std::istringstream text("tenure resource log 1 x\n+ 10" + large + "+ 20" + large + "+ 30" + large);
  EXPECT_THROW(static_cast<void>(resource_log::read(text)), std::invalid_argument);
}

TEST(ResourceLog, GivesBackWhereTheResourceFailsInItsOwnWay) {
  struct failing final : std::pmr::memory_resource {
    counting_upstream given;
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
      if (given.allocations() == 2) throw std::runtime_error("broken");
      return given.allocate(bytes, alignment);
    }
    void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
      given.deallocate(block, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
  } resource;
  std::istringstream text("tenure resource log 1 x\n+ 10 8 8 1\n+ 20 8 8 2\n+ 30 8 8 3\n");
  const resource_log log = resource_log::read(text);
  EXPECT_THROW(static_cast<void>(log.replay(resource)), std::runtime_error);
  EXPECT_EQ(resource.given.live_blocks(), 0u);
}

TEST(LoggingAdaptor, WritesAHeadingOfOneLine) {
  std::ostringstream text;
  { const logging_resource_adaptor logged({.name = "two\nlines", .to = &text}); }
  std::istringstream again(text.str());
  EXPECT_EQ(resource_log::read(again).name(), "two lines");
}

TEST(LoggingAdaptor, CountsLinesWhoseBufferThrows) {
  failing_buffer buffer("");
  std::ostream text(&buffer);
  text.exceptions(std::ios::badbit);
  logging_resource_adaptor logged({.name = "lost", .to = &text});
  logged.deallocate(logged.allocate(16), 16);
  logged.flush();
  EXPECT_EQ(logged.lost_lines(), 2u);
}

TEST(LoggingAdaptor, CountsLinesThatWereNotTaken) {
  std::ostringstream text;
  text.setstate(std::ios::badbit);
  logging_resource_adaptor logged({.name = "lost", .to = &text});
  for (int i = 0; i < 2000; ++i) logged.deallocate(logged.allocate(16), 16);
  logged.flush();
  EXPECT_EQ(logged.lines(), 4000u);
  EXPECT_EQ(logged.lost_lines(), 4000u);
}

}  // namespace
}  // namespace tenure
