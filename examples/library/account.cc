// A cache that stays within its limit, because it is asked to shrink before anybody is refused.
#include <cstdio>
#include <deque>
#include <vector>

#include <tenure/account.hpp>

int main() {
  tenure::account account("thumbnails", "cache");
  account.set_limits({.hard_bytes = 1 << 20});
  std::deque<std::vector<char>> images;
  tenure::shrinker evict(account, 0, [&](const tenure_pressure& why) {
    std::uint64_t freed = 0;
    while (freed < why.wanted_bytes && !images.empty()) {
      freed += images.front().size();
      account.release(images.front().size());
      images.pop_front();
    }
    return freed;
  });
  for (int i = 0; i < 1000; ++i) {
    std::vector<char> image(5000 + i);
    if (!account.try_charge(image.size())) return 1;
    images.push_back(std::move(image));
  }
  const tenure::account_statistics figures = account.statistics();
  std::printf("%zu images, %llu bytes, at most %llu\n", images.size(),
              static_cast<unsigned long long>(figures.held_bytes),
              static_cast<unsigned long long>(figures.peak_held_bytes));
  account.release(figures.held_bytes, figures.held_blocks);
  return figures.peak_held_bytes <= 1 << 20 ? 0 : 1;
}
