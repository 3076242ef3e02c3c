// Pools, strings, references and columns in use, and what they themselves say of it: kind, name, held and used bytes,
// used blocks.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <tenure/arc.hpp>
#include <tenure/brc.hpp>
#include <tenure/buffer_pool.hpp>
#include <tenure/connection_pool.hpp>
#include <tenure/flyweight.hpp>
#include <tenure/interner.hpp>
#include <tenure/object_pool.hpp>
#include <tenure/page_pool.hpp>
#include <tenure/rc.hpp>
#include <tenure/slab.hpp>
#include <tenure/soa.hpp>

namespace {

void tell(const char* kind, const char* name, std::uint64_t held, std::uint64_t used, std::uint64_t blocks) {
  std::printf("%s|%s|%llu|%llu|%llu|server\n", kind, name, static_cast<unsigned long long>(held),
              static_cast<unsigned long long>(used), static_cast<unsigned long long>(blocks));
}

void tell_held(const char* kind, const char* name, std::uint64_t held, const char* parent) {
  std::printf("%s|%s|%llu|-|-|%s\n", kind, name, static_cast<unsigned long long>(held), parent);
}

// Strings and values that are kept once.
void use_interners(const tenure::account& server) {
  static tenure::interner names({.name = "identifiers", .parent = &server});
  static tenure::counted_interner labels({.name = "labels", .parent = &server});
  static std::vector<tenure::counted_symbol> seen;
  for (int i = 0; i < 5000; ++i) {
    static_cast<void>(names.intern("identifier " + std::to_string(i)));
    seen.push_back(labels.intern("label " + std::to_string(i % 3000)));
  }
  seen.resize(2500);
  tell_held("interner", "identifiers", names.statistics().held_bytes, "server");
  tell_held("interner", "labels", labels.statistics().held_bytes, "server");
  static std::vector<tenure::flyweight<std::string>> fonts;
  for (int i = 0; i < 100; ++i) fonts.emplace_back("font " + std::to_string(i % 70));
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  tenure_account_statistics(tenure::flyweight<std::string>::account().handle(), &figures);
  tell_held("flyweight", figures.name, figures.held_bytes, "");
}

// References and columns have no account of their own: they are in that of the resource that they are made from.
void use_resources(const tenure::account& server) {
  static tenure::slab shared({.name = "shared objects", .parent = &server});
  static std::vector<tenure::rc<std::uint64_t>> plain;
  static std::vector<tenure::arc<std::uint64_t>> atomic;
  static std::vector<tenure::brc<std::uint64_t>> biased;
  for (std::uint64_t i = 0; i < 100; ++i) {
    plain.push_back(tenure::allocate_rc<std::uint64_t>(shared, i));
    atomic.push_back(tenure::allocate_arc<std::uint64_t>(shared, i));
    biased.push_back(tenure::allocate_brc<std::uint64_t>(shared, i));
  }
  const auto in_objects = shared.statistics();
  tell("slab", "shared objects", in_objects.held_bytes, in_objects.used_bytes, 300);
  static tenure::slab columns({.name = "columns", .parent = &server});
  static tenure::soa<float, double> rows(&columns);
  for (int i = 0; i < 1000; ++i) rows.push_back(1.f, 2.);
  const auto in_columns = columns.statistics();
  tell("slab", "columns", in_columns.held_bytes, in_columns.used_bytes, 1);
}

}  // namespace

int main() {
  static tenure::account server("server");
  use_interners(server);
  use_resources(server);
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
