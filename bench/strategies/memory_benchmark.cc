// What each strategy takes for a block or an object beyond its bytes: from the heap, and where it maps memory of its
// own what it holds, with tables and what is left over of its last piece.
//
//   memory/*  100,000 blocks of 64 bytes; of resources that hand out pages, 10,000 of 4 KiB; 1,000 connections
//
// Caches, interners and flyweights have theirs in cache_entry/* and intern/entry/*.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <tenure/adaptors.hpp>
#include <tenure/arc.hpp>
#include <tenure/arena.hpp>
#include <tenure/binning.hpp>
#include <tenure/brc.hpp>
#include <tenure/buddy.hpp>
#include <tenure/buffer_pool.hpp>
#include <tenure/connection_pool.hpp>
#include <tenure/cyclic_rc.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/frame_ring.hpp>
#include <tenure/huge_page.hpp>
#include <tenure/intrusive.hpp>
#include <tenure/lazy.hpp>
#include <tenure/mapped_file.hpp>
#include <tenure/numa.hpp>
#include <tenure/object_pool.hpp>
#include <tenure/owned.hpp>
#include <tenure/page_pool.hpp>
#include <tenure/rc.hpp>
#include <tenure/secure.hpp>
#include <tenure/shared.hpp>
#include <tenure/slab.hpp>
#include <tenure/soa.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <shared_mutex>
#include <span>
#include <streambuf>
#include <string>
#include <vector>

