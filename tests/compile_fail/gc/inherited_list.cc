// expect: this class inherits the member list of its base
#include <tenure/gc.hpp>

struct shape {
  virtual ~shape() = default;
  tenure::gc::member<shape> parent;
  TENURE_GC_MEMBERS(shape, parent);
};
struct square : shape {
  tenure::gc::member<shape> inside;
#ifdef CORRECTED
  TENURE_GC_MEMBERS_OF(square, (shape), inside);
#endif
};

void make() { auto made = tenure::gc::make<square>(); }
