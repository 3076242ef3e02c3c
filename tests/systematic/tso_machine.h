// A machine of three processors with store buffers, as x86-TSO has them, and a search through all that it can do.
//
//   thread   program counter, registers, a store buffer from which the oldest goes to memory at any moment
//   memory   places of a byte each
//
// A search in depth visits each state once, so a program may go round in circles.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <unordered_set>
#include <vector>

namespace tenure::testing::tso {

using place = std::uint8_t;
inline constexpr std::size_t most_places = 16;

struct pending_store {
  place where;
  std::uint8_t value;
};

struct thread_state {
  std::uint8_t at = 0;
  std::uint8_t registers[3] = {};
  std::uint8_t pending = 0;
  pending_store buffer[6] = {};
};

inline constexpr std::size_t threads = 3;  // two mutators and the collector

struct machine {
  std::array<std::uint8_t, most_places> memory{};
  std::array<thread_state, threads> all{};

  std::uint8_t load(std::size_t self, place where) const {
    const thread_state& of = all[self];
    for (std::uint8_t i = of.pending; i-- != 0;) {
      if (of.buffer[i].where == where) return of.buffer[i].value;
    }
    return memory[where];
  }
  // False when the buffer is full.
  bool store(std::size_t self, place where, std::uint8_t value) {
    thread_state& of = all[self];
    if (of.pending == std::size(of.buffer)) return false;
    of.buffer[of.pending++] = {where, value};
    return true;
  }
  void flush_one(std::size_t self) {
    thread_state& of = all[self];
    memory[of.buffer[0].where] = of.buffer[0].value;
    for (std::uint8_t i = 1; i < of.pending; ++i) of.buffer[i - 1] = of.buffer[i];
    --of.pending;
    of.buffer[of.pending] = {};
  }
  void flush(std::size_t self) {
    while (all[self].pending != 0) flush_one(self);
  }
  std::string key() const {
    std::string text(reinterpret_cast<const char*>(memory.data()), memory.size());
    for (const thread_state& of : all) text.append(reinterpret_cast<const char*>(&of), sizeof of);
    return text;
  }
};

// What a step comes to: the next one, another, or not yet.
inline constexpr int next = -1;
inline constexpr int not_yet = -2;
using step = std::function<int(machine&, std::size_t)>;
using program = std::vector<step>;

inline std::uint8_t& in_register(machine& of, std::size_t self, std::size_t number) {
  return of.all[self].registers[number];
}

inline step load(std::size_t into, place from) {
  return [=](machine& of, std::size_t self) {
    in_register(of, self, into) = of.load(self, from);
    return next;
  };
}
inline step store(place to, std::uint8_t value) {
  return [=](machine& of, std::size_t self) { return of.store(self, to, value) ? next : not_yet; };
}
inline step store_register(place to, std::size_t from) {
  return
      [=](machine& of, std::size_t self) { return of.store(self, to, in_register(of, self, from)) ? next : not_yet; };
}
// A locked instruction: the thread's stores are in memory first.
inline step locked(std::function<void(machine&, std::size_t)> what) {
  return [=](machine& of, std::size_t self) {
    if (of.all[self].pending != 0) return not_yet;
    what(of, self);
    return next;
  };
}

inline void add(program& to, const program& more) { to.insert(to.end(), more.begin(), more.end()); }

struct search {
  std::array<program, threads> programs;
  std::function<bool(const machine&)> is_right;
  std::unordered_set<std::string> seen{};
  std::uint64_t ends = 0;
  std::uint64_t losses = 0;

  void run(const machine& start) {
    std::vector<machine> open{start};
    seen.insert(start.key());
    while (!open.empty()) {
      const machine now = open.back();
      open.pop_back();
      bool any = false;
      const auto visit = [&](const machine& after) {
        any = true;
        if (seen.insert(after.key()).second) open.push_back(after);
      };
      for (std::size_t thread = 0; thread < threads; ++thread) {
        if (now.all[thread].pending != 0) {
          machine after = now;
          after.flush_one(thread);
          visit(after);
        }
        if (now.all[thread].at == programs[thread].size()) continue;
        machine after = now;
        const int where = programs[thread][now.all[thread].at](after, thread);
        if (where == not_yet) continue;
        after.all[thread].at =
            where == next ? static_cast<std::uint8_t>(now.all[thread].at + 1) : static_cast<std::uint8_t>(where);
        visit(after);
      }
      if (!any) end(now);
    }
  }
  void end(const machine& last) {
    for (std::size_t thread = 0; thread < threads; ++thread) {
      ASSERT_EQ(last.all[thread].at, programs[thread].size()) << "thread " << thread << " waits for ever";
    }
    ++ends;
    if (!is_right(last)) ++losses;
  }
};

}  // namespace tenure::testing::tso
