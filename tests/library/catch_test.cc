// <tenure/testing.hpp> in Catch2, whose output the build holds against the message (CMakeLists.txt).
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <tenure/testing.hpp>

#include <cstdlib>

void* volatile catch_kept;

void keep_block(std::size_t bytes) { catch_kept = std::malloc(bytes); }

TEST_CASE("holds") {
  CHECK(tenure::expect_no_leaks([] {}));
  REQUIRE_FALSE(tenure::expect_no_allocations([] {
    keep_block(10);
    std::free(catch_kept);
  }));
}

TEST_CASE("does not hold", "[.]") {
  CHECK(tenure::expect_no_leaks([] { keep_block(321); }));
}
