// tenure::logging_resource_adaptor and tenure::resource_log: what was asked of a resource, written down and done again.
//
//     std::ofstream file("requests.log");
//     {
//       tenure::logging_resource_adaptor logged({.name = "parser", .to = &file});
//       parse(text, &logged);
//     }
//     std::ifstream again("requests.log");
//     const auto log = tenure::resource_log::read(again);
//     tenure::slab candidate({.name = "candidate"});
//     std::printf("%llu ns\n", (unsigned long long)log.replay(candidate).elapsed_ns);
//
// The log is text, one request a line; numbers are decimal but the address:
//
//   tenure resource log 1 parser
//   + 7f3a10 64 16 1200      an allocation: address, bytes, alignment, nanoseconds since the beginning
//   - 7f3a10 64 16 1950      a release
//   ! 1048576 16 2000        a request that was refused
//
// Lines are gathered and written some kilobytes at a time, at flush() and at the end. What the stream does not take is
// counted in lost_lines().
//
// One thread at a time; a log of several threads is one of a synchronized_resource_adaptor's upstream. Errors: those of
// the upstream; resource_log::read throws std::invalid_argument, which names the line. Cost: docs/library/adaptors.md.
// Source: rmm's logging_resource_adaptor and its replay benchmark.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct logging_options {
  std::string_view name = "logged";
  std::ostream* to = nullptr;  // outlives the adaptor
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API logging_resource_adaptor final : public resource_adaptor {
 public:
  // Throws std::invalid_argument without a stream.
  explicit logging_resource_adaptor(const logging_options& options);
  ~logging_resource_adaptor() override;

  void flush() noexcept;
  std::uint64_t lines() const noexcept { return lines_; }
  std::uint64_t lost_lines() const noexcept { return lost_lines_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  void add_line(char kind, const void* block, std::size_t bytes, std::size_t alignment) noexcept;

  std::ostream* to_;
  std::string buffer_;
  std::uint64_t buffered_lines_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t lost_lines_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// What a log says, ready to be done again.
class TENURE_API resource_log {
 public:
  enum class request_kind : std::uint8_t { allocation, release, refusal };
  struct request {
    request_kind kind;
    std::size_t block;  // the number of its allocation, from 0; unused for a refusal
    std::size_t bytes;
    std::size_t alignment;
    std::uint64_t at_ns;
  };

  // Throws std::invalid_argument for what is no log, with the number of the line.
  static resource_log read(std::istream& from);

  const std::string& name() const noexcept { return name_; }
  const std::vector<request>& requests() const noexcept { return requests_; }
  std::size_t allocations() const noexcept { return allocations_; }
  std::uint64_t peak_bytes() const noexcept { return peak_bytes_; }

  struct replay_figures {
    std::uint64_t allocations = 0;
    std::uint64_t releases = 0;
    std::uint64_t refusals = 0;  // by the resource that it is done on; their releases are left out
    std::uint64_t elapsed_ns = 0;
  };
  // Does the allocations and releases in their order, as fast as can be, without touching a block. What the log leaves
  // in use is given back at the end, outside of the time.
  replay_figures replay(std::pmr::memory_resource& on) const;

 private:
  std::string name_;
  std::vector<request> requests_;
  std::size_t allocations_ = 0;
  std::uint64_t peak_bytes_ = 0;
};

}  // namespace tenure
