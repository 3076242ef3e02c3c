// The stress shapes by malloc, free and realloc, and by operator new and delete, under the preload library.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "exchange.h"
#include "support/engaged.h"
#include "support/memory_probe.h"

namespace {

using tenure::testing::heap_functions;
using tenure::testing::stress_size;

const heap_functions c_heap = {[](std::size_t bytes) { return std::malloc(bytes); },
                               [](void* block) { std::free(block); },
                               [](void* block, std::size_t bytes) { return std::realloc(block, bytes); }};

const heap_functions mixed_heap = {[](std::size_t bytes) {
                                     void* block = bytes % 3 == 0
                                                       ? ::operator new (bytes, std::align_val_t{64}, std::nothrow)
                                                   : bytes % 3 == 1 ? std::calloc(1, bytes)
                                                                    : ::operator new(bytes, std::nothrow);
                                     return block;
                                   },
                                   [](void* block) { ::operator delete(block); },
                                   [](void* block, std::size_t bytes) { return std::realloc(block, bytes); }};

class stress_test : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  // What a test held and let go is not kept for ever, and every structure is in order.
  void TearDown() override {
    if (auto* check = tenure::testing::exported<void()>("tenure_check")) check();
  }
};

TEST_P(stress_test, blocks_exchanged_between_threads_keep_their_content) {
  EXPECT_EQ(exchange_blocks(c_heap, {4, 100000}, GetParam()), 0u);
  EXPECT_EQ(exchange_blocks(mixed_heap, {4, 30000}, GetParam()), 0u);
}
TEST_P(stress_test, blocks_handed_to_a_consumer_keep_their_content) {
  EXPECT_EQ(produce_and_consume(c_heap, {4, 100000}, GetParam()), 0u);
}
TEST_P(stress_test, blocks_of_threads_that_ended_keep_their_content) {
  EXPECT_EQ(storm_of_threads(c_heap, {8, 20000}, GetParam()), 0u);
}
TEST_P(stress_test, mixed_sizes_keep_their_content) {
  EXPECT_EQ(mix_sizes(c_heap, {4, 100000}, GetParam()), 0u);
  EXPECT_EQ(mix_sizes(mixed_heap, {4, 30000}, GetParam()), 0u);
}

INSTANTIATE_TEST_SUITE_P(seed, stress_test, ::testing::Values(1, 2, 3));

}  // namespace
