// tenure::tracking_resource_adaptor: every block in use, with the stack that allocated it.
//
//     tenure::tracking_resource_adaptor tracked({.name = "sessions", .upstream = &pool});
//     serve(&tracked);
//     for (const auto& site : tracked.live_by_site()) ...   // what is left, most bytes first
//     tracked.report_live();                                // the same on standard error
//
// It knows its own blocks, whatever the upstream is: owns() and visit_live() are exact. A second release, a release of
// what is not its own, with another size or alignment, and of an interior pointer end in a message with both sites, in
// every build; a bad release is not passed on. Blocks in use at its end are told in a message, and go back to the
// upstream where `gives_back_at_end` asks for it.
//
// One thread at a time. Errors: std::bad_alloc. Cost: some 200 ns a block, most of it for the stack; 200 bytes a block
// in use (docs/library/adaptors.md).
// Source: rmm's tracking_resource_adaptor.
#pragma once

#include <memory>
#include <vector>

#include <tenure/adaptor/resource_adaptor.hpp>
#include <tenure/call_site.hpp>

namespace tenure {

namespace resources {
class block_records;
}

struct tracking_options {
  std::string_view name = "tracked";
  bool reports_at_end = true;
  bool gives_back_at_end = false;
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API tracking_resource_adaptor final : public resource_adaptor {
 public:
  explicit tracking_resource_adaptor(const tracking_options& options);
  ~tracking_resource_adaptor() override;

  struct live_site {
    call_site allocated;
    std::uint64_t blocks;
    std::uint64_t bytes;
  };
  // Most bytes first.
  std::vector<live_site> live_by_site() const;
  // A message for each of the first ten sites, on standard error. The number of blocks in use.
  std::size_t report_live() const;
  // Where the block that covers the address was allocated; no frames for what is no block in use.
  call_site allocated_at(const void* address) const noexcept;

  // Whether it lies in a block in use.
  bool owns(const void* block) const noexcept override;
  void visit_live(live_visitor visit, void* context) const override;
  void check() const;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;

  std::unique_ptr<resources::block_records> records_;
  bool reports_at_end_;
  bool gives_back_at_end_;
};

}  // namespace tenure
