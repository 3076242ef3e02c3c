// A seeded source of 32-bit numbers: std::mt19937, whose numbers are wider than they look on 64-bit machines.
#pragma once

#include <cstdint>
#include <random>

namespace tenure::test {

class dice {
 public:
  explicit dice(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(engine_()); }
  std::uint32_t below(std::uint32_t limit) { return (*this)() % limit; }
  bool one_in(std::uint32_t count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

}  // namespace tenure::test
