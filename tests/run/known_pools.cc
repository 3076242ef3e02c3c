// Pools in use, and what they themselves say of it: kind, name, held and used bytes, used blocks.
#include <unistd.h>

#include <cstdio>
#include <vector>

#include <tenure/buffer_pool.hpp>
#include <tenure/connection_pool.hpp>
#include <tenure/object_pool.hpp>

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
  std::fflush(stdout);
  _exit(0);  // as it is: nothing is given back
}
