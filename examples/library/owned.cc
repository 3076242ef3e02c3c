// Listeners that may add listeners: the list is borrowed while it is walked, and to change it then is found out.
#include <cstdio>
#include <functional>
#include <vector>

#include <tenure/owned.hpp>

class bell {
 public:
  using listener = std::function<void(bell&)>;

  // False while the bell rings; borrow_mut() would end the program, and name the line that walks the list.
  bool add(listener one) {
    auto list = listeners_.try_borrow_mut();
    if (!list) return false;
    (*list)->push_back(std::move(one));
    return true;
  }
  void ring() {
    const auto list = listeners_.borrow();
    for (const listener& one : *list) one(*this);
  }

 private:
  tenure::owned<std::vector<listener>> listeners_;
};

int main() {
  bell one;
  bool was_added = true;
  one.add([&](bell& rings) { was_added = rings.add([](bell&) {}); });
  one.ring();
  std::printf("added while it rang: %s\n", was_added ? "yes" : "no");
  return !was_added && one.add([](bell&) {}) ? 0 : 1;
}
