// What calls that are marked take of the heap and of the system, by a count of the program's own: its operator new and
// delete, and mmap() and munmap() where the linker leads to them (--wrap), which counted_memory.cc has.
//
//   inside   usable bytes of what was taken by marked calls, less what they gave back; one atomic word, looked at where
//            it is raised: above `bound` it is noted in `beyond`
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace tenure::test::counted_memory {

inline constexpr std::int64_t no_bound = std::int64_t{1} << 62;
inline std::atomic<std::int64_t> inside{0}, most_inside{0}, bound{no_bound};
inline std::atomic<std::uint64_t> beyond{0};
inline constinit thread_local int calls = 0;  // above 0: what is taken counts

void add(std::int64_t bytes) noexcept;
std::int64_t usable(void* block) noexcept;

// From nothing, with a bound.
inline void begin(std::int64_t with_bound) noexcept {
  inside = most_inside = 0;
  beyond = 0;
  bound = with_bound;
}

// What the calling thread takes counts.
struct marked {
  marked() noexcept { ++calls; }
  ~marked() { --calls; }
  marked(const marked&) = delete;
  marked& operator=(const marked&) = delete;
};
// Within such a call it does not.
struct uncounted {
  uncounted() noexcept : before(std::exchange(calls, 0)) {}
  ~uncounted() { calls = before; }
  uncounted(const uncounted&) = delete;
  uncounted& operator=(const uncounted&) = delete;
  int before;
};

}  // namespace tenure::test::counted_memory
