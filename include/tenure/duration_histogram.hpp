// tenure::duration_histogram: how long things took, in buckets of an eighth of a doubling.
//
//   bucket   0 .. 7 ns, one each | 8 9 10 11 12 13 14 15 | 16-17 18-19 .. 30-31 | 32-35 ..     up to 73 minutes
//
//     tenure::duration_histogram waits;
//     waits.add(std::chrono::microseconds(70));
//     waits.quantile(0.99);                       // the upper end of the bucket: at most an eighth too much
//
// A value: it is copied, and added up with +=. One thread at a time. It never allocates. Cost: an add is some 2 ns.
// Source: the log-linear buckets of HdrHistogram.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tenure {

class duration_histogram {
 public:
  using duration = std::chrono::nanoseconds;

  // What is below zero counts as zero.
  void add(duration took) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<duration::rep>(took.count(), 0));
    ++buckets_[bucket_of(ns)];
    ++count_;
    sum_ns_ += ns;
    most_ns_ = std::max(most_ns_, ns);
  }
  duration_histogram& operator+=(const duration_histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ns_ += other.sum_ns_;
    most_ns_ = std::max(most_ns_, other.most_ns_);
    return *this;
  }

  std::uint64_t count() const noexcept { return count_; }
  duration sum() const noexcept { return duration(static_cast<duration::rep>(sum_ns_)); }
  duration most() const noexcept { return duration(static_cast<duration::rep>(most_ns_)); }
  // So many of them took no longer; 0 when there are none. `part` lies between 0 and 1.
  duration quantile(double part) const noexcept {
    if (count_ == 0) return {};
    const double wanted = std::clamp(part, 0.0, 1.0) * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) {
        return duration(static_cast<duration::rep>(end_of(i)));
      }
    }
    return most();
  }
  // Calls visit(from, to, count) for each bucket with something in it, the shortest first; both ends belong to it.
  template <class Visitor>
  void for_each(Visitor visit) const {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      if (buckets_[i] == 0) continue;
      const std::uint64_t first = i == 0 ? 0 : last_of(i - 1) + 1;
      visit(duration(static_cast<duration::rep>(first)), duration(static_cast<duration::rep>(end_of(i))), buckets_[i]);
    }
  }

 private:
  static constexpr unsigned parts = 8;  // of each doubling
  static constexpr unsigned part_bits = 3;
  static constexpr unsigned doublings = 40;
  static constexpr std::size_t bucket_count = parts * doublings;

  static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < parts) return static_cast<std::size_t>(ns);
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - part_bits;
    return std::min<std::size_t>(parts * shift + static_cast<std::size_t>(ns >> shift), bucket_count - 1);
  }
  static constexpr std::uint64_t last_of(std::size_t bucket) noexcept {
    if (bucket < parts) return bucket;
    const auto shift = static_cast<unsigned>(bucket / parts - 1);
    return ((bucket % parts + parts + 1) << shift) - 1;
  }
  // The last bucket takes what is longer, and none ends behind what was seen.
  std::uint64_t end_of(std::size_t bucket) const noexcept {
    return bucket + 1 == bucket_count ? most_ns_ : std::min(last_of(bucket), most_ns_);
  }

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t most_ns_ = 0;
};

}  // namespace tenure
