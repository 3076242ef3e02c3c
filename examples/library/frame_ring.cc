// Two frames: what one makes is still there while the next is being made, and gone after it.
#include <cstdio>

#include <tenure/frame_ring.hpp>

namespace {

struct draw_list {
  int first;
  int count;
};

}  // namespace

int main() {
  tenure::frame_ring memory({.name = "draws", .frames = 2});
  const draw_list* shown = nullptr;
  long sum = 0;
  for (int frame = 0; frame < 100; ++frame) {
    memory.advance();
    const draw_list* made = memory.create<draw_list>(draw_list{frame, 10 * frame});
    if (shown != nullptr) sum += shown->count;  // made in the frame before
    shown = made;
  }
  std::printf("%ld drawn; %llu bytes in use in two frames, %llu held\n", sum,
              static_cast<unsigned long long>(memory.statistics().used_bytes),
              static_cast<unsigned long long>(memory.statistics().held_bytes));
  return sum == 48'510 && memory.statistics().used_blocks == 2 ? 0 : 1;
}
