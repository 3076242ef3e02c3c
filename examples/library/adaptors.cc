// Adaptors on one another: a tenant's part of a shared pool, counted, limited, with what it leaves behind.
#include <cstdio>
#include <list>
#include <map>
#include <new>
#include <thread>

#include <tenure/adaptors.hpp>
#include <tenure/fixed_pool.hpp>

int main() {
  tenure::fixed_pool pool({.name = "nodes", .block_bytes = 64});
  tenure::synchronized_resource_adaptor shared({.name = "shared nodes", .upstream = &pool});
  // A limit for each of two tenants, on their own threads.
  std::size_t numbers_of[2] = {};
  const auto serve = [&](int tenant) {
    tenure::limiting_resource_adaptor limited({.name = "tenant", .limit_bytes = 24'000, .upstream = &shared});
    std::pmr::list<int> numbers(&limited);
    try {
      for (int i = 0; i < 5000; ++i) numbers.push_back(i);
    } catch (const std::bad_alloc&) {
      numbers_of[tenant] = numbers.size();
    }
  };
  std::thread first(serve, 0), second(serve, 1);
  first.join();
  second.join();
  std::printf("a thousand nodes of 24 bytes each: %zu and %zu\n", numbers_of[0], numbers_of[1]);

  // What is left, and where it was allocated.
  tenure::tracking_resource_adaptor tracked(
      {.name = "sessions", .reports_at_end = false, .gives_back_at_end = true, .upstream = &pool});
  static_cast<void>(tracked.allocate(48));
  std::printf("%zu block is left\n", tracked.report_live());

  // A container whose elements were moved one by one.
  tenure::copy_detecting_resource_adaptor watched({.name = "orders"});
  std::pmr::map<int, int> orders(&watched);
  orders = std::pmr::map<int, int>({{1, 2}, {3, 4}});
  std::printf("%llu copies element by element\n", static_cast<unsigned long long>(watched.report_copies()));

  // Each request of a function fails once, and nothing is left behind.
  tenure::failure_injecting_resource_adaptor failing({.name = "under test"});
  unsigned requests = 0;
  for (bool is_done = false; !is_done; ++requests) {
    failing.set_plan({.nth = requests + 1});
    try {
      const std::pmr::list<int> numbers({1, 2, 3, 4}, &failing);
      is_done = true;
    } catch (const std::bad_alloc&) {
      if (failing.statistics().used_blocks != 0) return 1;
    }
  }
  std::printf("all of %u requests have failed once\n", requests - 1);
  return numbers_of[0] == 1000 && numbers_of[1] == 1000 && watched.copies() == 1 && requests == 5 ? 0 : 1;
}
