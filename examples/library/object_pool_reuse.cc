// Objects that are dear to build come back, are made ready by a hook, and are lent again as they are.
#include <cstdio>
#include <new>
#include <string>

#include <tenure/object_pool.hpp>

int built = 0;

struct parser {
  parser() : table(1 << 16, '\0') { ++built; }
  std::string table;   // dear to build, and the same for all
  std::string result;  // of one document
};

// Called with each parser that comes back.
struct forget_document {
  void operator()(parser& one) const noexcept { one.result.clear(); }
};

int main() {
  tenure::object_pool<parser, forget_document> parsers({.name = "parsers", .limit_objects = 2});
  for (int document = 0; document < 1000; ++document) {
    auto one = parsers.acquire();
    if (!one->result.empty()) return 1;
    one->result = "document " + std::to_string(document);
  }
  std::printf("1000 documents, %d parser built\n", built);

  // No more than two at a time: the third one is refused.
  auto first = parsers.acquire();
  auto second = parsers.acquire();
  bool is_refused = false;
  try {
    parsers.acquire();
  } catch (const std::bad_alloc&) {
    is_refused = true;
  }
  return built == 2 && is_refused && parsers.live_objects() == 2 ? 0 : 1;
}
