// expect: a local or root inside of a managed object would keep its target alive for ever
#include <tenure/gc.hpp>

struct node {
#ifdef CORRECTED
  tenure::gc::member<node> parent;
#else
  tenure::gc::root<node> parent;
#endif
};

void make() { auto made = tenure::gc::make<node>(); }
