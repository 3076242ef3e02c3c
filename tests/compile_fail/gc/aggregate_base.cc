// expect: the fields of an aggregate with a base cannot be told
#include <tenure/gc.hpp>

struct base {
  tenure::gc::member<base> next;
};
struct derived : base {
  int value;
#ifdef CORRECTED
  TENURE_GC_MEMBERS_OF(derived, (base), value);
#endif
};

void make() { auto made = tenure::gc::make<derived>(); }