namespace {

constexpr std::size_t blocks = 100'000, block_bytes = 64;
constexpr std::size_t pages = 10'000, page_bytes = 4096;

struct object {
  std::array<std::uint64_t, block_bytes / 8> words{};
};
struct traced : object {
  void trace(tenure::cycle_visitor&) const {}
};
struct counted : object, tenure::rc_counted<counted> {};
struct counted_by_all : object, tenure::arc_counted<counted_by_all> {};
struct locked : object {
  std::shared_mutex lock;
};

double heap_bytes() {
  const struct mallinfo2 all = mallinfo2();
  return static_cast<double>(all.uordblks + all.hblkhd);
}

// `fill` takes the blocks and gives what of the strategy is in no heap, in bytes.
template <class Fill>
void add(const std::string& name, std::size_t count, std::size_t bytes, Fill fill) {
  benchmark::RegisterBenchmark(("memory/" + name).c_str(), [=](benchmark::State& state) {
    double taken = 0;
    for (auto _ : state) {
      const double before = heap_bytes();
      taken = fill([&](double mapped_bytes) { return heap_bytes() - before + mapped_bytes; });
    }
    state.counters["bytes"] = taken / static_cast<double>(count) - static_cast<double>(bytes);
  })->Iterations(1);
}

template <class Memory, class... Options>
void add_resource(const std::string& name, bool is_mapped, std::size_t count, std::size_t bytes, Options... options) {
  add(name, count, bytes, [=](auto tell) {
    Memory memory(options...);
    for (std::size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(memory.allocate(bytes, 16));
    return tell(is_mapped ? static_cast<double>(memory.statistics().held_bytes) : 0);
  });
}

// Each is one word in a vector that is not counted.
template <class Make>
void add_objects(const std::string& name, Make make) {
  add(name, blocks, block_bytes, [=](auto tell) {
    std::vector<decltype(make())> all;
    all.reserve(blocks);
    const double own = static_cast<double>(blocks * sizeof(all[0]));
    for (std::size_t i = 0; i < blocks; ++i) all.push_back(make());
    return tell(-own);
  });
}

void add_resources() {
  using namespace tenure;
  constexpr auto off = resource_checks::off;
  add_resource<arena>("tenure_arena", false, blocks, block_bytes, arena_options{.checks = off});
  add_resource<frame_ring>("tenure_frame_ring", false, blocks, block_bytes, frame_ring_options{.checks = off});
  add_resource<fixed_pool>("tenure_fixed_pool", false, blocks, block_bytes,
                           fixed_pool_options{.block_bytes = block_bytes, .checks = off});
  add_resource<slab>("tenure_slab", false, blocks, block_bytes, slab_options{.checks = off});
  add_resource<secure>("tenure_secure", true, blocks, block_bytes, secure_options{.must_lock = false, .checks = off});
  add_resource<shared>("tenure_shared", true, blocks, block_bytes, shared_options{.checks = off});
  add_resource<buddy>("tenure_buddy", false, blocks, block_bytes,
                      buddy_options{.bytes = blocks * block_bytes, .smallest_bytes = block_bytes, .checks = off});
  add_resource<huge_page>("tenure_huge_page", true, pages, page_bytes, huge_page_options{.checks = off});
  add_resource<numa>("tenure_numa", true, pages, page_bytes, numa_options{.checks = off});
  add_resource<mapped_file>("tenure_mapped_file", true, pages, page_bytes,
                            mapped_file_options{.folder = "/tmp", .checks = off});
  add_resource<lazy>("tenure_lazy", true, pages, page_bytes, lazy_options{.checks = off});
  add("malloc", blocks, block_bytes, [](auto tell) {
    std::vector<std::unique_ptr<object>> all(blocks);
    for (auto& one : all) one = std::make_unique<object>();
    return tell(-static_cast<double>(blocks * sizeof(all[0])));
  });
}

// On operator new, whose part is in the row of malloc.
template <class Adaptor, class Options>
void add_adaptor(const std::string& name, Options options) {
  add("tenure_" + name, blocks, block_bytes, [=](auto tell) {
    Adaptor memory(options);
    std::vector<void*> all(blocks);
    for (void*& one : all) one = memory.allocate(block_bytes, 16);
    const double taken = tell(-static_cast<double>(blocks * sizeof(all[0])));
    for (void* const one : all) memory.deallocate(one, block_bytes, 16);
    return taken;
  });
}

struct discarded : std::streambuf {
  int_type overflow(int_type one) override { return one; }
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
};

void add_adaptors() {
  using namespace tenure;
  static discarded nothing;
  static std::ostream nowhere(&nothing);
  add_adaptor<statistics_resource_adaptor>("statistics_adaptor", statistics_options{});
  add_adaptor<limiting_resource_adaptor>("limiting_adaptor", limiting_options{.limit_bytes = 1 << 30});
  add_adaptor<tracking_resource_adaptor>("tracking_adaptor", tracking_options{});
  add_adaptor<logging_resource_adaptor>("logging_adaptor", logging_options{.to = &nowhere});
  add_adaptor<failure_injecting_resource_adaptor>("failure_injecting_adaptor", failure_injecting_options{});
  add_adaptor<aligned_resource_adaptor>("aligned_adaptor", aligned_options{});
  add_adaptor<synchronized_resource_adaptor>("synchronized_adaptor", synchronized_options{});
  add_adaptor<fallback_resource_adaptor>("fallback_adaptor", fallback_options{});
  add_adaptor<copy_detecting_resource_adaptor>("copy_detecting_adaptor", copy_detecting_options{});
  // What the first resource refuses is remembered by address.
  add("tenure_fallback_adaptor_every_time", blocks, block_bytes, [](auto tell) {
    failure_injecting_resource_adaptor full({.name = "full", .plan = {.nth = 1, .from_nth_on = true}});
    fallback_resource_adaptor memory({.upstream = &full});
    std::vector<void*> all(blocks);
    for (void*& one : all) one = memory.allocate(block_bytes, 16);
    const double taken = tell(-static_cast<double>(blocks * sizeof(all[0])));
    for (void* const one : all) memory.deallocate(one, block_bytes, 16);
    return taken;
  });
  add("tenure_binning", blocks, block_bytes, [](auto tell) {
    fixed_pool pool({.block_bytes = block_bytes, .checks = resource_checks::off});
    binning memory({.bins = {{block_bytes, &pool}}, .checks = resource_checks::off});
    for (std::size_t i = 0; i < blocks; ++i) benchmark::DoNotOptimize(memory.allocate(block_bytes, 16));
    return tell(0);
  });
}

// Of zeros, which nobody writes.
class blank_file final : public tenure::page_file {
 public:
  std::size_t read(std::uint64_t, std::span<std::byte> into) override {
    std::fill(into.begin(), into.end(), std::byte{});
    return into.size();
  }
  std::size_t write(std::uint64_t, std::span<const std::byte>) override { return 0; }
  void sync() override {}
  const char* name() const noexcept override { return "blank"; }
};

void add_pages_and_connections() {
  using namespace tenure;
  add("tenure_page_pool", pages, page_bytes, [](auto) {
    page_pool<> pool(
        {.page_bytes = page_bytes, .limit_pages = pages, .has_thread = false, .checks = resource_checks::off});
    const auto file = pool.add(std::make_shared<blank_file>());
    for (std::uint64_t number = 0; number < pages; ++number) benchmark::DoNotOptimize(pool.pin({file, number}).data());
    return static_cast<double>(pool.statistics().held_bytes);
  });
  // An int each, and its 16 bytes of malloc.
  constexpr std::size_t connections = 1000;
  add("tenure_connection_pool", connections, sizeof(int), [](auto tell) {
    connection_pool<int> pool({.connect = [](auto) { return 1; }},
                              {.maximum_pool_size = connections, .minimum_idle = 0, .threads = 0});
    std::vector<connection_pool<int>::handle> all;
    all.reserve(connections);
    for (std::size_t i = 0; i < connections; ++i) all.push_back(pool.acquire());
    return tell(-static_cast<double>(connections * sizeof(all[0])));
  });
}

void add_pools_and_references() {
  using namespace tenure;
  add("tenure_object_pool", blocks, block_bytes, [](auto tell) {
    object_pool<object> pool({.checks = resource_checks::off});
    for (std::size_t i = 0; i < blocks; ++i) benchmark::DoNotOptimize(pool.make());
    return tell(0);
  });
  add("tenure_buffer_pool", pages, page_bytes, [](auto tell) {
    buffer_pool pool({.has_thread = false, .checks = resource_checks::off});
    std::vector<buffer_lease> all;
    for (std::size_t i = 0; i < pages; ++i) all.push_back(pool.take(page_bytes));
    return tell(-static_cast<double>(all.capacity() * sizeof(all[0])));
  });
  add("tenure_soa", blocks, 3 * sizeof(double), [](auto tell) {
    soa<double, double, double> rows;
    rows.reserve(blocks);
    for (std::size_t i = 0; i < blocks; ++i) rows.push_back(1., 2., 3.);
    return tell(0);
  });
  add_objects("tenure_rc", [] { return make_rc<object>(); });
  add_objects("tenure_arc", [] { return make_arc<object>(); });
  add_objects("tenure_brc", [] { return make_brc<object>(); });
  add_objects("tenure_cyclic_rc", [] { return make_cyclic<traced>(); });
  add_objects("tenure_intrusive_plain", [] { return make_intrusive<counted>(); });
  add_objects("tenure_intrusive_atomic", [] { return make_intrusive<counted_by_all>(); });
  add_objects("std_shared_ptr", [] { return std::make_shared<object>(); });
  add_objects("tenure_owned", [] { return std::make_unique<owned<object>>(); });
  add_objects("std_shared_mutex_and_value", [] { return std::make_unique<locked>(); });
}

const bool registered = [] {
  add_resources();
  add_pools_and_references();
  add_adaptors();
  add_pages_and_connections();
  return true;
}();

}  // namespace
