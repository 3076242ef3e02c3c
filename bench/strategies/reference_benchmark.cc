// References beside the standard's and Boost's.
//
//   copy/*      one copied and let go of, while another is there: two changes of a count
//   walk/*      the same on 512 objects in turn: not one count that is changed over and over
//   make/*      an object of 16 bytes made, and ended by its only reference
//   lock/*      a weak reference locked and let go of
//   borrow/*    a borrow taken, used and ended
//   cycle/*     rings of 10 objects made, let go of and collected; time for each object
//
// one_thread: while the process has one thread, in which std::shared_ptr leaves locked instructions out. threads: while
// another one is there, asleep. Run them without others, so that the first ones find one thread:
// --benchmark_filter=reference
#include <benchmark/benchmark.h>
#include <sys/single_threaded.h>
#include <tenure/arc.hpp>
#include <tenure/brc.hpp>
#include <tenure/cyclic_rc.hpp>
#include <tenure/intrusive.hpp>
#include <tenure/owned.hpp>
#include <tenure/rc.hpp>

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#ifdef TENURE_HAS_BOOST
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <boost/smart_ptr/local_shared_ptr.hpp>
#include <boost/smart_ptr/make_local_shared.hpp>
#endif

namespace {

struct payload {
  std::uint64_t words[2] = {};
};
struct rc_payload : payload, tenure::rc_counted<rc_payload> {};
struct arc_payload : payload, tenure::arc_counted<arc_payload> {};

struct sleeper {
  std::mutex lock;
  std::condition_variable wakes;
  bool ends = false;
  std::thread thread{[this] {
    std::unique_lock held(lock);
    wakes.wait(held, [this] { return ends; });
  }};
  ~sleeper() {
    {
      const std::lock_guard held(lock);
      ends = true;
    }
    wakes.notify_all();
    thread.join();
  }
};

// Gives up where the process is not as the name says.
bool has_threads(benchmark::State& state, bool wanted) {
  if (wanted) static const sleeper other;
  if ((__libc_single_threaded == 0) == wanted) return true;
  state.SkipWithError("the process has had a second thread: run with --benchmark_filter=reference");
  return false;
}

// What a count costs that is nothing but a count.
struct plain {
  explicit plain(std::uint32_t* of) : count(of) { ++*count; }
  plain(const plain& other) : count(other.count), beside(other.beside) { ++*count; }
  plain& operator=(const plain&) = delete;
  ~plain() { --*count; }
  std::uint32_t* count;
  void* beside = nullptr;
};

template <class Make>
void copy(benchmark::State& state, Make make, bool threads) {
  if (!has_threads(state, threads)) return;
  auto held = make();
  for (auto _ : state) {
    auto another = held;
    benchmark::DoNotOptimize(another);
  }
}

template <class Make>
void walk(benchmark::State& state, Make make, bool threads) {
  if (!has_threads(state, threads)) return;
  constexpr int count = 512;
  std::vector<decltype(make())> all;
  all.reserve(count);
  for (int i = 0; i < count; ++i) all.push_back(make());
  for (auto _ : state) {
    for (const auto& one : all) {
      auto another = one;
      benchmark::DoNotOptimize(another);
    }
  }
  state.counters["each"] =
      benchmark::Counter(count, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class Make>
void make_and_end(benchmark::State& state, Make make, bool threads) {
  if (!has_threads(state, threads)) return;
  for (auto _ : state) {
    auto one = make();
    benchmark::DoNotOptimize(one);
  }
}

template <class Weak, class Make>
void lock_weak(benchmark::State& state, Make make, bool threads) {
  if (!has_threads(state, threads)) return;
  auto held = make();
  const Weak seen = held;
  for (auto _ : state) {
    auto one = seen.lock();
    benchmark::DoNotOptimize(one);
  }
}

tenure::brc<payload> make_elsewhere() {
  static const auto mine = tenure::make_brc<payload>();  // so that this thread takes over no other's objects
  tenure::brc<payload> made;
  std::thread([&] { made = tenure::make_brc<payload>(); }).join();
  return made;
}

template <class Make>
void add(const std::string& kind, const std::string& name, Make make, bool threads) {
  const std::string when = threads ? "/threads/" : "/one_thread/";
  benchmark::RegisterBenchmark(("reference/" + kind + when + name).c_str(), [=](benchmark::State& state) {
    if (kind == "copy") return copy(state, make, threads);
    kind == "walk" ? walk(state, make, threads) : make_and_end(state, make, threads);
  });
}

void add_kind(const std::string& kind, bool threads) {
  static std::uint32_t count = 0;
  if (kind == "copy")
    add(
        kind, "plain_increment", [] { return plain(&count); }, threads);
  add(
      kind, "tenure_rc", [] { return tenure::make_rc<payload>(); }, threads);
  add(
      kind, "tenure_arc", [] { return tenure::make_arc<payload>(); }, threads);
  add(
      kind, "tenure_brc", [] { return tenure::make_brc<payload>(); }, threads);
  if (threads && kind != "make") add(kind, "tenure_brc_of_another_thread", make_elsewhere, threads);
  add(
      kind, "tenure_intrusive_plain", [] { return tenure::make_intrusive<rc_payload>(); }, threads);
  add(
      kind, "tenure_intrusive_atomic", [] { return tenure::make_intrusive<arc_payload>(); }, threads);
  add(
      kind, "std_shared_ptr", [] { return std::make_shared<payload>(); }, threads);
#ifdef TENURE_HAS_BOOST
  struct boost_payload : payload, boost::intrusive_ref_counter<boost_payload, boost::thread_safe_counter> {};
  struct boost_plain_payload : payload,
                               boost::intrusive_ref_counter<boost_plain_payload, boost::thread_unsafe_counter> {};
  add(
      kind, "boost_intrusive_atomic", [] { return boost::intrusive_ptr<boost_payload>(new boost_payload); }, threads);
  add(
      kind, "boost_intrusive_plain", [] { return boost::intrusive_ptr<boost_plain_payload>(new boost_plain_payload); },
      threads);
  add(
      kind, "boost_local_shared_ptr", [] { return boost::make_local_shared<payload>(); }, threads);
#endif
}

template <class Weak, class Make>
void add_lock(const std::string& name, Make make, bool threads) {
  const std::string when = threads ? "threads/" : "one_thread/";
  benchmark::RegisterBenchmark(("reference/lock/" + when + name).c_str(),
                               [=](benchmark::State& state) { lock_weak<Weak>(state, make, threads); });
}

struct ring_node {
  void trace(tenure::cycle_visitor& visit) const { visit(next); }
  std::uint64_t words[2] = {};
  tenure::cyclic_rc<ring_node> next;
};

void copy_cyclic(benchmark::State& state) {
  const auto held = tenure::make_cyclic<ring_node>();
  for (auto _ : state) {
    auto another = held;
    benchmark::DoNotOptimize(another);
  }
}
BENCHMARK(copy_cyclic)->Name("reference/cycle/copy");

void collect_rings(benchmark::State& state) {
  constexpr int rings = 1000;
  constexpr int ring_objects = 10;
  for (auto _ : state) {
    for (int i = 0; i < rings; ++i) {
      const auto first = tenure::make_cyclic<ring_node>();
      auto last = first;
      for (int n = 1; n < ring_objects; ++n) last = last->next = tenure::make_cyclic<ring_node>();
      last->next = first;
    }
    tenure::collect_cycles();
  }
  state.counters["each"] = benchmark::Counter(
      rings * ring_objects, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(collect_rings)->Name("reference/cycle/rings");

void borrow_shared(benchmark::State& state) {
  const tenure::owned<int> value(1);
  for (auto _ : state) benchmark::DoNotOptimize(*value.borrow());
}
BENCHMARK(borrow_shared)->Name("reference/borrow/tenure_borrow");

void borrow_mutable(benchmark::State& state) {
  tenure::owned<int> value(1);
  for (auto _ : state) benchmark::DoNotOptimize(++*value.borrow_mut());
}
BENCHMARK(borrow_mutable)->Name("reference/borrow/tenure_borrow_mut");

// What is used instead: a lock that nobody else wants, and a flag that a program tests by hand.
void borrow_shared_mutex(benchmark::State& state) {
  std::shared_mutex lock;
  int value = 1;
  for (auto _ : state) {
    const std::shared_lock reads(lock);
    benchmark::DoNotOptimize(value);
  }
}
BENCHMARK(borrow_shared_mutex)->Name("reference/borrow/std_shared_lock");

void borrow_unique_mutex(benchmark::State& state) {
  std::shared_mutex lock;
  int value = 1;
  for (auto _ : state) {
    const std::unique_lock writes(lock);
    benchmark::DoNotOptimize(++value);
  }
}
BENCHMARK(borrow_unique_mutex)->Name("reference/borrow/std_unique_lock");

void borrow_flag(benchmark::State& state) {
  struct {
    int value = 1;
    int readers = 0;
  } one;
  for (auto _ : state) {
    benchmark::DoNotOptimize(one.readers);
    if (one.readers < 0) std::abort();
    ++one.readers;
    benchmark::DoNotOptimize(one.value);
    --one.readers;
    benchmark::DoNotOptimize(one.readers);
  }
}
BENCHMARK(borrow_flag)->Name("reference/borrow/flag_by_hand");

// Rings without collection: the link back is weak, and found out by hand.
struct weakly_linked {
  std::uint64_t words[2] = {};
  std::shared_ptr<weakly_linked> next;
  std::weak_ptr<weakly_linked> first;
};
void rings_with_weak_links(benchmark::State& state) {
  constexpr int rings = 1000;
  constexpr int ring_objects = 10;
  for (auto _ : state) {
    for (int i = 0; i < rings; ++i) {
      const auto first = std::make_shared<weakly_linked>();
      auto last = first;
      for (int n = 1; n < ring_objects; ++n) last = last->next = std::make_shared<weakly_linked>();
      last->first = first;
    }
  }
  state.counters["each"] = benchmark::Counter(
      rings * ring_objects, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(rings_with_weak_links)->Name("reference/cycle/rings_shared_ptr_and_weak");

// One owner for all, who frees them: what is left when nobody has to find out.
struct owned_by_vector {
  std::uint64_t words[2] = {};
  owned_by_vector* next = nullptr;
};
void rings_of_one_owner(benchmark::State& state) {
  constexpr int rings = 1000;
  constexpr int ring_objects = 10;
  std::vector<std::unique_ptr<owned_by_vector>> all;
  all.reserve(rings * ring_objects);
  for (auto _ : state) {
    for (int i = 0; i < rings; ++i) {
      owned_by_vector* const first = all.emplace_back(std::make_unique<owned_by_vector>()).get();
      owned_by_vector* last = first;
      for (int n = 1; n < ring_objects; ++n) {
        last = last->next = all.emplace_back(std::make_unique<owned_by_vector>()).get();
      }
      last->next = first;
    }
    all.clear();
  }
  state.counters["each"] = benchmark::Counter(
      rings * ring_objects, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(rings_of_one_owner)->Name("reference/cycle/rings_one_owner");

const bool registered = [] {
  for (const bool threads : {false, true}) {
    add_kind("copy", threads);
    add_kind("walk", threads);
    add_kind("make", threads);
    add_lock<tenure::weak_rc<payload>>(
        "tenure_rc", [] { return tenure::make_rc<payload>(); }, threads);
    add_lock<tenure::weak_arc<payload>>(
        "tenure_arc", [] { return tenure::make_arc<payload>(); }, threads);
    add_lock<tenure::weak_brc<payload>>(
        "tenure_brc", [] { return tenure::make_brc<payload>(); }, threads);
    add_lock<std::weak_ptr<payload>>(
        "std_shared_ptr", [] { return std::make_shared<payload>(); }, threads);
  }
  return true;
}();

}  // namespace
