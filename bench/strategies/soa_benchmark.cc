// A structure of arrays beside a vector of structures: rows of eight doubles; time for each row.
//
//   rows/one_field/*      all of one field summed up, from first to last
//   rows/two_fields/*     one field added to another
//   rows/all_fields/*     all eight summed up
//   rows/random_row/*     all eight of one row after the other, in random order
//   rows/push_back/*      rows appended to an empty one
#include <benchmark/benchmark.h>
#include <tenure/soa.hpp>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

using columns = tenure::soa<double, double, double, double, double, double, double, double>;
struct structure {
  double a, b, c, d, e, f, g, h;
};

struct in_columns {
  columns rows;
  void push(double value) { rows.push_back(value, value, value, value, value, value, value, value); }
  double sum_one() const {
    double sum = 0;
    for (const double each : rows.field<2>()) sum += each;
    return sum;
  }
  void add() {
    const auto from = rows.field<2>();
    const auto to = rows.field<5>();
    for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
  }
  double sum_row(std::size_t row) const {
    return std::apply([](auto... each) { return (each + ...); }, rows[row]);
  }
};

struct in_structures {
  std::vector<structure> rows;
  void push(double value) { rows.push_back({value, value, value, value, value, value, value, value}); }
  double sum_one() const {
    double sum = 0;
    for (const structure& each : rows) sum += each.c;
    return sum;
  }
  void add() {
    for (structure& each : rows) each.f += each.c;
  }
  double sum_row(std::size_t row) const {
    const structure& of = rows[row];
    return of.a + of.b + of.c + of.d + of.e + of.f + of.g + of.h;
  }
};

template <class Rows>
Rows make(benchmark::State& state) {
  Rows made;
  for (std::int64_t i = 0; i < state.range(0); ++i) made.push(static_cast<double>(i));
  return made;
}

void tell_each(benchmark::State& state) {
  state.counters["each"] = benchmark::Counter(
      static_cast<double>(state.range(0)), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class Rows>
void one_field(benchmark::State& state) {
  const auto all = make<Rows>(state);
  for (auto _ : state) benchmark::DoNotOptimize(all.sum_one());
  tell_each(state);
}

template <class Rows>
void two_fields(benchmark::State& state) {
  auto all = make<Rows>(state);
  for (auto _ : state) {
    all.add();
    benchmark::ClobberMemory();
  }
  tell_each(state);
}

template <class Rows>
void visit_rows(benchmark::State& state, bool random) {
  const auto all = make<Rows>(state);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(state.range(0)));
  std::iota(order.begin(), order.end(), 0u);
  if (random) std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  for (auto _ : state) {
    double sum = 0;
    for (const std::uint32_t row : order) sum += all.sum_row(row);
    benchmark::DoNotOptimize(sum);
  }
  tell_each(state);
}

template <class Rows>
void push_back(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make<Rows>(state));
  tell_each(state);
}

template <class Rows>
void add(const std::string& name) {
  const auto each = [&](const std::string& kind, auto function) {
    benchmark::RegisterBenchmark(("rows/" + kind + "/" + name).c_str(), function)->Arg(1'000)->Arg(1'000'000);
  };
  each("one_field", one_field<Rows>);
  each("two_fields", two_fields<Rows>);
  each("all_fields", [](benchmark::State& state) { visit_rows<Rows>(state, false); });
  each("random_row", [](benchmark::State& state) { visit_rows<Rows>(state, true); });
  each("push_back", push_back<Rows>);
}

const bool registered = [] {
  add<in_columns>("tenure_soa");
  add<in_structures>("std_vector");
  return true;
}();

}  // namespace
