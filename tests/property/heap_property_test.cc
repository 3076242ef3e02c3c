// Any sequence of operations leaves the heap as the reference model says.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <vector>

#include "heap_model.h"

namespace rc {

template <>
struct Arbitrary<tenure::testing::operation> {
  static Gen<tenure::testing::operation> arbitrary() {
    using tenure::testing::operation;
    using tenure::testing::operation_kind;
    const auto sizes = gen::weightedOneOf<std::uint32_t>({
        {10, gen::inRange<std::uint32_t>(0, 300)},
        {5, gen::inRange<std::uint32_t>(0, 5000)},
        {2, gen::inRange<std::uint32_t>(5000, 70000)},
        {1, gen::inRange<std::uint32_t>(70000, 2000000)},
        {2, gen::map(gen::inRange<std::uint32_t>(4, 20), [](std::uint32_t power) { return 1u << power; })},
        {2, gen::map(gen::inRange<std::uint32_t>(4, 20), [](std::uint32_t power) { return (1u << power) + 1; })},
    });
    const auto kinds = gen::map(gen::inRange<int>(0, static_cast<int>(operation_kind::count_)),
                                [](int kind) { return static_cast<operation_kind>(kind); });
    return gen::build<operation>(gen::set(&operation::kind, kinds), gen::set(&operation::slot),
                                 gen::set(&operation::alignment_power, gen::inRange<std::uint8_t>(0, 17)),
                                 gen::set(&operation::size_bytes, sizes));
  }
};

}  // namespace rc

namespace tenure::testing {

void showValue(const operation& what, std::ostream& out) { out << to_text(what); }

namespace {

// The sentence of the first fault, or null. No exception may pass while the model counts blocks: it would be one.
const char* run(const std::vector<operation>& operations, std::size_t compare_every) {
  heap_model model;
  std::size_t done = 0;
  for (const operation& each : operations) {
    if (const char* fault = model.apply(each)) return fault;
    if (++done % compare_every == 0) {
      if (const char* fault = model.compare()) return fault;
    }
  }
  return model.compare();
}

void expect_no_fault(const char* fault) {
  if (fault != nullptr) RC_FAIL(std::string(fault));
}

RC_GTEST_PROP(heap, does_what_the_model_does_after_any_operations, (const std::vector<operation>& operations)) {
  heap_under_test().option_set("sample_interval", 512 * 1024);
  expect_no_fault(run(operations, 64));
}

RC_GTEST_PROP(heap, does_what_the_model_does_after_each_operation, ()) {
  heap_under_test().option_set("sample_interval", 512 * 1024);
  const auto operations = *rc::gen::resize(40, rc::gen::arbitrary<std::vector<operation>>());
  expect_no_fault(run(operations, 1));
}

RC_GTEST_PROP(heap, does_what_the_model_does_when_most_blocks_are_sampled, (const std::vector<operation>& operations)) {
  heap_under_test().option_set("sample_interval", 4096);
  expect_no_fault(run(operations, 64));
  heap_under_test().option_set("sample_interval", 512 * 1024);
}

// Long runs, drawn from a seed: they do not shrink, and find what short ones cannot.
RC_GTEST_PROP(heap, does_what_the_model_does_in_the_long_run, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  std::vector<operation> operations(1500);
  for (operation& each : operations) {
    each.kind = static_cast<operation_kind>(random() % static_cast<std::uint64_t>(operation_kind::count_));
    each.slot = static_cast<std::uint8_t>(random());
    each.alignment_power = static_cast<std::uint8_t>(random() % 17);
    each.size_bytes = static_cast<std::uint32_t>(random() % (random() % 16 == 0 ? 1000000 : 3000));
  }
  expect_no_fault(run(operations, 500));
}

}  // namespace
}  // namespace tenure::testing
