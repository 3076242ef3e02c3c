// expect: this heap moves its objects, and nothing says that those of this type may be moved
#include <string>

#include <tenure/gc.hpp>

struct node {
  tenure::gc::member<node> next;
#ifdef CORRECTED
  tenure::gc::string name;
#else
  std::string name;
#endif
};

void make(tenure::gc::heap_of<tenure::gc::plan::semispace>& heap) { auto made = heap.make<node>(); }
