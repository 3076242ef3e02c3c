#include "unit/resource/conformance_cases.h"

#include <tenure/adaptors.hpp>
#include <tenure/arena.hpp>
#include <tenure/binning.hpp>
#include <tenure/buddy.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/frame_ring.hpp>
#include <tenure/heap.hpp>
#include <tenure/huge_page.hpp>
#include <tenure/lazy.hpp>
#include <tenure/mapped_file.hpp>
#include <tenure/numa.hpp>
#include <tenure/secure.hpp>
#include <tenure/shared.hpp>
#include <tenure/slab.hpp>
#ifdef TENURE_HAS_COMPRESSED
#include <tenure/compressed.hpp>
#endif

#include <chrono>
#include <ostream>
#include <utility>

namespace tenure::testing {
namespace {

// What every case begins from; a case overrides what is different.
struct usual_case {
  static constexpr std::size_t largest_bytes = 5000;
  static constexpr std::size_t largest_alignment = 256;
  static constexpr bool takes_back = true;         // a released block is used no longer
  static constexpr bool knows_blocks = true;       // visit_live() tells single blocks
  static constexpr bool takes_upstream = true;     // gives all back to it
  static constexpr bool grows = true;              // asks for more when it is full
  static constexpr bool counts_whole = true;       // what it counts as used is what visit_live() tells
  static constexpr bool keeps = true;              // memory that trim() can give back
  static constexpr bool ends_all = true;           // at its end blocks in use go back to the upstream
  static constexpr bool has_checks = false;        // misuse ends in a message with sites
  static constexpr bool finds_late_writes = true;  // with them, a write into a released block too
};

// A resource and those below it, which end after it.
template <class Top, class Below>
struct pile {
  template <class MakeBelow, class MakeTop>
  pile(MakeBelow make_below, MakeTop make_top) : below(make_below()), top(make_top(*below)) {}
  std::shared_ptr<Below> below;
  std::unique_ptr<Top> top;
};
template <class Top, class Below, class MakeTop>
std::shared_ptr<Top> put_on(std::shared_ptr<Below> below, MakeTop make_top) {
  auto both = std::make_shared<pile<Top, Below>>([&] { return std::move(below); }, make_top);
  return {both, both->top.get()};
}

// A case with the checks of debug builds.
template <class Case>
struct checked : Case {
  static constexpr bool has_checks = true;
  static auto make(counting_upstream& upstream) { return Case::make(upstream, resource_checks::on); }
};

struct arena_case : usual_case {
  static constexpr bool finds_late_writes = false;  // takes nothing back; a reset range faults
  static constexpr bool takes_back = false;
  static constexpr bool knows_blocks = false;
  using type = arena;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(arena_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct checked_arena_case : checked<arena_case> {
  static constexpr bool takes_upstream = false;
};

struct fixed_pool_case : usual_case {
  static constexpr std::size_t largest_bytes = 96;
  static constexpr std::size_t largest_alignment = 32;
  using type = fixed_pool;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(fixed_pool_options{
        .name = "tested", .block_bytes = 96, .alignment = 32, .checks = checks, .upstream = &upstream});
  }
};

struct frame_ring_case : arena_case {
  using type = frame_ring;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(frame_ring_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct checked_frame_ring_case : checked<frame_ring_case> {
  static constexpr bool takes_upstream = false;
};

struct buddy_case : usual_case {
  static constexpr bool grows = false;
  using type = buddy;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(buddy_options{
        .name = "tested", .bytes = 9 << 20, .smallest_bytes = 256, .checks = checks, .upstream = &upstream});
  }
};

struct slab_case : usual_case {
  using type = slab;
  static std::unique_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(slab_options{.name = "tested", .checks = checks, .upstream = &upstream});
  }
};

struct huge_page_case : usual_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool grows = false;  // by 2 MiB at once
  using type = huge_page;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(huge_page_options{.name = "tested", .region_bytes = 2 << 20, .checks = checks});
  }
};

struct numa_case : usual_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool grows = false;  // by 2 MiB at once
  using type = numa;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(numa_options{.name = "tested", .region_bytes = 2 << 20, .checks = checks});
  }
};

struct mapped_file_case : usual_case {
  static constexpr bool takes_upstream = false;
  using type = mapped_file;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(
        mapped_file_options{.name = "tested", .limit_bytes = 32 << 20, .grow_bytes = 1 << 16, .checks = checks});
  }
};

struct lazy_case : usual_case {
  static constexpr bool finds_late_writes = false;  // a released block faults
  static constexpr bool takes_upstream = false;
  using type = lazy;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(lazy_options{.name = "tested", .limit_bytes = 1 << 30, .checks = checks});
  }
};

