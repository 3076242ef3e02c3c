// A thread makes documents and works on them; another one is handed a few and may be the last to let go.
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <tenure/brc.hpp>

struct document {
  explicit document(std::string of) : text(std::move(of)) { ++alive; }
  ~document() { --alive; }
  std::string text;
  inline static std::atomic<int> alive = 0;
};

int main() {
  std::vector<tenure::brc<document>> archive;
  for (int i = 0; i < 100; ++i) {
    auto fresh = tenure::make_brc<document>(std::to_string(i));
    for (int word = 0; word < 1000; ++word) {
      tenure::brc<document> here;
      here = fresh;  // a plain increment: this thread is the owner
      here->text += 'x';
    }
    if (i % 10 == 0) archive.push_back(std::move(fresh));
  }
  std::thread archivist([mine = std::move(archive)]() mutable { mine.clear(); });
  archivist.join();
  // The references were made here and let go of there: the counts meet when their owner comes by.
  const auto settled = tenure::settle_brc();
  std::printf("settled %llu, alive %d\n", static_cast<unsigned long long>(settled), document::alive.load());
  return settled == 10 && document::alive == 0 ? 0 : 1;
}
