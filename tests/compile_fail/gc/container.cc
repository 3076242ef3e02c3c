// expect: a standard container cannot hold managed pointers
// A std::vector may move its members, and free them, while the collector reads them.
#include <vector>

#include <tenure/gc.hpp>

struct node {
#ifdef CORRECTED
  tenure::gc::vector<tenure::gc::member<node>> children;
#else
  std::vector<tenure::gc::member<node>> children;
#endif
};

void make() { auto made = tenure::gc::make<node>(); }
