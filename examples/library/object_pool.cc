// Sessions with handles: one that is gone is known as gone, whatever lies in its place.
#include <cstdio>
#include <string>

#include <tenure/object_pool.hpp>

struct session {
  explicit session(std::string who) : user(std::move(who)) {}
  std::string user;
};

int main() {
  tenure::object_pool<session> sessions({.name = "sessions", .limit_objects = 1000});
  auto first = sessions.create("ada");
  const auto seen = first.weak();
  first.reset();
  auto second = sessions.create("grace");  // in the same place
  std::printf("the first is %s; in use: %llu\n", seen.get() == nullptr ? "gone" : "there",
              static_cast<unsigned long long>(sessions.live_objects()));
  sessions.for_each_live([](session& one) { std::printf("%s\n", one.user.c_str()); });
  return seen.get() == nullptr ? 0 : 1;
}
