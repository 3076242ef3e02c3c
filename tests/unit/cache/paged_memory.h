// A page_file in memory which counts, fails, gives less than it is asked for, and sees two reads of one page at a time.
// Each page begins with its number and its version, so that a page in the wrong place is seen.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <tenure/page_file.hpp>

namespace tenure::test {

struct page_mark {
  std::uint64_t number;
  std::uint64_t version;
};

inline page_mark mark_of(std::span<const std::byte> page) {
  page_mark mark{};
  std::memcpy(&mark, page.data(), sizeof mark);
  return mark;
}
inline void set_mark(std::span<std::byte> page, page_mark mark) {
  std::memcpy(page.data(), &mark, sizeof mark);
  // And at its end: a page that is half another one is seen, too.
  std::memcpy(page.data() + page.size() - sizeof mark, &mark, sizeof mark);
}
inline bool is_whole(std::span<const std::byte> page) {
  return std::memcmp(page.data(), page.data() + page.size() - sizeof(page_mark), sizeof(page_mark)) == 0;
}

class paged_memory : public page_file {
 public:
  static constexpr std::size_t page_bytes = 512;

  explicit paged_memory(std::uint64_t pages) : bytes_(pages * page_bytes) {
    for (std::uint64_t number = 0; number < pages; ++number) set_mark(page(number), {number, 0});
  }

  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    const std::uint64_t number = offset / page_bytes;
    if (on_read) on_read(number);
    const std::lock_guard held(lock_);
    ++reads[number];
    if (failing_reads[number] != 0) fail(failing_reads[number]);
    if (offset >= bytes_.size()) return 0;
    const std::size_t bytes = std::min({into.size(), bytes_.size() - offset, most_at_once});
    std::memcpy(into.data(), bytes_.data() + offset, bytes);
    return bytes;
  }
  std::size_t write(std::uint64_t offset, std::span<const std::byte> from) override {
    const std::uint64_t number = offset / page_bytes;
    if (on_write) on_write(number);
    const std::lock_guard held(lock_);
    if (failing_writes[number] != 0) fail(failing_writes[number]);
    if (is_full) return 0;
    const std::size_t bytes = std::min(from.size(), most_at_once);
    if (offset + bytes > bytes_.size()) bytes_.resize(offset + bytes);
    std::memcpy(bytes_.data() + offset, from.data(), bytes);
    if (offset % page_bytes + bytes == page_bytes) written.push_back(number);
    return bytes;
  }
  void sync() override {
    ++syncs;
    if (on_sync) on_sync();
    if (failing_sync != 0) fail(failing_sync);
  }
  const char* name() const noexcept override { return "memory"; }

  std::span<std::byte> page(std::uint64_t number) { return {bytes_.data() + number * page_bytes, page_bytes}; }
  std::uint64_t pages() const { return bytes_.size() / page_bytes; }
  void cut(std::size_t bytes) { bytes_.resize(bytes); }

  std::map<std::uint64_t, std::uint64_t> reads;
  std::map<std::uint64_t, int> failing_reads, failing_writes;
  std::vector<std::uint64_t> written;
  std::size_t most_at_once = ~std::size_t{0};
  bool is_full = false;
  int failing_sync = 0;
  std::atomic<int> syncs = 0;
  std::function<void(std::uint64_t)> on_read, on_write;
  std::function<void()> on_sync;

 private:
  [[noreturn]] static void fail(int error) { throw std::system_error(error, std::generic_category(), "injected"); }

  std::mutex lock_;
  std::vector<std::byte> bytes_;
};

}  // namespace tenure::test
