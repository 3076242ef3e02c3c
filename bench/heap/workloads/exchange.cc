// Big random structures exchanged between threads: each thread builds arrays of linked blocks, swaps some of them with
// a public board, drops others, and ends; the next wave of threads goes on with what lies on the board.
//
//     thread ---build---> own array --exchange--> [ board of 512 slots ] <--exchange-- thread
#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <thread>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t board_slots = 512;
constexpr std::size_t wave_threads = 4;
constexpr std::uint64_t waves_whole = 200;
constexpr std::size_t turns_per_thread = 800;

// A chain of blocks, some of them big; freed by whoever comes to hold it.
struct link {
  link* next;
  std::size_t size_bytes;
};

std::array<std::atomic<link*>, board_slots> board;

link* build(random_source& random) {
  link* chain = nullptr;
  for (std::size_t left = 1 + random.below(60); left > 0; --left) {
    const bool big = random.below(200) == 0;
    const std::size_t size_bytes = big ? random.size_between(14, 18) : random.size_between(4, 10);
    link* fresh = static_cast<link*>(std::malloc(size_bytes));
    touch(fresh, size_bytes);
    *fresh = {chain, size_bytes};
    chain = fresh;
  }
  return chain;
}

void drop(link* chain) {
  while (chain) {
    link* next = chain->next;
    std::free(chain);
    chain = next;
  }
}

void one_thread(std::uint64_t seed, std::size_t turns) {
  random_source random(seed);
  std::vector<link*> own(64);
  for (std::size_t turn = 0; turn < turns; ++turn) {
    link*& slot = own[random.below(own.size())];
    if (random.below(2) == 0) {
      slot = board[random.below(board_slots)].exchange(slot, std::memory_order_acq_rel);
    } else {
      drop(slot);
      slot = build(random);
    }
  }
  for (link* chain : own) {
    drop(chain);
  }
}

std::uint64_t run_exchange(std::uint64_t divisor) {
  const std::uint64_t waves = waves_whole / divisor;
  for (std::uint64_t wave = 0; wave < waves; ++wave) {
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < wave_threads; ++index) {
      threads.emplace_back(one_thread, wave * wave_threads + index, turns_per_thread);
    }
    for (std::thread& each : threads) {
      each.join();
    }
  }
  for (std::atomic<link*>& slot : board) {
    drop(slot.exchange(nullptr));
  }
  return waves * wave_threads * turns_per_thread;
}

constexpr workload all[] = {
    {"exchange", "waves of four threads build chains, exchange them on a board, and end", run_exchange},
};

}  // namespace

workload_list exchange_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
