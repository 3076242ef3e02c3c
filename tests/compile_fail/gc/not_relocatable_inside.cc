// expect: this heap moves its objects, and nothing says that those of this type may be moved
#include <string>

#include <tenure/gc.hpp>

struct entry {
  std::string name;
};
#ifdef CORRECTED
using table = tenure::gc::vector<int>;
#else
using table = tenure::gc::vector<entry>;
#endif
struct node {
  tenure::gc::member<node> next;
  table entries;
};

void make(tenure::gc::heap_of<tenure::gc::plan::mark_compact>& heap) { auto made = heap.make<node>(); }
