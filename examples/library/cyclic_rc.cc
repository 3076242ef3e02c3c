// People who know one another: circles of references that go when nobody outside holds one.
#include <cstdio>
#include <string>
#include <vector>

#include <tenure/cyclic_rc.hpp>

struct person {
  explicit person(std::string of) : name(std::move(of)) { ++alive; }
  ~person() { --alive; }
  void trace(tenure::cycle_visitor& visit) const { visit(friends); }

  std::string name;
  std::vector<tenure::cyclic_rc<person>> friends;
  inline static int alive = 0;
};

int main() {
  auto ada = tenure::make_cyclic<person>("Ada");
  auto bob = tenure::make_cyclic<person>("Bob");
  ada->friends.push_back(bob);
  bob->friends.push_back(ada);
  ada.reset();
  tenure::collect_cycles();
  std::printf("%s knows %s\n", bob->name.c_str(), bob->friends[0]->name.c_str());
  bob.reset();
  const auto freed = tenure::collect_cycles();
  std::printf("freed %llu, alive %d\n", static_cast<unsigned long long>(freed), person::alive);
  return freed == 2 && person::alive == 0 ? 0 : 1;
}
