// A program with shared_ptr, taken to the managed heap in two steps; each step is measured by itself.
// docs/guide/from-shared-ptr.md goes through it.
//
//     gc_from_shared_ptr_example counted|weak|managed [DOCUMENTS]
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <tenure/gc.hpp>

namespace gc = tenure::gc;

namespace {

constexpr int sections = 200;

// As it was: everything counted, the way back and the references too.
namespace counted {
struct section {
  std::string title;
  std::shared_ptr<section> parent, first_child, next, refers_to;
};
std::shared_ptr<section> make(int number) {
  auto made = std::make_shared<section>();
  made->title = std::to_string(number);
  return made;
}
using held = std::shared_ptr<section>;
}  // namespace counted

// With its cycles cut by hand: who asks for the parent locks it.
namespace weak {
struct section {
  std::string title;
  std::weak_ptr<section> parent;
  std::shared_ptr<section> first_child, next;
  std::weak_ptr<section> refers_to;
};
std::shared_ptr<section> make(int number) {
  auto made = std::make_shared<section>();
  made->title = std::to_string(number);
  return made;
}
using held = std::shared_ptr<section>;
}  // namespace weak

// Managed: every pointer in an object is a member, every one on the stack a local, and none of them is special.
namespace managed {
struct section {
  gc::string title;
  gc::member<section> parent, first_child, next, refers_to;
};
gc::local<section> make(int number) {
  gc::local<section> made = gc::make<section>();
  made->title = std::to_string(number);
  return made;
}
using held = gc::local<section>;
}  // namespace managed

template <class Pointer>
Pointer hold(const Pointer& from) {
  return from;
}
std::shared_ptr<weak::section> hold(const std::weak_ptr<weak::section>& from) { return from.lock(); }
managed::held hold(const gc::member<managed::section>& from) { return from; }

// A document: a tree in which each section knows its parent and refers to an earlier one.
template <class Held, class Make>
Held document(Make make) {
  std::vector<Held> all;
  all.reserve(sections);
  all.push_back(make(0));
  for (int i = 1; i < sections; ++i) {
    Held made = make(i);
    const Held& parent = all[static_cast<std::size_t>(i - 1) / 4];
    made->parent = parent;
    made->next = parent->first_child;
    parent->first_child = made;
    made->refers_to = all[static_cast<std::size_t>(i) / 2];
    all.push_back(std::move(made));
  }
  return all.front();
}

// How many steps lead from each section to the top.
template <class Held>
std::size_t climb(const Held& section) {
  std::size_t steps = 0;
  for (Held at = hold(section->parent); at; at = hold(at->parent)) ++steps;
  if (hold(section->refers_to)) ++steps;
  for (Held child = hold(section->first_child); child; child = hold(child->next)) steps += climb(child);
  return steps;
}

template <class Held, class Make>
std::size_t work(int documents, Make make) {
  std::size_t steps = 0;
  for (int i = 0; i < documents; ++i) {
    const Held top = document<Held>(make);
    for (int look = 0; look < 3; ++look) steps += climb(top);
  }
  return steps;
}

double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

int main(int count, char** arguments) {
  const char* way = count > 1 ? arguments[1] : "managed";
  const int documents = count > 2 ? std::atoi(arguments[2]) : 200;
  const double before = seconds(CLOCK_MONOTONIC);
  std::size_t steps = 0;
  if (std::strcmp(way, "counted") == 0) {
    steps = work<counted::held>(documents, counted::make);
  } else if (std::strcmp(way, "weak") == 0) {
    steps = work<weak::held>(documents, weak::make);
  } else if (std::strcmp(way, "managed") == 0) {
    steps = work<managed::held>(documents, managed::make);
  } else {
    std::fputs("usage: gc_from_shared_ptr_example counted|weak|managed [DOCUMENTS]\n", stderr);
    return 2;
  }
  const double wall = seconds(CLOCK_MONOTONIC) - before;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  std::printf("%s: %d documents, %zu steps, wall %.2f s, processor %.2f s, peak %ld MiB\n", way, documents, steps, wall,
              seconds(CLOCK_PROCESS_CPUTIME_ID), used.ru_maxrss / 1024);
  return 0;
}
