// Accounts in the region: what a reader finds in the file, through a fork and after the program's end.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "core/budget/charge.h"
#include "core/budget/contents.h"
#include "core/telemetry/telemetry.h"
#include "session.h"

using namespace tenure;
using tenure::testing::session;

namespace {

// Read from the file by offsets alone.
class account_file {
 public:
  explicit account_file(const std::filesystem::path& file) {
    const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(descriptor, 0) << file;
    bytes_.resize(wire::account_table_bytes);
    EXPECT_EQ(pread(descriptor, bytes_.data(), bytes_.size(), static_cast<off_t>(wire::accounts_offset_bytes)),
              static_cast<ssize_t>(bytes_.size()));
    close(descriptor);
  }
  std::uint32_t count() const { return at<wire::account_table_header>(0).record_count; }
  std::optional<wire::account_record> find(const std::string& name) const {
    for (std::uint32_t i = 0; i < count(); ++i) {
      const auto& one = at<wire::account_record>(wire::account_records_offset_bytes + i * sizeof(wire::account_record));
      if (one.name == name) return one;
    }
    return std::nullopt;
  }
  template <class Part>
  const Part& at(std::size_t offset) const {
    return *reinterpret_cast<const Part*>(bytes_.data() + offset);
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(account_region, is_in_the_file_with_exact_bytes) {
  session here;
  const int status = here.run([] {
    telemetry::start();
    budget::account* top = budget::open("server", "application", nullptr);
    budget::account* below = budget::open("sessions", "heap", top);
    budget::set_limits(top, 1 << 20, 2 << 20);
    budget::charge(below, 12'345, 6);
    budget::charge(top, 100, 1);
    budget::release(below, 345, 1);
    budget::publish_use(below)->used_bytes = 777;
    raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  const account_file file(here.file(here.last_child));
  const auto top = file.find("server");
  const auto below = file.find("sessions");
  ASSERT_TRUE(top && below);
  EXPECT_EQ(top->held_bytes, 12'100u);
  EXPECT_EQ(top->held_blocks, 6u);
  EXPECT_EQ(top->peak_held_bytes, 12'445u);
  EXPECT_EQ(top->hard_limit_bytes, 2u << 20);
  EXPECT_EQ(below->held_bytes, 12'000u);
  EXPECT_EQ(below->parent, 0u);
  EXPECT_EQ(below->publishes_use, 1u);
  EXPECT_EQ(below->use.used_bytes, 777u);
  EXPECT_EQ(top->publishes_use, 0u);
}

TEST(account_region, parts_at_fork) {
  session here;
  int to_parent[2];
  ASSERT_EQ(pipe(to_parent), 0);
  const int status = here.run([&] {
    telemetry::start();
    budget::account* one = budget::open("shared name", "heap", nullptr);
    budget::charge(one, 1000, 1);
    budget::before_fork();
    const pid_t child = fork();
    if (child == 0) {
      budget::after_fork_in_child();
      telemetry::after_fork_in_child();
      budget::charge(one, 50, 1);
      budget::check();
      _exit(budget::is_open(one) ? 0 : 1);
    }
    budget::after_fork_in_parent();
    budget::charge(one, 7, 1);
    (void)!write(to_parent[1], &child, sizeof child);
    int end = 0;
    waitpid(child, &end, 0);
    _exit(end == 0 ? 0 : 1);
  });
  EXPECT_EQ(status, 0);
  pid_t child = 0;
  ASSERT_EQ(read(to_parent[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  EXPECT_EQ(account_file(here.file(here.last_child)).find("shared name")->held_bytes, 1007u);
  EXPECT_EQ(account_file(here.file(child)).find("shared name")->held_bytes, 1050u);
}

// Of the first content record: how many samples, of what.
struct seen_content {
  std::uint32_t count, samples;
  std::uint64_t bytes;
  std::string type;
};
seen_content content_in(const std::filesystem::path& file) {
  const account_file table(file);
  const auto& first = table.at<wire::content_record>(wire::content_records_offset_bytes);
  return {table.at<wire::account_table_header>(0).content_count, first.samples, first.bytes, first.type};
}

TEST(account_region, has_contents_through_a_fork_and_a_kill) {
  session here;
  int to_parent[2];
  ASSERT_EQ(pipe(to_parent), 0);
  const int status = here.run([&] {
    const std::uint64_t frames[] = {1, 2};
    const budget::content page{"page", 4, frames, 2};
    budget::account* one = budget::open("documents", "managed heap", nullptr);
    budget::add_content(one, page, {100, 1000});  // before there is a file
    telemetry::start();
    budget::add_content(one, page, {50, 1000});
    budget::before_fork();
    const pid_t child = fork();
    if (child == 0) {
      budget::after_fork_in_child();
      telemetry::after_fork_in_child();
      const std::uint32_t made = budget::add_content(one, page, {7, 1000});
      budget::remove_content(made, {100, 1000});
      budget::check();
      raise(SIGKILL);
    }
    budget::after_fork_in_parent();
    (void)!write(to_parent[1], &child, sizeof child);
    waitpid(child, nullptr, 0);
    raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  pid_t child = 0;
  ASSERT_EQ(read(to_parent[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  const seen_content parents = content_in(here.file(here.last_child));
  EXPECT_EQ(parents.count, 1u);
  EXPECT_EQ(parents.samples, 2u);
  EXPECT_EQ(parents.bytes, 150u);
  EXPECT_EQ(parents.type, "page");
  const seen_content childs = content_in(here.file(child));
  EXPECT_EQ(childs.samples, 2u);
  EXPECT_EQ(childs.bytes, 57u);
  EXPECT_EQ(childs.type, "page");
}

TEST(account_region, takes_along_accounts_that_were_opened_before_it) {
  session here;
  here.run([] {
    budget::account* early = budget::open("early", "heap", nullptr);
    budget::charge(early, 64, 1);
    telemetry::start();
    budget::charge(early, 1, 0);
    for (int i = 0; i < 100; ++i) budget::open(("later" + std::to_string(i)).c_str(), "heap", early);
    budget::check();
  });
  const account_file file(here.file(here.last_child));
  EXPECT_EQ(file.count(), 101u);
  EXPECT_EQ(file.find("early")->held_bytes, 65u);
  EXPECT_EQ(file.find("later99")->parent, 0u);
}

TEST(account_region, has_no_pages_for_a_program_without_accounts) {
  session here;
  here.run([] { telemetry::start(); });
  EXPECT_EQ(account_file(here.file(here.last_child)).count(), 0u);
}

}  // namespace
