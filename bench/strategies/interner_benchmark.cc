// Interners beside a set of strings and Boost's flyweights.
//
//   intern/known/*     a string that is there, found and, where it is counted, let go of; 1,000 and 100,000 of them.
//                      `asking_alone` reads and hashes the string that is asked for, and looks nowhere;
//                      `counting_alone` changes a count beside it, up and down, which lies somewhere else for each
//   intern/entry/*     bytes for each of 100,000 strings of 8 to 24 bytes, beyond the strings
//
// Strings are asked for in random order, each thread's from a text of its own.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <tenure/flyweight.hpp>
#include <tenure/interner.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#ifdef TENURE_HAS_BOOST
#include <boost/flyweight.hpp>
#endif

namespace {

std::vector<std::string> make_words(std::size_t count) {
  std::mt19937_64 dice(7);
  std::vector<std::string> words;
  for (std::size_t i = 0; i < count; ++i) {
    std::string word(8 + dice() % 17, 'a');
    for (char& letter : word) letter = static_cast<char>('a' + dice() % 26);
    words.push_back(std::move(word));
  }
  return words;
}

// The strings in random order, as they lie in a text: one behind the other, so that what is measured is the finding and
// not the fetching of what is asked for.
struct text {
  text(const std::vector<std::string>& words, std::uint64_t seed) {
    std::vector<std::uint32_t> order(words.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    for (const std::uint32_t one : order) letters += words[one];
    std::size_t at = 0;
    for (const std::uint32_t one : order) {
      tokens.emplace_back(letters.data() + at, words[one].size());
      at += words[one].size();
    }
  }
  text(const text&) = delete;
  text& operator=(const text&) = delete;
  std::string letters;
  std::vector<std::string_view> tokens;
};

template <class Set>
void known(benchmark::State& state) {
  const std::vector<std::string> words = make_words(static_cast<std::size_t>(state.range(0)));
  static std::unique_ptr<Set> set;
  if (state.thread_index() == 0) {
    set = std::make_unique<Set>();
    for (const std::string& word : words) set->keep(word);
  }
  const text asked(words, static_cast<std::uint64_t>(state.thread_index()));
  std::size_t next = 0;
  for (auto _ : state) {
    auto one = set->find(asked.tokens[next]);
    benchmark::DoNotOptimize(one);
    if (++next == asked.tokens.size()) next = 0;
  }
  if (state.thread_index() == 0) set.reset();
}

template <class Set>
void entry(benchmark::State& state) {
  constexpr std::size_t count = 100'000;
  const auto words = make_words(count);
  std::size_t text_bytes = 0;
  for (const std::string& word : words) text_bytes += word.size();
  const auto used = [] {
    const struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
  };
  for (auto _ : state) {
    const std::size_t before = used();
    Set set;
    for (const std::string& word : words) set.keep(word);
    const std::size_t taken = used() - before - count * Set::symbol_bytes;
    state.counters["bytes_each"] = static_cast<double>(taken - text_bytes) / count;
  }
}

// What is paid before any set is asked: the string is fetched, and its bytes are read.
struct asking_alone {
  void keep(const std::string&) {}
  std::size_t find(std::string_view word) { return std::hash<std::string_view>()(word); }
};

// What is paid by whoever counts who has a string: its count is fetched, and changed twice.
struct counting_alone {
  struct alignas(64) place {
    std::atomic<std::uint64_t> count{1};
  };
  void keep(const std::string&) { places.emplace_back(); }
  std::uint64_t find(std::string_view word) {
    std::atomic<std::uint64_t>& count = places[std::hash<std::string_view>()(word) % places.size()].count;
    const std::uint64_t had = count.fetch_add(1, std::memory_order_relaxed);
    count.fetch_sub(1, std::memory_order_acq_rel);
    return had;
  }
  std::deque<place> places;
};

struct permanent {
  static constexpr std::size_t symbol_bytes = 0;
  void keep(const std::string& word) { strings.intern(word); }
  tenure::symbol find(std::string_view word) { return strings.intern(word); }
  tenure::interner strings;
};

struct counted {
  static constexpr std::size_t symbol_bytes = sizeof(tenure::counted_symbol);
  counted() { symbols.reserve(100'000); }
  void keep(const std::string& word) { symbols.push_back(strings.intern(word)); }
  tenure::counted_symbol find(std::string_view word) { return strings.intern(word); }
  tenure::counted_interner strings;
  std::vector<tenure::counted_symbol> symbols;
};

struct tenure_flyweight {
  using value = tenure::flyweight<std::string>;
  static constexpr std::size_t symbol_bytes = sizeof(value);
  tenure_flyweight() { all.reserve(100'000); }
  void keep(const std::string& word) { all.emplace_back(word); }
  value find(std::string_view word) { return value(std::string(word)); }
  std::vector<value> all;
};

struct std_set {
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view of) const noexcept { return std::hash<std::string_view>()(of); }
  };
  static constexpr std::size_t symbol_bytes = 0;
  const std::string* keep(std::string_view word) {
    const std::lock_guard held(lock);
    const auto found = strings.find(word);
    return found != strings.end() ? &*found : &*strings.emplace(word).first;
  }
  const std::string* find(std::string_view word) { return keep(word); }
  std::mutex lock;
  std::unordered_set<std::string, hash, std::equal_to<>> strings;
};

#ifdef TENURE_HAS_BOOST
struct boost_flyweight {
  using value = boost::flyweight<std::string>;
  static constexpr std::size_t symbol_bytes = sizeof(value);
  boost_flyweight() { all.reserve(100'000); }
  void keep(const std::string& word) { all.emplace_back(word); }
  value find(std::string_view word) { return value(word.begin(), word.end()); }
  std::vector<value> all;
};
#endif

template <class Set>
void add_known(const std::string& name) {
  benchmark::RegisterBenchmark(("intern/known/" + name).c_str(), known<Set>)
      ->Arg(1'000)
      ->Arg(100'000)
      ->Threads(1)
      ->Threads(2)
      ->Threads(16);
}

template <class Set>
void add(const std::string& name) {
  add_known<Set>(name);
  benchmark::RegisterBenchmark(("intern/entry/" + name).c_str(), entry<Set>)->Iterations(1);
}

const bool registered = [] {
  add_known<asking_alone>("asking_alone");
  add_known<counting_alone>("counting_alone");
  add<permanent>("tenure_interner");
  add<counted>("tenure_counted_interner");
  add<std_set>("std_unordered_set_and_mutex");
  add<tenure_flyweight>("tenure_flyweight");
#ifdef TENURE_HAS_BOOST
  add<boost_flyweight>("boost_flyweight");
#endif
  return true;
}();

}  // namespace
