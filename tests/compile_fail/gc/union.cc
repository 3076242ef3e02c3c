// expect: a union may not hold managed pointers
#include <tenure/gc.hpp>

struct leaf {
  int value;
};
union either {
  either() : number(0) {}
  ~either() {}
  long number;
#ifndef CORRECTED
  tenure::gc::member<leaf> target;
#endif
};
#ifdef CORRECTED
template <>
inline constexpr bool tenure::gc::is_leaf<either> = true;
#endif
struct node {
  either value;
  tenure::gc::member<leaf> target;
};

void make() { auto made = tenure::gc::make<node>(); }
