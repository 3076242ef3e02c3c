// The fast paths of the managed heap, each alone in a function, for tools/fast_path.py to look at.
#include <cstdint>

#include <tenure/gc.hpp>

using namespace tenure;

namespace {

struct node32 {
  gc::member<node32> left, right;
  std::uint64_t words[2];
};

}  // namespace

extern "C" {

// make<T>() into a local, the local's end and all that is between them, but for the program's own work.
[[gnu::noinline]] void gc_make_and_drop() {
  const gc::local<node32> made = gc::make<node32>();
  asm volatile("" : : "r"(made.get()) : "memory");
}
[[gnu::noinline]] void gc_pass(void* object) {
  const gc::local<node32> held(static_cast<node32*>(object));
  asm volatile("" : : "r"(held.get()) : "memory");
}
}

int main() {
  gc_make_and_drop();
  gc_pass(nullptr);
}