struct shared_case : usual_case {
  static constexpr bool finds_late_writes = false;  // another process may have had it since
  static constexpr bool takes_upstream = false;
  using type = shared;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(shared_options{.name = "tested", .bytes = 16 << 20, .checks = checks});
  }
};

struct secure_case : usual_case {
  static constexpr std::size_t largest_alignment = 16;
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;  // canaries are not the user's
  using type = secure;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    return std::make_unique<type>(secure_options{.name = "tested", .must_lock = false, .checks = checks});
  }
};

// None where userfaultfd is refused.
#ifdef TENURE_HAS_COMPRESSED
struct compressed_case : usual_case {
  static constexpr bool finds_late_writes = false;  // a released block's pages are dropped at once
  static constexpr bool takes_upstream = false;
  using type = compressed;
  static std::unique_ptr<type> make(counting_upstream&, resource_checks checks = resource_checks::off) {
    if (type::why_not() != nullptr) return nullptr;
    compressed_options options{.name = "tested", .limit_bytes = 32 << 20};
    options.most_resident_bytes = 1 << 20;
    options.cold_after = std::chrono::milliseconds(1);
    options.checks = checks;
    return std::make_unique<type>(options);
  }
};
#endif

// Adaptors: on a resource of Tenure's, which knows what they do not, or on others.
struct tracking_case : usual_case {
  static constexpr bool keeps = false;
  using type = tracking_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream, const char* name = "tested") {
    return std::make_shared<type>(
        tracking_options{.name = name, .reports_at_end = false, .gives_back_at_end = true, .upstream = &upstream});
  }
};

template <class Type, class Options>
struct on_tracking_case : tracking_case {
  using type = Type;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(Options{.name = "tested", .upstream = &below});
    });
  }
};
using statistics_case = on_tracking_case<statistics_resource_adaptor, statistics_options>;
using copy_detecting_case = on_tracking_case<copy_detecting_resource_adaptor, copy_detecting_options>;
using failure_case = on_tracking_case<failure_injecting_resource_adaptor, failure_injecting_options>;

// A pool's blocks are larger than what was asked for, and stay with it.
template <class Type, class Options>
struct on_pool_case : fixed_pool_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  using type = Type;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(std::shared_ptr<fixed_pool>(fixed_pool_case::make(upstream)), [](auto& below) {
      return std::make_unique<type>(Options{.name = "tested", .upstream = &below});
    });
  }
};
using synchronized_case = on_pool_case<synchronized_resource_adaptor, synchronized_options>;
using limiting_case = on_pool_case<limiting_resource_adaptor, limiting_options>;

struct limiting_arena_case : arena_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool takes_back = true;  // as the adaptor counts
  using type = limiting_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(std::shared_ptr<arena>(arena_case::make(upstream)), [](auto& below) {
      return std::make_unique<type>(limiting_options{.name = "tested", .upstream = &below});
    });
  }
};

struct aligned_case : tracking_case {
  using type = aligned_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(aligned_options{.name = "tested", .alignment = 64, .upstream = &below});
    });
  }
};

// On an upstream that takes no alignment beyond 16.
struct padded_case : aligned_case {
  static constexpr bool knows_blocks = false;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    return put_on<type>(tracking_case::make(upstream, "below"), [](auto& below) {
      return std::make_unique<type>(
          aligned_options{.name = "tested", .alignment = 64, .upstream_alignment = 16, .upstream = &below});
    });
  }
};

// A pool for a hundred blocks, then the upstream.
struct fallback_case : fixed_pool_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  static constexpr bool keeps = false;
  using type = fallback_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    const auto pool = std::make_shared<fixed_pool>(fixed_pool_options{.name = "below",
                                                                      .block_bytes = 96,
                                                                      .alignment = 32,
                                                                      .limit_blocks = 100,
                                                                      .checks = resource_checks::off,
                                                                      .upstream = &upstream});
    return put_on<type>(
        put_on<tracking_resource_adaptor>(pool,
                                          [&](auto& below) {
                                            return std::make_unique<tracking_resource_adaptor>(tracking_options{
                                                .name = "tracked", .reports_at_end = false, .upstream = &below});
                                          }),
        [&](auto& below) {
          return std::make_unique<type>(fallback_options{.name = "tested", .upstream = &below, .second = second()});
        });
  }
  static std::pmr::memory_resource* second() {
    static tracking_resource_adaptor all(
        {.name = "second", .reports_at_end = false, .gives_back_at_end = true, .upstream = nullptr});
    return &all;
  }
};

