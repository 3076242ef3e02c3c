// Pages that are dear to render, kept within 4 MiB that are measured and not estimated, and found by many threads.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <tenure/cache.hpp>
#include <tenure/eviction/lru.hpp>

struct page {
  std::string title;
  std::vector<std::string> paragraphs;
};

page render(const std::string& path) {
  return {path, std::vector<std::string>(3, "What " + path + " has to say, at some length, so that it takes memory.")};
}

int main() {
  tenure::cache<std::string, page> pages(tenure::limit_bytes{4 << 20}, {.name = "pages"});
  // What LRU, and what twice the size, would have hit on the same requests.
  pages.add_shadow<tenure::eviction::lru>(pages.capacity());
  pages.add_shadow<tenure::eviction::adaptive>(pages.capacity() * 2);

  std::vector<std::thread> servers;
  for (unsigned server = 0; server < 4; ++server) {
    servers.emplace_back([&pages, server] {
      for (unsigned request = 0; request < 20'000; ++request) {
        const std::string path = "/" + std::to_string((request * 7 + server) % 9000);
        const auto one = pages.get_or_load(path, render);  // loaded once, whoever else asks for it meanwhile
        if (one->title != path) std::printf("wrong page\n");
      }
    });
  }
  for (std::thread& one : servers) one.join();

  const tenure::cache_statistics figures = pages.statistics();
  std::printf("%llu entries, %llu bytes of %llu, at most %llu; %.1f %% hits\n",
              static_cast<unsigned long long>(figures.entries), static_cast<unsigned long long>(figures.used_bytes),
              static_cast<unsigned long long>(figures.limit_bytes),
              static_cast<unsigned long long>(figures.peak_used_bytes), 100 * figures.hit_ratio());
  for (const tenure::shadow_statistics& one : pages.shadows()) {
    std::printf("%s of %llu bytes would hit %.1f %%\n", one.policy.data(),
                static_cast<unsigned long long>(one.capacity), 100 * one.hit_ratio());
  }
  return figures.peak_used_bytes <= figures.limit_bytes ? 0 : 1;
}
