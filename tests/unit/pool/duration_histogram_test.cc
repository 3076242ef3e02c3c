// The histogram against sorted values.
#include <gtest/gtest.h>
#include <tenure/duration_histogram.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace tenure {
namespace {

using std::chrono::nanoseconds;

TEST(DurationHistogram, AgreesWithSortedValues) {
  std::mt19937_64 dice(3);
  for (const double widest : {3.0, 10.0, 25.0, 40.0}) {
    duration_histogram figures;
    std::vector<std::int64_t> values;
    std::int64_t sum = 0;
    for (int i = 0; i < 5000; ++i) {
      const auto value = static_cast<std::int64_t>(std::exp2(std::uniform_real_distribution<double>(0, widest)(dice)));
      values.push_back(value);
      sum += value;
      figures.add(nanoseconds(value));
    }
    std::sort(values.begin(), values.end());
    EXPECT_EQ(figures.count(), values.size());
    EXPECT_EQ(figures.sum().count(), sum);
    EXPECT_EQ(figures.most().count(), values.back());
    for (const double part : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(std::ceil(part * 5000));
      const std::int64_t exact = values[rank == 0 ? 0 : rank - 1];
      const std::int64_t told = figures.quantile(part).count();
      EXPECT_GE(told, exact) << part;
      EXPECT_LE(told, exact + exact / 8) << part;
    }
  }
}

TEST(DurationHistogram, BucketsFollowOneAnotherWithoutAGap) {
  duration_histogram figures;
  for (int bits = 0; bits < 42; ++bits) {
    for (int part = 0; part < 8; ++part) figures.add(nanoseconds((std::int64_t{8 + part} << bits) / 8));
  }
  std::int64_t next = 0;
  std::uint64_t count = 0;
  figures.for_each([&](nanoseconds from, nanoseconds to, std::uint64_t in_it) {
    EXPECT_GE(from.count(), next);
    EXPECT_GE(to.count(), from.count());
    next = to.count() + 1;
    count += in_it;
  });
  EXPECT_EQ(count, figures.count());
}

TEST(DurationHistogram, TakesWhatIsOutOfRange) {
  duration_histogram figures;
  EXPECT_EQ(figures.quantile(0.5).count(), 0);
  figures.add(nanoseconds(-5));
  figures.add(nanoseconds::max());
  EXPECT_EQ(figures.quantile(0).count(), 0);
  EXPECT_EQ(figures.most(), nanoseconds::max());
  EXPECT_EQ(figures.quantile(1), nanoseconds::max());
  duration_histogram other;
  other.add(nanoseconds(100));
  other += figures;
  EXPECT_EQ(other.count(), 3u);
  EXPECT_EQ(other.most(), nanoseconds::max());
}

}  // namespace
}  // namespace tenure