// Small blocks in a pool, the rest in a slab that is limited.
struct binning_case : usual_case {
  static constexpr bool finds_late_writes = false;  // left to what it hands on to
  static constexpr bool takes_upstream = false;
  static constexpr bool counts_whole = false;
  struct both {
    both(counting_upstream& upstream, resource_checks checks)
        : pool({.name = "pool", .block_bytes = 64, .checks = resource_checks::off, .upstream = &upstream}),
          rest({.name = "rest", .checks = resource_checks::off, .upstream = &upstream}),
          top({.name = "tested", .bins = {{64, &pool}}, .checks = checks, .upstream = &rest}) {}
    fixed_pool pool;
    slab rest;
    binning top;
  };
  using type = binning;
  static std::shared_ptr<type> make(counting_upstream& upstream, resource_checks checks = resource_checks::off) {
    auto all = std::make_shared<both>(upstream, checks);
    return {all, &all->top};
  }
};

struct discarded : std::streambuf {
  int_type overflow(int_type one) override { return one; }
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
};

// Everything at once: a log of what several threads ask of an arena, counted and limited.
struct composed_case : arena_case {
  static constexpr bool takes_upstream = false;
  static constexpr bool takes_back = true;
  using type = synchronized_resource_adaptor;
  static std::shared_ptr<type> make(counting_upstream& upstream) {
    static discarded nothing;
    static std::ostream nowhere(&nothing);
    auto limited = limiting_arena_case::make(upstream);
    auto counted = put_on<statistics_resource_adaptor>(std::move(limited), [](auto& below) {
      return std::make_unique<statistics_resource_adaptor>(statistics_options{.name = "counted", .upstream = &below});
    });
    auto logged = put_on<logging_resource_adaptor>(std::move(counted), [](auto& below) {
      return std::make_unique<logging_resource_adaptor>(
          logging_options{.name = "logged", .to = &nowhere, .upstream = &below});
    });
    return put_on<type>(std::move(logged), [](auto& below) {
      return std::make_unique<type>(synchronized_options{.name = "tested", .upstream = &below});
    });
  }
};

static_assert(!resource<std::pmr::monotonic_buffer_resource> && !resource<int>);
static_assert(adaptor<limiting_resource_adaptor> && !adaptor<arena>);

template <class Case>
conformance_case row(const char* name) {
  using type = typename Case::type;
  static_assert(resource<type>);
  return {.name = name,
          .make = [](counting_upstream& upstream) -> std::shared_ptr<memory_resource> { return Case::make(upstream); },
          .check = [](memory_resource& tested) { static_cast<type&>(tested).check(); },
          .largest_bytes = Case::largest_bytes,
          .largest_alignment = Case::largest_alignment,
          .takes_back = Case::takes_back,
          .knows_blocks = Case::knows_blocks,
          .takes_upstream = Case::takes_upstream,
          .grows = Case::grows,
          .counts_whole = Case::counts_whole,
          .keeps = Case::keeps,
          .ends_all = Case::ends_all,
          .has_checks = Case::has_checks,
          .finds_late_writes = Case::has_checks&& Case::finds_late_writes};
}

const conformance_case all_cases[] = {
    row<arena_case>("arena"),
    row<checked_arena_case>("checked_arena"),
    row<fixed_pool_case>("fixed_pool"),
    row<checked<fixed_pool_case>>("checked_fixed_pool"),
    row<buddy_case>("buddy"),
    row<checked<buddy_case>>("checked_buddy"),
    row<slab_case>("slab"),
    row<checked<slab_case>>("checked_slab"),
    row<frame_ring_case>("frame_ring"),
    row<checked_frame_ring_case>("checked_frame_ring"),
    row<tracking_case>("tracking"),
    row<statistics_case>("statistics"),
    row<copy_detecting_case>("copy_detecting"),
    row<failure_case>("failure_injecting"),
    row<synchronized_case>("synchronized"),
    row<limiting_case>("limiting"),
    row<limiting_arena_case>("limiting_arena"),
    row<aligned_case>("aligned"),
    row<padded_case>("padded"),
    row<fallback_case>("fallback"),
    row<composed_case>("composed"),
    row<binning_case>("binning"),
    row<checked<binning_case>>("checked_binning"),
    row<huge_page_case>("huge_page"),
    row<checked<huge_page_case>>("checked_huge_page"),
    row<numa_case>("numa"),
    row<checked<numa_case>>("checked_numa"),
    row<mapped_file_case>("mapped_file"),
    row<checked<mapped_file_case>>("checked_mapped_file"),
    row<lazy_case>("lazy"),
    row<checked<lazy_case>>("checked_lazy"),
    row<shared_case>("shared"),
    row<checked<shared_case>>("checked_shared"),
    row<secure_case>("secure"),
    row<checked<secure_case>>("checked_secure"),
#ifdef TENURE_HAS_COMPRESSED
    row<compressed_case>("compressed"),
    row<checked<compressed_case>>("checked_compressed"),
#endif
};

}  // namespace

std::span<const conformance_case> conformance_cases() { return all_cases; }

}  // namespace tenure::testing
