// A server for tests of connection pools: it counts what is open, hears of every misuse, and can be down.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include <tenure/connection_pool.hpp>

namespace tenure::testing {

struct fake_server;

struct fake_connection {
  fake_server* server = nullptr;
  std::uint64_t number = 0;
  std::uint64_t era = 0;  // a restart ends those of before
  std::atomic<std::uint32_t>* user = nullptr;
};

struct fake_server {
  std::atomic<std::uint64_t> opened = 0, closed = 0, validated = 0, clashes = 0;
  std::atomic<std::int64_t> open_now = 0, open_most = 0;
  std::atomic<std::uint64_t> era = 1;
  std::atomic<bool> is_down = false;

  fake_connection connect() {
    if (is_down) throw std::runtime_error("connection refused");
    const std::int64_t now = ++open_now;
    std::int64_t most = open_most;
    while (now > most && !open_most.compare_exchange_weak(most, now)) {
    }
    return {this, ++opened, era, new std::atomic<std::uint32_t>(0)};
  }
  // It takes some time, as with any server.
  bool answers(const fake_connection& one, std::chrono::nanoseconds timeout) {
    ++validated;
    if (timeout < std::chrono::milliseconds(1)) return false;
    claim(one, validator);
    const bool good = !is_down && one.era == era;
    unclaim(one, validator);
    return good;
  }
  void close(fake_connection& one) {
    claim(one, closer);
    delete std::exchange(one.user, nullptr);
    ++closed;
    --open_now;
  }
  // Whoever uses a connection says so; two at once are a clash.
  void claim(const fake_connection& one, std::uint32_t by) {
    if (one.user->exchange(by) != 0) ++clashes;
  }
  void unclaim(const fake_connection& one, std::uint32_t by) {
    if (one.user->exchange(0) != by) ++clashes;
  }
  bool works(const fake_connection& one) const { return !is_down && one.era == era; }
  void restart() { ++era; }

  connection_hooks<fake_connection> hooks() {
    return {
        .connect = [this](std::chrono::nanoseconds) { return connect(); },
        .validate = [this](fake_connection& one, std::chrono::nanoseconds timeout) { return answers(one, timeout); },
        .close = [this](fake_connection& one) { close(one); }};
  }

  static constexpr std::uint32_t validator = ~0u, closer = ~0u - 1;
};

}  // namespace tenure::testing
