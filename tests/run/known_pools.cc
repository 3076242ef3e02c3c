// Pools in use, and what they themselves say of it: kind, name, held and used bytes, used blocks.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include <tenure/buffer_pool.hpp>
#include <tenure/connection_pool.hpp>
#include <tenure/object_pool.hpp>
#include <tenure/page_pool.hpp>

namespace {

void tell(const char* kind, const char* name, std::uint64_t held, std::uint64_t used, std::uint64_t blocks) {
  std::printf("%s|%s|%llu|%llu|%llu|server\n", kind, name, static_cast<unsigned long long>(held),
              static_cast<unsigned long long>(used), static_cast<unsigned long long>(blocks));
}

}  // namespace

int main() {
  static tenure::account server("server");
  static tenure::buffer_pool network({.name = "network", .parent = &server});
  static std::vector<tenure::buffer_lease> buffers;
  // The account is told of every sixty-fourth.
  for (std::size_t i = 0; i < 128; ++i) buffers.push_back(network.take(1 + i * 100));
  const auto in_buffers = network.statistics();
  tell("buffer pool", "network", in_buffers.held_bytes, in_buffers.used_bytes, in_buffers.used_buffers);

  static tenure::connection_pool<int> orders({.connect = [](auto) { return 1; }}, {.name = "orders",
                                                                                   .maximum_pool_size = 5,
                                                                                   .minimum_idle = 0,
                                                                                   .threads = 0,
                                                                                   .connection_bytes = 100'000,
                                                                                   .parent = &server});
  static std::vector<tenure::connection_pool<int>::handle> connections;
  for (int i = 0; i < 5; ++i) connections.push_back(orders.acquire());
  connections.pop_back();
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  tenure_account_statistics(orders.account(), &figures);
  tell("connection pool", "orders", figures.held_bytes, 4 * 100'000, 4);

  static tenure::object_pool<std::uint64_t> numbers({.name = "numbers", .parent = &server});
  static std::vector<std::uint64_t*> objects;
  for (std::uint64_t i = 0; i < 129; ++i) objects.push_back(numbers.make(i));  // told of a magazine at a time
  const auto in_numbers = numbers.statistics();
  tell("pool", "numbers", in_numbers.held_bytes, in_numbers.used_bytes * 128 / 129, 128);

  // This program's own file, of which some pages are here, and one of them pinned.
  static tenure::page_pool<> pages({.name = "pages of a file", .limit_pages = 8, .parent = &server});
  const std::uint32_t file = pages.add(std::make_shared<tenure::disk_file>("/proc/self/exe"));
  for (std::uint64_t i = 0; i < 5; ++i) static_cast<void>(pages.pin({file, i}));
  static const tenure::pinned_page pinned = pages.pin({file, 2});
  const auto in_pages = pages.statistics();
  tell("page pool", "pages of a file", in_pages.held_bytes, 5 * pages.page_bytes(), 5);
  std::fflush(stdout);
  _exit(0);  // as it is: nothing is given back
}
