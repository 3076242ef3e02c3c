// expect: std::function, std::any and their like can hide managed pointers
#include <functional>

#include <tenure/gc.hpp>

struct node {
#ifdef CORRECTED
  void (*on_change)(node& changed);
#else
  std::function<void()> on_change;
#endif
  tenure::gc::member<node> next;
};

void make() { auto made = tenure::gc::make<node>(); }
