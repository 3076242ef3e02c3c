// expect: a class with virtual bases cannot have ephemerons
#include <tenure/gc.hpp>

struct leaf {
  int value;
};
struct pair {
  tenure::gc::ephemeron<leaf, leaf> words;
};
struct base {
  tenure::gc::member<leaf> first;
  TENURE_GC_MEMBERS(base, first);
};
struct derived : virtual base {
#ifdef CORRECTED
  tenure::gc::member<pair> second;
#else
  pair second;
#endif
  TENURE_GC_MEMBERS_OF(derived, (base), second);
};

void make() { auto made = tenure::gc::make<derived>(); }
