// expect: TENURE_GC_MEMBERS leaves out a member or a base
#include <tenure/gc.hpp>

class node {
 public:
  explicit node(int value) : value_(value) {}
  int value() const { return value_; }

 private:
#ifdef CORRECTED
  TENURE_GC_MEMBERS(node, next_, value_, previous_);
#else
  TENURE_GC_MEMBERS(node, next_, value_);
#endif
  tenure::gc::member<node> next_;
  int value_;
  tenure::gc::member<node> previous_;
};

void make() { auto made = tenure::gc::make<node>(1); }
