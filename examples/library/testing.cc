// Memory tests of a shopping cart, without a test framework: a failed expectation prints its message.
#include <tenure/testing.hpp>

#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

class cart {
 public:
  void reserve(std::size_t items) { items_.reserve(items); }
  void add(std::string_view item) { items_.push_back(std::make_unique<std::string>(item)); }
  void clear() { items_.clear(); }
  std::size_t size() const { return items_.size(); }

 private:
  std::vector<std::unique_ptr<std::string>> items_;
};

int failures = 0;

void check(const tenure::expectation& one) {
  if (one) return;
  std::cerr << one << '\n';
  ++failures;
}

}  // namespace

int main() {
  // A whole life: what comes goes.
  check(tenure::expect_no_leaks([] {
    cart full;
    for (int i = 0; i < 100; ++i) full.add("a book of more than fifteen letters");
  }));

  // In a scope, step by step.
  cart full;
  full.reserve(10);
  const tenure::memory_scope scope;
  check(scope.no_allocations());
  full.add("bread");
  check(scope.allocations_at_most(1));  // the string's object; "bread" lies within it
  full.clear();
  check(scope.no_leaks());

  // The hot path of a service allocates nothing.
  check(tenure::expect_no_allocations([&] { return full.size(); }));
  return failures == 0 ? 0 : 1;
}
