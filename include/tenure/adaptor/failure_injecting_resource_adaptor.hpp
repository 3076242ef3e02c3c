// tenure::failure_injecting_resource_adaptor: std::bad_alloc when a test wants it.
//
//     tenure::failure_injecting_resource_adaptor memory({.name = "under test"});
//     for (std::uint64_t n = 1;; ++n) {              // the first request fails, then the second, ...
//       memory.set_plan({.nth = n});
//       try {
//         load(file, &memory);
//         if (memory.failures() == 0) break;         // has not been reached: all of them have failed once
//       } catch (const std::bad_alloc&) {
//       }
//       assert(memory.statistics().used_blocks == 0);  // nothing was left behind
//     }
//
// A plan names what fails; a request that meets any part of it does. A probability draws from a seed, so that a run can
// be had again. set_plan() begins to count anew.
//
// One thread at a time. Errors: std::bad_alloc by plan, and those of the upstream. Cost: docs/library/adaptors.md.
// Source: rmm's failure_callback_resource_adaptor; SQLite's out-of-memory tests, which fail each allocation in turn.
#pragma once

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct failure_plan {
  std::uint64_t nth = 0;     // this request fails, counted from 1; 0: none
  bool from_nth_on = false;  // and all later ones
  double probability = 0;    // of each request
  std::uint64_t seed = 1;
  std::size_t from_bytes = SIZE_MAX;  // requests of at least so many bytes
};

struct failure_injecting_options {
  std::string_view name = "failing";
  failure_plan plan = {};
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API failure_injecting_resource_adaptor final : public resource_adaptor {
 public:
  // Throws std::invalid_argument for a probability that is none.
  explicit failure_injecting_resource_adaptor(const failure_injecting_options& options);

  void set_plan(const failure_plan& plan);
  std::uint64_t requests() const noexcept { return requests_; }  // since the plan was set
  std::uint64_t failures() const noexcept { return failures_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  bool is_to_fail(std::size_t bytes) noexcept;

  failure_plan plan_;
  std::uint64_t dice_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace tenure
