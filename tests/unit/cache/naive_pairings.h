// The policies that have a naive statement, each with it, for suites that run for each.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "any_policy.h"
#include "naive_policies.h"

namespace tenure::test {

struct naive_statement {
  virtual ~naive_statement() = default;
  virtual bool access(std::uint64_t id, std::uint32_t weight) = 0;
};

struct pairing {
  const any_policy::kind* policy;
  std::unique_ptr<naive_statement> (*make_naive)(std::uint64_t capacity);
};

template <class naive>
pairing paired(std::string_view policy) {
  struct statement final : naive_statement {
    explicit statement(std::uint64_t capacity) : of(capacity) {}
    bool access(std::uint64_t id, std::uint32_t weight) override { return static_cast<bool>(of.access(id, weight)); }
    naive of;
  };
  return {&policy_named(policy), [](std::uint64_t capacity) -> std::unique_ptr<naive_statement> {
            return std::make_unique<statement>(capacity);
          }};
}

inline std::vector<pairing> naive_pairings() {
  return {paired<naive_fifo>("fifo"),
          paired<naive_lru>("lru"),
          paired<naive_clock>("clock"),
          paired<naive_lfu>("lfu"),
          paired<naive_lru_k>("lru-k"),
          paired<naive_two_queue>("2q"),
          paired<naive_arc>("arc"),
          paired<naive_lirs>("lirs"),
          paired<naive_sieve>("sieve"),
          paired<naive_s3_fifo>("s3-fifo"),
          paired<naive_w_tiny_lfu>("w-tinylfu"),
          paired<naive_random>("random")};
}

class of_every_pairing : public testing::TestWithParam<pairing> {
 protected:
  of_every_pairing() { any_policy::chosen = GetParam().policy; }
};
inline std::string name_of_pairing(const testing::TestParamInfo<pairing>& info) {
  return name_of({info.param.policy, info.index});
}

}  // namespace tenure::test
