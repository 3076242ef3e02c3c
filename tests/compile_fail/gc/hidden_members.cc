// expect: this class hides its members: list them once with TENURE_GC_MEMBERS
#include <tenure/gc.hpp>

class part {
 public:
  part() : value_(1) {}
#ifdef CORRECTED
  TENURE_GC_MEMBERS(part, value_, other_);
#endif

 private:
  int value_;
  tenure::gc::member<part> other_;
};
struct whole {
  int number;
  part parts[2];
};

void make() { auto made = tenure::gc::make<whole>(); }
