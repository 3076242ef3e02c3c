// A tree whose nodes are shared within a thread, a table that threads share, and a handle made from `this`.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <tenure/arc.hpp>
#include <tenure/intrusive.hpp>
#include <tenure/rc.hpp>

struct node {
  std::string name;
  std::vector<tenure::rc<node>> children;
  tenure::weak_rc<node> parent;
};

struct connection : tenure::arc_counted<connection> {
  explicit connection(int of) : number(of) {}
  tenure::intrusive_ptr<connection> self() { return tenure::intrusive_ptr<connection>(this); }
  int number;
};

int main() {
  auto root = tenure::make_rc<node>(node{"root", {}, {}});
  auto leaf = tenure::make_rc<node>(node{"leaf", {}, root});
  root->children.push_back(leaf);
  const tenure::rc<std::string> name(leaf, &leaf->name);  // keeps the leaf
  std::printf("%s is below %s\n", name->c_str(), leaf->parent.lock()->name.c_str());
  root.reset();
  const bool is_orphan = leaf->parent.expired();

  const auto table = tenure::make_arc<std::vector<int>>(1000, 7);
  std::thread reader([table] { std::printf("%d\n", (*table)[999]); });
  reader.join();

  const auto one = tenure::make_intrusive<connection>(3);
  const auto again = one->self();
  return is_orphan && again.use_count() == 2 ? 0 : 1;
}
