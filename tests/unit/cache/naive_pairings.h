// The policies that have a naive statement, each with it, for typed tests.
#pragma once

#include <gtest/gtest.h>

#include <tenure/eviction.hpp>

#include "naive_policies.h"

namespace tenure::test {

template <class policy_type, class naive_type>
struct pairing {
  using policy = policy_type;
  using naive = naive_type;
};

template <class... more>
using naive_pairings =
    testing::Types<pairing<eviction::fifo, naive_fifo>, pairing<eviction::lru, naive_lru>,
                   pairing<eviction::clock, naive_clock>, pairing<eviction::lfu, naive_lfu>,
                   pairing<eviction::lru_k, naive_lru_k>, pairing<eviction::two_queue, naive_two_queue>,
                   pairing<eviction::arc, naive_arc>, pairing<eviction::lirs, naive_lirs>,
                   pairing<eviction::sieve, naive_sieve>, pairing<eviction::s3_fifo, naive_s3_fifo>,
                   pairing<eviction::w_tiny_lfu, naive_w_tiny_lfu>, pairing<eviction::random_choice, naive_random>,
                   more...>;

}  // namespace tenure::test
