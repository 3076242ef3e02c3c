// Nobody gets a connection any more: who has them?
#include <atomic>
#include <chrono>
#include <cstdio>

#include <tenure/connection_pool.hpp>

using namespace std::chrono_literals;

using pool = tenure::connection_pool<int>;

[[gnu::noinline]] pool::handle begin_report(pool& orders) { return orders.acquire(); }

int main() {
  std::atomic<int> opened = 0;
  pool orders({.connect = [&](auto) -> int { return ++opened; }}, {.name = "orders", .maximum_pool_size = 2});
  auto forgotten = begin_report(orders);
  auto in_use = orders.acquire();
  bool is_refused = false;
  try {
    static_cast<void>(orders.acquire(250ms));
  } catch (const tenure::connection_unavailable& why) {
    is_refused = true;
    std::printf("%s\n", why.what());  // names the pool, how many are out, and who has had one for longest
  }
  const auto borrowers = orders.who();
  for (const tenure::connection_borrower& one : borrowers) {
    std::printf("connection %llu: thread %u, for %lld ms, borrowed in a stack of %u frames\n",
                static_cast<unsigned long long>(one.connection), one.thread, static_cast<long long>(one.age / 1ms),
                one.site.frame_count);
  }
  orders.report_borrowers();  // the same on standard error, with the names of functions
  forgotten.reset();
  in_use.reset();
  return is_refused && borrowers.size() == 2 && borrowers[0].site.frame_count > 0 && orders.who().empty() ? 0 : 1;
}
