// Particles in columns: a step reads and writes four of six fields, and looks at nothing else.
#include <cstdio>
#include <memory_resource>
#include <string>

#include <tenure/arena.hpp>
#include <tenure/soa.hpp>

enum particle { x, y, speed_x, speed_y, mass, label };
using particles = tenure::soa<float, float, float, float, double, std::pmr::string>;

void step(particles& all, float seconds) {
  const auto move = [seconds](auto places, auto speeds) {
    for (std::size_t i = 0; i < places.size(); ++i) places[i] += speeds[i] * seconds;
  };
  move(all.field<x>(), all.field<speed_x>());
  move(all.field<y>(), all.field<speed_y>());
}

int main() {
  tenure::arena memory({.name = "particles"});
  particles all(&memory);
  for (int i = 0; i < 1000; ++i) all.push_back(0.f, 0.f, 1.f, static_cast<float>(i), 0.5, "particle");
  step(all, 2.f);
  double total = 0;
  for (auto [px, py, vx, vy, m, name] : all) total += m;
  all.erase_unordered(0);
  std::printf("%zu rows, %.0f of mass, the first at %.0f %.0f\n", all.size(), total,
              static_cast<double>(all.field<x>()[0]), static_cast<double>(all.field<y>()[0]));
  return all.size() == 999 && all.field<y>()[0] == 1998.f ? 0 : 1;
}
