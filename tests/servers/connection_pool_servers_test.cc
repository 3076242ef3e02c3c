// Connection pools on PostgreSQL and on Redis, which are killed and started again under load. The servers are the
// oracle: each user of a connection leaves its name there and looks whether it still stands, and in the end the server
// counts the connections that it has.
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <poll.h>
#include <tenure/connection_pool.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "servers/server_process.h"

namespace tenure {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::run_to_end;
using testing::server_process;
using testing::temporary_folder;

// --- PostgreSQL

class postgresql {
 public:
  using connection = PGconn*;

  static std::string programs() {
    std::string newest;
    std::error_code none;
    for (const auto& one : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      if (std::filesystem::exists(one.path() / "bin/postgres"))
        newest = std::max(newest, (one.path() / "bin").string());
    }
    return newest;
  }
  static bool is_installed() { return !programs().empty(); }

  postgresql() {
    const std::string data = folder_.path() + "/data";
    run_to_end({programs() + "/initdb", "-D", data, "-U", "tester", "--no-sync", "--no-locale", "-A", "trust"},
               folder_);
    server_ = std::make_unique<server_process>(
        folder_,
        std::vector<std::string>{programs() + "/postgres", "-D", data, "-k", folder_.path(), "-c", "listen_addresses=",
                                 "-c", "fsync=off", "-c", "max_connections=20", "-c", "shared_buffers=16MB"},
        [this] {
          PGconn* const one = PQconnectdb(address().c_str());
          const bool is_up = PQstatus(one) == CONNECTION_OK;
          PQfinish(one);
          return is_up;
        });
  }
  server_process& server() { return *server_; }

  connection connect(nanoseconds timeout) const {
    const auto seconds = std::max<long>(2, std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
    PGconn* const one =
        PQconnectdb((address() + " application_name=pool connect_timeout=" + std::to_string(seconds)).c_str());
    PQsetNoticeProcessor(
        one, [](void*, const char*) {}, nullptr);
    if (PQstatus(one) == CONNECTION_OK) return one;
    const std::string why = PQerrorMessage(one);
    PQfinish(one);
    throw std::runtime_error(why);
  }
  static bool validate(connection one, nanoseconds timeout) { return ask(one, "SELECT 1", timeout) == "1"; }
  static void close(connection one) { PQfinish(one); }

  static bool leave_name(connection one, const std::string& name) {
    return ask(one, "SELECT set_config('pool.user', '" + name + "', false)", 30s) == name;
  }
  static std::optional<std::string> name_there(connection one) {
    return ask(one, "SELECT current_setting('pool.user')", 30s);
  }
  static std::optional<std::string> count_connections(connection one) {
    return ask(one, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool'", 30s);
  }

 private:
  std::string address() const { return "host=" + folder_.path() + " user=tester dbname=postgres"; }

  // The one value that comes back, or nothing.
  static std::optional<std::string> ask(connection one, const std::string& query, nanoseconds timeout) {
    if (PQsendQuery(one, query.c_str()) == 0) return std::nullopt;
    const auto until = std::chrono::steady_clock::now() + timeout;
    std::optional<std::string> value;
    for (;;) {
      while (PQisBusy(one) != 0) {
        pollfd readable{PQsocket(one), POLLIN, 0};
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
        if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) <= 0 || PQconsumeInput(one) == 0) {
          return std::nullopt;
        }
      }
      PGresult* const result = PQgetResult(one);
      if (result == nullptr) return value;
      if (PQresultStatus(result) == PGRES_TUPLES_OK) value = PQgetvalue(result, 0, 0);
      PQclear(result);
    }
  }

  temporary_folder folder_;
  std::unique_ptr<server_process> server_;
};

// --- Redis

class redis {
 public:
  using connection = redisContext*;

  static bool is_installed() { return std::filesystem::exists("/usr/bin/redis-server"); }

  redis()
      : server_(folder_,
                {"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket(), "--unixsocketperm", "777", "--save",
                 "", "--dir", folder_.path()},
                [this] {
                  try {
                    close(connect(1s));
                    return true;
                  } catch (const std::runtime_error&) {
                    return false;
                  }
                }) {}
  server_process& server() { return server_; }

  connection connect(nanoseconds timeout) const {
    redisContext* const one = redisConnectUnixWithTimeout(socket().c_str(), to_timeval(timeout));
    if (one != nullptr && one->err == 0 && ask(one, "PING") == "PONG") return one;
    const std::string why = one == nullptr ? "no memory" : one->errstr;
    close(one);
    throw std::runtime_error(why);
  }
  static bool validate(connection one, nanoseconds timeout) {
    redisSetTimeout(one, to_timeval(timeout));
    const bool is_good = ask(one, "PING") == "PONG";
    redisSetTimeout(one, to_timeval(30s));
    return is_good;
  }
  static void close(connection one) { redisFree(one); }

  static bool leave_name(connection one, const std::string& name) { return ask(one, "CLIENT SETNAME " + name) == "OK"; }
  static std::optional<std::string> name_there(connection one) { return ask(one, "CLIENT GETNAME"); }
  static std::optional<std::string> count_connections(connection one) {
    const auto list = ask(one, "CLIENT LIST TYPE normal");
    if (!list) return std::nullopt;
    return std::to_string(std::count(list->begin(), list->end(), '\n'));
  }

 private:
  static timeval to_timeval(nanoseconds time) {
    const auto us = std::max<long>(1, std::chrono::duration_cast<std::chrono::microseconds>(time).count());
    return {us / 1'000'000, us % 1'000'000};
  }
  std::string socket() const { return folder_.path() + "/socket"; }

