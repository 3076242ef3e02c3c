#include "exchange.h"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "support/memory_probe.h"

namespace tenure::testing {
namespace {

struct block_head {
  std::uint64_t size;
  std::uint64_t seed;
};

class checked_heap {
 public:
  checked_heap(const heap_functions& heap, std::uint64_t seed) : heap_(heap), random_(seed) {}

  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  std::size_t draw_size() {
    switch (random_() % 100) {
      case 0:
        return draw(600000);
      case 1:
      case 2:
      case 3:
        return draw(40000);
      default:
        return draw(random_() % 4 == 0 ? 4000 : 300);
    }
  }

  void* make() {
    const std::size_t size = sizeof(block_head) + draw_size();
    void* block = heap_.allocate(size);
    if (block == nullptr) return ++faults_, nullptr;
    write(block, size);
    return block;
  }
  void drop(void* block) {
    if (block == nullptr) return;
    check(block);
    heap_.free(block);
  }
  void* resize(void* block) {
    if (block == nullptr) return nullptr;
    check(block);
    const std::size_t size = sizeof(block_head) + draw_size();
    const block_head before = *static_cast<block_head*>(block);
    void* moved = heap_.resize(block, size);
    if (moved == nullptr) return ++faults_, block;
    const std::size_t kept = size < before.size ? size : before.size;
    if (!has_pattern(static_cast<char*>(moved) + sizeof before, checked(kept), before.seed)) ++faults_;
    write(moved, size);
    return moved;
  }
  std::uint64_t faults() const { return faults_; }

 private:
  // The whole of most blocks, the front of the biggest: the test is of the heap, not of the memory's bandwidth.
  static std::size_t checked(std::size_t size) {
    const std::size_t content = size - sizeof(block_head);
    return content < 5000 ? content : 5000;
  }
  void write(void* block, std::size_t size) {
    const block_head head{size, random_()};
    *static_cast<block_head*>(block) = head;
    fill_pattern(static_cast<char*>(block) + sizeof head, checked(size), head.seed);
  }
  void check(const void* block) {
    const block_head head = *static_cast<const block_head*>(block);
    if (head.size < sizeof head || head.size > 2000000 ||
        !has_pattern(static_cast<const char*>(block) + sizeof head, checked(head.size), head.seed)) {
      ++faults_;
    }
  }

  const heap_functions& heap_;
  std::mt19937_64 random_;
  std::uint64_t faults_ = 0;
};

template <class body>
std::uint64_t in_threads(const heap_functions& heap, const stress_size& size, std::uint64_t seed, body&& work) {
  std::atomic<std::uint64_t> faults{0};
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < size.threads; ++index) {
    threads.emplace_back([&, index] {
      checked_heap mine(heap, seed * 1000 + index);
      work(mine, index);
      faults += mine.faults();
    });
  }
  for (std::thread& each : threads) each.join();
  return faults;
}

}  // namespace

std::uint64_t exchange_blocks(const heap_functions& heap, const stress_size& size, std::uint64_t seed) {
  std::vector<std::atomic<void*>> slots(1000);
  std::uint64_t faults = in_threads(heap, size, seed, [&](checked_heap& mine, unsigned) {
    for (std::uint64_t count = 0; count < size.operations; ++count) {
      mine.drop(slots[mine.draw(slots.size())].exchange(mine.make(), std::memory_order_acq_rel));
    }
  });
  checked_heap last(heap, seed);
  for (std::atomic<void*>& slot : slots) last.drop(slot.load());
  return faults + last.faults();
}

std::uint64_t produce_and_consume(const heap_functions& heap, const stress_size& size, std::uint64_t seed) {
  constexpr std::size_t ring_size = 512;
  struct channel {
    std::atomic<void*> ring[ring_size] = {};
  };
  std::vector<channel> channels((size.threads + 1) / 2);
  stress_size even = size;
  even.threads = static_cast<unsigned>(channels.size() * 2);
  return in_threads(heap, even, seed, [&](checked_heap& mine, unsigned index) {
    channel& between = channels[index / 2];
    for (std::uint64_t count = 0; count < size.operations; ++count) {
      std::atomic<void*>& place = between.ring[count % ring_size];
      if (index % 2 == 0) {
        void* made = mine.make();
        if (made == nullptr) return;
        void* empty = nullptr;
        while (!place.compare_exchange_weak(empty, made, std::memory_order_acq_rel)) {
          empty = nullptr;
          std::this_thread::yield();
        }
      } else {
        void* taken = nullptr;
        while ((taken = place.exchange(nullptr, std::memory_order_acq_rel)) == nullptr) std::this_thread::yield();
        mine.drop(mine.draw(4) == 0 ? mine.resize(taken) : taken);
      }
    }
  });
}

std::uint64_t storm_of_threads(const heap_functions& heap, const stress_size& size, std::uint64_t seed) {
  std::vector<std::atomic<void*>> left_behind(2000);
  std::uint64_t faults = 0;
  const std::uint64_t per_life = 100;
  for (std::uint64_t round = 0; round * per_life < size.operations; ++round) {
    faults += in_threads(heap, size, seed + round, [&](checked_heap& mine, unsigned) {
      for (std::uint64_t count = 0; count < per_life; ++count) {
        mine.drop(left_behind[mine.draw(left_behind.size())].exchange(mine.make(), std::memory_order_acq_rel));
      }
    });
  }
  checked_heap last(heap, seed);
  for (std::atomic<void*>& slot : left_behind) last.drop(slot.load());
  return faults + last.faults();
}

std::uint64_t mix_sizes(const heap_functions& heap, const stress_size& size, std::uint64_t seed) {
  return in_threads(heap, size, seed, [&](checked_heap& mine, unsigned) {
    std::vector<void*> held(300, nullptr);
    for (std::uint64_t count = 0; count < size.operations; ++count) {
      void*& place = held[mine.draw(held.size())];
      if (place != nullptr && mine.draw(4) == 0) {
        place = mine.resize(place);
      } else {
        mine.drop(place);
        place = mine.draw(3) == 0 ? nullptr : mine.make();
      }
    }
    for (void* place : held) mine.drop(place);
  });
}

}  // namespace tenure::testing
