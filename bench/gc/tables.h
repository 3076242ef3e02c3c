// A table of 64-byte objects that threads replace at random: a heap of any size in which everything has the same age.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "programs.h"

namespace tenure::bench {

struct table_entry {  // 64 bytes with the word before it
  gc::member<table_entry> peer;
  std::uint64_t words[6];
};

class tables {
 public:
  tables(gc::heap& in, std::size_t live_bytes, std::size_t threads) : heap_(in) {
    const std::size_t each = live_bytes / threads / (sizeof(table_entry) + sizeof(void*) + sizeof(gc::member<int>));
    for (std::size_t i = 0; i < threads; ++i) parts_.emplace_back(in.make_array<gc::member<table_entry>>(each));
  }
  // Each thread has a part of its own, fills it, then replaces what a number drawn from its seed says.
  void fill(std::size_t thread) {
    gc::array<gc::member<table_entry>>& part = *parts_[thread];
    for (gc::member<table_entry>& each : part) each = heap_.make<table_entry>();
  }
  void replace(std::size_t thread, std::uint64_t& state) {
    gc::array<gc::member<table_entry>>& part = *parts_[thread];
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const gc::local<table_entry> made = heap_.make<table_entry>();
    made->words[0] = state;
    made->peer = part[(state >> 32) % part.size()];
    if (made->peer) made->peer->peer = nullptr;  // chains of the dead are none
    part[state % part.size()] = made;
  }

 private:
  gc::heap& heap_;
  std::vector<gc::root<gc::array<gc::member<table_entry>>>> parts_;
};

}  // namespace tenure::bench
