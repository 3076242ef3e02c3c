// tenure::statistics_resource_adaptor: what a part of the program asks of an upstream.
//
//     tenure::statistics_resource_adaptor counted({.name = "parser"});
//     {
//       tenure::statistics_resource_adaptor::scope parsing(counted);
//       parse(text, &counted);
//       std::printf("at most %lld bytes at once\n", (long long)parsing.counters().bytes.peak);
//     }
//
// statistics() has what every resource counts, since the beginning. Scopes count by themselves, one within another:
// each begins at nothing, and what it has seen is in those around it too. A scope's value is negative where more was
// given back within it than taken.
//
// One thread at a time. Errors: those of the upstream. Cost: docs/library/adaptors.md.
// Source: rmm's statistics_resource_adaptor, whose counters are pushed and popped.
#pragma once

#include <vector>

#include <tenure/adaptor/resource_adaptor.hpp>

namespace tenure {

struct statistics_options {
  std::string_view name = "counted";
  const tenure::account* parent = nullptr;
  std::pmr::memory_resource* upstream = nullptr;  // null: operator new
};

class TENURE_API statistics_resource_adaptor final : public resource_adaptor {
 public:
  explicit statistics_resource_adaptor(const statistics_options& options);

  struct counter {
    std::int64_t value = 0;  // now
    std::int64_t peak = 0;
    std::int64_t total = 0;  // of what was added, taken back or not
  };
  struct counter_set {
    counter bytes;
    counter blocks;
    std::int64_t refusals = 0;  // requests that ended in an exception
  };

  // Of the innermost set.
  counter_set counters() const noexcept { return sets_.back(); }
  void push_counters();
  // The innermost set, which is over. Throws std::logic_error when none was pushed.
  counter_set pop_counters();

  class scope {
   public:
    explicit scope(statistics_resource_adaptor& of) : of_(of), set_(of.sets_.size()) { of_.push_counters(); }
    ~scope() { of_.pop_counters(); }
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    // What it has seen so far, within the scopes inside of it too.
    counter_set counters() const noexcept { return of_.counters_since(set_); }

   private:
    statistics_resource_adaptor& of_;
    std::size_t set_;
  };

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override;
  counter_set counters_since(std::size_t set) const noexcept;

  std::vector<counter_set> sets_{1};
};

}  // namespace tenure
