// Dirty pages: in which order they are written, who may say no, and what becomes of them when reads, writes and syncs
// fail.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <tenure/eviction/lru.hpp>
#include <tenure/page_pool.hpp>

#include "paged_memory.h"

using namespace std::chrono_literals;

namespace tenure::test {
namespace {

struct written_pool {
  explicit written_pool(std::size_t limit, page_pool_options::write_hook hook = {}, std::uint64_t pages = 100)
      : file(std::make_shared<paged_memory>(pages)),
        pool(page_pool_options{.name = "tables",
                               .page_bytes = paged_memory::page_bytes,
                               .limit_pages = limit,
                               .wait = 0s,
                               .has_thread = false,
                               .before_write = std::move(hook)}),
        number(pool.add(file)) {}
  page_id page(std::uint64_t of) const { return {number, of}; }
  void write(std::uint64_t of, std::uint64_t version) { set_mark(pool.pin_to_write(page(of)).bytes(), {of, version}); }
  std::uint64_t read(std::uint64_t of) { return mark_of(pool.pin(page(of)).bytes()).version; }

  std::shared_ptr<paged_memory> file;
  page_pool<eviction::lru> pool;
  std::uint32_t number;
};

using numbers = std::vector<std::uint64_t>;

// --- order

TEST(page_pool_writes, a_flush_goes_by_pages_where_nothing_else_is_said) {
  written_pool of(20);
  for (const std::uint64_t number : {9u, 3u, 12u, 4u}) of.write(number, 1);
  static_cast<void>(of.read(5));
  const page_flush done = of.pool.flush();
  EXPECT_EQ(done.written, 4u);
  EXPECT_EQ(of.file->written, (numbers{3, 4, 9, 12}));
  EXPECT_EQ(of.pool.statistics().dirty_pages, 0u);
  EXPECT_EQ(of.pool.flush().written, 0u);
}

TEST(page_pool_writes, the_hook_comes_first_and_gives_the_order) {
  std::vector<std::string> told;
  written_pool of(20, [&](page_id page, std::span<const std::byte> bytes) {
    EXPECT_EQ(mark_of(bytes).number, page.number);
    told.push_back("log " + std::to_string(mark_of(bytes).version));
    return std::optional<std::uint64_t>(mark_of(bytes).version);
  });
  of.file->on_write = [&](std::uint64_t number) { told.push_back("page " + std::to_string(number)); };
  of.write(2, 30);
  of.write(3, 10);
  of.write(4, 20);
  of.pool.flush();
  EXPECT_EQ(of.file->written, (numbers{3, 4, 2}));
  EXPECT_EQ(std::set<std::string>(told.begin(), told.begin() + 3),
            (std::set<std::string>{"log 10", "log 20", "log 30"}));
  EXPECT_EQ(std::vector<std::string>(told.begin() + 3, told.end()),
            (std::vector<std::string>{"page 3", "page 4", "page 2"}));
}

TEST(page_pool_writes, an_eviction_asks_the_hook_first) {
  // A write-ahead log: a page may go when the log has been written up to its version.
  std::uint64_t log_written = 0;
  written_pool of(2, [&](page_id, std::span<const std::byte> bytes) {
    log_written = std::max(log_written, mark_of(bytes).version);
    return std::optional<std::uint64_t>(0);
  });
  of.file->on_write = [&](std::uint64_t number) { EXPECT_GE(log_written, number); };
  for (std::uint64_t number = 1; number < 50; ++number) of.write(number, number);
  EXPECT_EQ(of.file->written.size(), 47u);
  EXPECT_EQ(log_written, 47u);
}

TEST(page_pool_writes, a_veto_keeps_the_page_and_another_goes) {
  bool is_allowed = false;
  written_pool of(3, [&](page_id page, std::span<const std::byte>) {
    return is_allowed || page.number != 1 ? std::optional<std::uint64_t>(0) : std::nullopt;
  });
  of.write(1, 1);
  for (std::uint64_t number = 2; number < 20; ++number) of.write(number, 1);
  EXPECT_EQ(std::count(of.file->written.begin(), of.file->written.end(), 1u), 0);
  EXPECT_EQ(of.file->reads[1], 1u);
  EXPECT_EQ(of.read(1), 1u);
  EXPECT_EQ(of.file->reads[1], 1u);
  const page_flush some = of.pool.flush();
  EXPECT_EQ(some.vetoed, 1u);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  is_allowed = true;
  EXPECT_EQ(of.pool.flush().written, 1u);
  of.pool.check();
}

TEST(page_pool_writes, vetoes_of_all_are_told_to_whom_needs_a_frame) {
  bool is_allowed = false;
  written_pool of(3, [&](page_id, std::span<const std::byte>) {
    return is_allowed ? std::optional<std::uint64_t>(0) : std::nullopt;
  });
  for (std::uint64_t number = 1; number <= 3; ++number) of.write(number, 1);
  try {
    static_cast<void>(of.read(9));
    FAIL() << "a fourth frame";
  } catch (const page_io_error& error) {
    EXPECT_EQ(error.of(), page_io_error::operation::write);
    EXPECT_NE(std::string(error.what()).find("before_write() does not let page 1 of memory be written"),
              std::string::npos)
        << error.what();
  }
  of.pool.check();
  is_allowed = true;
  EXPECT_EQ(of.read(9), 0u);
  EXPECT_EQ(of.read(1) + of.read(2) + of.read(3), 3u);
}

TEST(page_pool_writes, what_the_hook_throws_keeps_the_page) {
  bool is_broken = true;
  written_pool of(2, [&](page_id, std::span<const std::byte>) {
    if (is_broken) throw std::runtime_error("the log is gone");
    return std::optional<std::uint64_t>(0);
  });
  of.write(1, 1);
  EXPECT_THROW(of.pool.flush(), std::runtime_error);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  EXPECT_TRUE(of.file->written.empty());
  is_broken = false;
  EXPECT_EQ(of.pool.flush().written, 1u);
}

TEST(page_pool_writes, a_hook_that_uses_its_pool_is_told_so) {
  written_pool* pool = nullptr;
  bool flushes = true;
  written_pool of(2, [&](page_id, std::span<const std::byte>) {
    if (flushes) {
      pool->pool.flush();
    } else {
      static_cast<void>(pool->read(9));
    }
    return std::optional<std::uint64_t>(0);
  });
  pool = &of;
  of.write(1, 1);
  EXPECT_THROW(of.pool.flush(), std::logic_error);
  flushes = false;
  EXPECT_THROW(of.pool.flush(), std::logic_error);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  of.pool.check();
  static_cast<void>(of.read(9));  // a page without a hook, before the hook needs it
  EXPECT_EQ(of.pool.flush().written, 1u);
}

TEST(page_pool_writes, a_flush_leaves_pages_with_a_writer) {
  written_pool of(4);
  of.write(1, 1);
  of.write(2, 1);
  {
    const writable_page alone = of.pool.pin_to_write(of.page(2));
    const pinned_page read = of.pool.pin(of.page(1));
    const page_flush some = of.pool.flush();
    EXPECT_EQ(some.written, 1u);
    EXPECT_EQ(some.busy, 1u);
  }
  writable_page alone = of.pool.pin_to_write(of.page(2));
  std::thread flusher([&] {
    const page_flush all = of.pool.flush(1h);
    EXPECT_EQ(all.written, 1u);
    EXPECT_EQ(all.busy, 0u);
  });
  set_mark(alone.bytes(), {2, 7});
  std::this_thread::sleep_for(2ms);
  alone.reset();
  flusher.join();
  EXPECT_EQ(mark_of(of.file->page(2)).version, 7u);
  of.pool.check();
}

// --- failures

TEST(page_pool_writes, short_reads_and_writes_are_gone_on_with) {
  written_pool of(2);
  of.file->most_at_once = 100;
  for (std::uint64_t number = 0; number < 10; ++number) of.write(number, number + 1);
  for (std::uint64_t number = 0; number < 10; ++number) {
    const pinned_page page = of.pool.pin(of.page(number));
    EXPECT_EQ(mark_of(page.bytes()).version, number + 1);
    EXPECT_TRUE(is_whole(page.bytes()));
  }
}

TEST(page_pool_writes, a_page_that_is_not_all_there_is_an_error) {
  written_pool of(2, {}, 3);
  of.file->cut(2 * paged_memory::page_bytes + 100);
  for (const std::uint64_t number : {2u, 3u}) {
    try {
      static_cast<void>(of.read(number));
      FAIL() << "half a page";
    } catch (const page_io_error& error) {
      EXPECT_EQ(error.code(), std::errc::result_out_of_range);
      EXPECT_EQ(error.page(), of.page(number));
      EXPECT_NE(std::string(error.what())
                    .find(number == 2 ? "the file ends after 100 of its 512 bytes"
                                      : "the file ends after 0 of its 512 bytes"),
                std::string::npos)
          << error.what();
    }
  }
  EXPECT_EQ(of.read(1), 0u);
  of.pool.check();
}

TEST(page_pool_writes, a_failed_read_is_told_to_all_who_wait_and_tried_again) {
  written_pool of(2);
  of.file->failing_reads[5] = EIO;
  of.file->on_read = [&](std::uint64_t number) {
    while (number == 5 && of.pool.statistics().joined < 3) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      try {
        static_cast<void>(of.read(5));
      } catch (const page_io_error& error) {
        failures += error.code() == std::errc::io_error && error.of() == page_io_error::operation::read;
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(failures, 4);
  EXPECT_EQ(of.file->reads[5], 1u);
  EXPECT_EQ(of.pool.statistics().read_failures, 1u);
  EXPECT_EQ(of.pool.statistics().frames, 1u);
  of.file->failing_reads[5] = 0;
  EXPECT_EQ(of.read(5), 0u);
  of.pool.check();
}

TEST(page_pool_writes, a_page_that_cannot_be_written_stays_and_others_go) {
  written_pool of(4);
  for (const int error : {EIO, ENOSPC}) {
    of.file->failing_writes[1] = error;
    of.write(1, 42);
    for (std::uint64_t number = 10; number < 30; ++number) EXPECT_EQ(of.read(number), 0u);
    EXPECT_EQ(of.pool.try_pin(of.page(1)).bytes().size(), paged_memory::page_bytes);
    EXPECT_EQ(of.read(1), 42u);
    EXPECT_GT(of.pool.statistics().write_failures, 0u);
    EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
    try {
      of.pool.flush();
      FAIL() << "nothing is told";
    } catch (const page_io_error& told) {
      EXPECT_EQ(told.code().value(), error);
      EXPECT_EQ(told.page(), of.page(1));
      EXPECT_NE(std::string(told.what()).find("write of page 1 of memory, which stays dirty: "), std::string::npos);
    }
  }
  of.file->failing_writes.clear();
  EXPECT_EQ(of.pool.flush().written, 1u);
  EXPECT_EQ(mark_of(of.file->page(1)).version, 42u);
  of.pool.check();
}

TEST(page_pool_writes, a_full_disk_loses_nothing) {
  written_pool of(4);
  of.file->is_full = true;
  for (std::uint64_t number = 0; number < 4; ++number) of.write(number, 1);
  for (int i = 0; i < 3; ++i) {
    try {
      static_cast<void>(of.read(9));
      FAIL() << "a fifth frame";
    } catch (const page_io_error& error) {
      EXPECT_EQ(error.code(), std::errc::no_space_on_device);
    }
    of.pool.check();
  }
  for (std::uint64_t number = 0; number < 4; ++number) EXPECT_EQ(of.read(number), 1u);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 4u);
  EXPECT_EQ(of.pool.trim(), 0u);
  of.file->is_full = false;
  EXPECT_EQ(of.read(9), 0u);
  of.pool.flush();
  for (std::uint64_t number = 0; number < 4; ++number) EXPECT_EQ(mark_of(of.file->page(number)).version, 1u);
  of.pool.check();
}

TEST(page_pool_writes, nothing_of_a_higher_order_passes_what_failed) {
  written_pool of(20, [](page_id, std::span<const std::byte> bytes) {
    return std::optional<std::uint64_t>(mark_of(bytes).version);
  });
  of.write(1, 10);
  of.write(2, 20);
  of.write(3, 20);
  of.write(4, 30);
  of.file->failing_writes[2] = EIO;
  EXPECT_THROW(of.pool.flush(), page_io_error);
  EXPECT_EQ(of.file->written, (numbers{1, 3}));
  EXPECT_EQ(of.pool.statistics().dirty_pages, 2u);
  of.file->failing_writes.clear();
  EXPECT_EQ(of.pool.flush().written, 2u);
  EXPECT_EQ(of.file->written, (numbers{1, 3, 2, 4}));
}

TEST(page_pool_writes, what_a_failed_sync_leaves_in_doubt_is_dirty_again) {
  written_pool of(3);
  of.write(1, 1);
  of.pool.checkpoint();
  EXPECT_EQ(of.file->syncs, 1);
  for (std::uint64_t number = 2; number < 7; ++number) of.write(number, 1);
  of.file->failing_sync = EIO;
  try {
    of.pool.checkpoint();
    FAIL() << "nothing is told";
  } catch (const page_io_error& error) {
    EXPECT_EQ(error.of(), page_io_error::operation::sync);
    EXPECT_NE(std::string(error.what()).find("apart from 2 pages that have left the pool"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(of.pool.statistics().dirty_pages, 3u);
  of.file->failing_sync = 0;
  of.file->written.clear();
  of.pool.checkpoint();
  EXPECT_EQ(of.file->written, (numbers{4, 5, 6}));
  EXPECT_EQ(of.pool.statistics().dirty_pages, 0u);
}

// Who waits with a page in hand for a flush that waits for the page would wait for himself.
TEST(page_pool_writes, a_flush_that_waits_for_a_writer_keeps_no_other_waiting) {
  written_pool of(4);
  writable_page alone = of.pool.pin_to_write(of.page(2));
  std::thread flusher([&] {
    const page_flush all = of.pool.flush(60s);
    EXPECT_EQ(all.written, 1u);
    EXPECT_EQ(all.busy, 0u);
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(of.pool.flush(0s).busy, 1u);
  alone.reset();
  flusher.join();
}

TEST(page_pool_writes, a_flush_has_few_pages_in_hand) {
  for (const bool has_hook : {false, true}) {
    page_pool_options::write_hook hook;
    if (has_hook) hook = [](page_id page, std::span<const std::byte>) { return std::optional(page.number); };
    written_pool of(100, std::move(hook));
    for (std::uint64_t number = 0; number < 100; ++number) of.write(number, 1);
    std::atomic<bool> is_writing = false, may_go_on = false;
    of.file->on_write = [&](std::uint64_t number) {
      if (number != 0) return;
      is_writing = true;
      while (!may_go_on) std::this_thread::yield();
    };
    std::thread flusher([&] { EXPECT_EQ(of.pool.flush(60s).written, 100u); });
    while (!is_writing) std::this_thread::yield();
    EXPECT_NO_THROW(of.write(99, 2));
    may_go_on = true;
    flusher.join();
    EXPECT_EQ(mark_of(of.file->page(99)).version, 2u);
    of.pool.check();
  }
}

// What has been changed since the flush began goes by its new order.
TEST(page_pool_writes, a_page_that_is_changed_meanwhile_comes_after_what_is_lower_now) {
  written_pool of(100, [](page_id, std::span<const std::byte> bytes) {
    return std::optional<std::uint64_t>(mark_of(bytes).version);
  });
  for (std::uint64_t number = 0; number < 90; ++number) of.write(number, number);
  of.file->on_write = [&](std::uint64_t number) {
    if (number == 0) of.write(40, 1000);
  };
  EXPECT_EQ(of.pool.flush().written, 90u);
  EXPECT_EQ(of.file->written.back(), 40u);
  of.file->written.pop_back();
  EXPECT_EQ(of.file->written.size(), 89u);
  EXPECT_TRUE(std::is_sorted(of.file->written.begin(), of.file->written.end()));
}

// --- files that are removed

TEST(page_pool_writes, a_file_that_is_removed_is_synced_before) {
  written_pool of(2);
  for (std::uint64_t number = 0; number < 5; ++number) of.write(number, 3);
  of.file->failing_sync = EIO;
  EXPECT_THROW(of.pool.remove(of.number), page_io_error);
  EXPECT_EQ(of.read(3), 3u);
  of.file->failing_sync = 0;
  of.file->syncs = 0;
  of.pool.remove(of.number);
  EXPECT_EQ(of.file->syncs, 1);
  EXPECT_THROW(static_cast<void>(of.read(3)), std::invalid_argument);
  // And one that was only read is not.
  const auto other = std::make_shared<paged_memory>(3);
  const std::uint32_t number = of.pool.add(other);
  static_cast<void>(of.pool.pin({number, 1}));
  of.pool.remove(number);
  EXPECT_EQ(other->syncs, 0);
  of.pool.check();
}

TEST(page_pool_writes, a_file_ends_with_no_lock_held) {
  struct file : paged_memory {
    using paged_memory::paged_memory;
    ~file() override { static_cast<void>(pool->statistics()); }
    page_pool_base* pool = nullptr;
  };
  page_pool<> pool({.page_bytes = paged_memory::page_bytes, .limit_pages = 4, .has_thread = false});
  auto own = std::make_shared<file>(3);
  own->pool = &pool;
  const std::uint32_t number = pool.add(std::move(own));
  static_cast<void>(pool.pin({number, 1}));
  pool.remove(number);
}

TEST(page_pool_writes, a_file_is_removed_whole_or_not_at_all) {
  page_pool<eviction::lru> pool({.page_bytes = paged_memory::page_bytes,
                                 .limit_pages = 5000,
                                 .has_thread = false,
                                 .checks = resource_checks::off});
  std::atomic<std::uint32_t> current = pool.add(std::make_shared<paged_memory>(8));
  std::atomic<bool> is_over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!is_over) {
        try {
          for (std::uint64_t number = 0; number < 8; ++number) pool.pin_to_write({current, number}).reset();
        } catch (const std::invalid_argument&) {  // NOLINT(bugprone-empty-catch): it is removed
        }
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    try {
      pool.remove(current);
    } catch (const std::logic_error&) {
      continue;
    }
    current = pool.add(std::make_shared<paged_memory>(8));
  }
  is_over = true;
  for (std::thread& each : threads) each.join();
  pool.check();
}

// The system tells the failure once, and may mean a write whose end the pool has not heard of yet.
TEST(page_pool_writes, a_sync_that_fails_leaves_what_is_being_written_in_doubt) {
  written_pool of(2);
  std::atomic<int> writes = 0;
  std::atomic<bool> may_go_on = false;
  of.file->on_write = [&](std::uint64_t number) {
    if (number == 0 && writes++ == 0) may_go_on.wait(false);
  };
  of.write(0, 7);
  static_cast<void>(of.read(1));
  std::thread evicts([&] { static_cast<void>(of.read(2)); });
  while (writes == 0) std::this_thread::yield();
  {
    const pinned_page stays = of.pool.pin(of.page(0));
    of.file->failing_sync = EIO;
    EXPECT_THROW(of.pool.checkpoint(), page_io_error);
    may_go_on = true;
    may_go_on.notify_all();
    evicts.join();
    EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  }
  of.file->failing_sync = 0;
  EXPECT_EQ(of.pool.checkpoint().written, 1u);
  EXPECT_EQ(writes, 2);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 0u);
  of.pool.check();
}

TEST(page_pool_writes, syncs_come_one_after_another) {
  written_pool of(2);
  std::atomic<int> inside = 0;
  of.file->on_sync = [&] {
    EXPECT_EQ(++inside, 1);
    for (int i = 0; i < 20 && inside == 1; ++i) std::this_thread::sleep_for(1ms);
    --inside;
  };
  std::thread other([&] { of.pool.checkpoint(); });
  of.pool.checkpoint();
  other.join();
  EXPECT_EQ(of.file->syncs, 2);
}

// What a file throws that is no error of the system is a failure like any other.
TEST(page_pool_writes, whatever_a_sync_throws_leaves_in_doubt_what_was_written) {
  written_pool of(2);
  of.write(0, 7);
  of.file->on_sync = [] { throw std::runtime_error("gone"); };
  EXPECT_THROW(of.pool.checkpoint(), std::runtime_error);
  EXPECT_EQ(of.pool.statistics().dirty_pages, 1u);
  of.file->on_sync = nullptr;
}

TEST(page_pool_writes, whatever_the_hook_throws_the_end_tells_it) {
  testing::internal::CaptureStderr();
  {
    written_pool of(2, [](page_id, std::span<const std::byte>) -> std::optional<std::uint64_t> { throw 42; });
    of.write(0, 1);
  }
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("1 dirty pages are lost: before_write() threw"), std::string::npos) << told;
}

TEST(page_pool_writes, the_end_writes_what_is_dirty_and_tells_what_it_cannot) {
  const auto file = std::make_shared<paged_memory>(10);
  const auto use = [&] {
    page_pool<> pool({.name = "tables", .page_bytes = paged_memory::page_bytes, .limit_pages = 4});
    const std::uint32_t number = pool.add(file);
    set_mark(pool.pin_to_write({number, 3}).bytes(), {3, 8});
  };
  use();
  EXPECT_EQ(mark_of(file->page(3)).version, 8u);
  file->failing_writes[3] = EIO;
  testing::internal::CaptureStderr();
  use();
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("1 dirty pages are lost: page pool \"tables\": write of page 3 of memory"), std::string::npos)
      << told;
}

// --- files of the system

class page_pool_files : public testing::Test {
 protected:
  void SetUp() override {
    const int descriptor = ::mkstemp(path_);
    ASSERT_GE(descriptor, 0);
    ::close(descriptor);
  }
  void TearDown() override { ::unlink(path_); }
  char path_[64] = "/tmp/tenure-page-pool-XXXXXX";
};

TEST_F(page_pool_files, pages_go_to_a_file_and_come_back) {
  for (const bool wants_direct : {false, true}) {
    constexpr std::uint64_t pages = 64;
    {
      page_pool<> pool({.limit_pages = 8});
      const auto file =
          std::make_shared<disk_file>(path_, disk_file_options{.is_writable = true, .wants_direct = wants_direct});
      const std::uint32_t number = pool.add(file);
      for (std::uint64_t i = 0; i < pages; ++i) set_mark(pool.create({number, i}).bytes(), {i, i * i});
      pool.checkpoint();
      EXPECT_EQ(file->size_bytes(), pages * 4096);
      EXPECT_LE(file->is_direct(), wants_direct);
    }
    page_pool<> pool({.limit_pages = 8});
    const std::uint32_t number =
        pool.add(std::make_shared<disk_file>(path_, disk_file_options{.wants_direct = wants_direct}));
    for (std::uint64_t i = 0; i < pages; ++i) {
      const pinned_page page = pool.pin({number, i});
      EXPECT_EQ(mark_of(page.bytes()).version, i * i);
      EXPECT_TRUE(is_whole(page.bytes()));
    }
    EXPECT_THROW(static_cast<void>(pool.pin({number, pages})), page_io_error);
  }
  EXPECT_THROW(disk_file("/nowhere/at/all"), std::system_error);
}

TEST_F(page_pool_files, a_file_that_may_not_grow_keeps_its_pages_here) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  page_pool<> pool({.limit_pages = 8});
  const std::uint32_t number = pool.add(std::make_shared<disk_file>(path_, disk_file_options{.is_writable = true}));
  set_mark(pool.create({number, 1}).bytes(), {1, 5});
  rlimit small = before;
  small.rlim_cur = 4096 + 1000;  // within the page: the write is short first and fails then
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(pool.flush(), page_io_error);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(pool.statistics().dirty_pages, 1u);
  EXPECT_EQ(pool.flush().written, 1u);
}

}  // namespace
}  // namespace tenure::test