  static std::optional<std::string> ask(connection one, const std::string& command) {
    auto* const reply = static_cast<redisReply*>(redisCommand(one, command.c_str()));
    if (reply == nullptr) return std::nullopt;
    std::optional<std::string> text;
    if (reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_STRING) text.emplace(reply->str, reply->len);
    freeReplyObject(reply);
    return text;
  }

  temporary_folder folder_;
  server_process server_;
};

// --- what holds on both

template <class Server>
class connection_pool_on : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);  // what hiredis writes to a server that is gone
    if (!Server::is_installed()) GTEST_SKIP() << "the server is not installed: tools/install_packages.sh test";
  }
};
using servers = ::testing::Types<postgresql, redis>;
TYPED_TEST_SUITE(connection_pool_on, servers);

template <class Server>
connection_hooks<typename Server::connection> hooks_of(const Server& server) {
  return {.connect = [&server](nanoseconds timeout) { return server.connect(timeout); },
          .validate = [](auto& one, nanoseconds timeout) { return Server::validate(one, timeout); },
          .close = [](auto& one) { Server::close(one); }};
}

struct load {
  std::atomic<std::uint64_t> done = 0, broken = 0, clashes = 0;
  std::atomic<bool> is_over = false;
};

template <class Server>
void use(connection_pool<typename Server::connection>& pool, int number, load& seen) {
  for (std::uint64_t round = 0; !seen.is_over; ++round) {
    auto one = pool.acquire();
    const std::string name = "user-" + std::to_string(number) + "-" + std::to_string(round);
    if (!Server::leave_name(*one, name)) {
      ++seen.broken;
      one.discard();
      continue;
    }
    if (round % 8 == 0) std::this_thread::yield();
    const auto there = Server::name_there(*one);
    if (!there) {
      ++seen.broken;
      one.discard();
      continue;
    }
    if (*there != name) ++seen.clashes;
    ++seen.done;
  }
}

TYPED_TEST(connection_pool_on, LosesNothingAndLendsNothingTwiceWhileTheServerIsKilled) {
  using server_type = TypeParam;
  constexpr std::size_t most = 5;
  server_type of;
  connection_pool<typename server_type::connection> pool(hooks_of(of), {.name = "orders", .maximum_pool_size = most});
  load seen;
  std::vector<std::thread> all;
  for (int number = 0; number < 8; ++number) all.emplace_back([&, number] { use<server_type>(pool, number, seen); });
  const auto wait_for_more = [&] {
    const std::uint64_t before = seen.done;
    while (seen.done < before + 200) std::this_thread::sleep_for(1ms);
  };
  for (const int with_signal : {SIGKILL, SIGQUIT, SIGKILL}) {
    wait_for_more();
    of.server().end(with_signal);
    of.server().start();
  }
  wait_for_more();
  seen.is_over = true;
  for (std::thread& one : all) one.join();

  EXPECT_EQ(seen.clashes, 0u);
  const auto figures = pool.statistics();
  EXPECT_GE(figures.discarded + figures.validation_failures, 3u) << "the kills did not meet the load";
  EXPECT_EQ(figures.discarded, seen.broken);
  EXPECT_EQ(figures.timeouts, 0u);
  EXPECT_EQ(figures.borrowed, 0u);
  EXPECT_LE(figures.peak_open, most);
  pool.check();
  // None was lost on the pool's side: all can be had at once. None on the server's: it has these and no others.
  std::vector<typename connection_pool<typename server_type::connection>::handle> at_once;
  while (at_once.size() < most) {
    auto one = pool.acquire();
    if (server_type::leave_name(*one, "last")) {
      at_once.push_back(std::move(one));
    } else {
      one.discard();
    }
  }
  EXPECT_EQ(server_type::count_connections(*at_once.front()), std::to_string(most));
}

TYPED_TEST(connection_pool_on, FindsOutThatTheServerWasStartedAgain) {
  using server_type = TypeParam;
  server_type of;
  connection_pool<typename server_type::connection> pool(
      hooks_of(of), {.name = "orders", .maximum_pool_size = 3, .validate_after = 0s});
  while (pool.statistics().idle != 3) std::this_thread::sleep_for(1ms);
  of.server().end(SIGKILL);
  of.server().start();
  // Whoever borrows now sees nothing of it.
  for (int i = 0; i < 20; ++i) {
    auto one = pool.acquire();
    EXPECT_TRUE(server_type::leave_name(*one, "user"));
  }
  EXPECT_GE(pool.statistics().validation_failures, 1u);
  EXPECT_EQ(pool.statistics().discarded, 0u);
}

TYPED_TEST(connection_pool_on, SaysWhyThereIsNoConnection) {
  using server_type = TypeParam;
  server_type of;
  connection_pool<typename server_type::connection> pool(hooks_of(of), {.maximum_pool_size = 2, .minimum_idle = 0});
  of.server().end(SIGKILL);
  try {
    static_cast<void>(pool.acquire(300ms));
    FAIL();
  } catch (const connection_unavailable& why) {
    EXPECT_NE(std::string(why.what()).find("the last connect failed: "), std::string::npos) << why.what();
    EXPECT_NE(std::string(why.what()).find("onnection"), std::string::npos) << why.what();
  }
  of.server().start();
  EXPECT_TRUE(server_type::leave_name(*pool.acquire(), "user"));
}

}  // namespace
}  // namespace tenure
