// Sessions of which most are asleep: their pages take what they come to when compressed, until somebody comes back.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <tenure/arena.hpp>
#include <tenure/compressed.hpp>

int main() {
  if (const char* const why = tenure::compressed::why_not()) {
    std::printf("%s\n", why);
    return 0;
  }
  tenure::compressed memory({.name = "sessions"});
  {
    tenure::arena of_all({.name = "texts", .largest_chunk_bytes = 1 << 20, .upstream = &memory});
    std::vector<std::pmr::string> sessions;
    for (int i = 0; i < 50'000; ++i) {
      sessions.emplace_back("{\"user\": " + std::to_string(i) + ", \"language\": \"en\", \"basket\": [], \"seen\": []}",
                            &of_all);
    }
    memory.compress_cold();  // what the interval does by itself, twice
    memory.compress_cold();
    const tenure::compressed_statistics now = memory.compression();
    std::printf("%llu KiB in %llu KiB\n", (unsigned long long)now.compressed_bytes >> 10,
                (unsigned long long)now.store_bytes >> 10);
    if (sessions[12'345].find("12345") == std::string::npos) return 1;
  }
  return memory.statistics().used_bytes == 0 ? 0 : 1;
}
