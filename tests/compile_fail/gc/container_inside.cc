// expect: a standard container cannot hold managed pointers
// Nor can it in a container that is managed.
#include <vector>

#include <tenure/gc.hpp>

struct node {
#ifdef CORRECTED
  tenure::gc::vector<tenure::gc::vector<tenure::gc::member<node>>> rows;
#else
  tenure::gc::vector<std::vector<tenure::gc::member<node>>> rows;
#endif
};

void make() { tenure::gc::make<node>()->rows.emplace_back(); }
