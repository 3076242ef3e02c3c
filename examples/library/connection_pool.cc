// Six threads ask a server through three connections, and do not notice that it hangs up on all of them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tenure/connection_pool.hpp>

using namespace std::chrono_literals;

// Sends back what it gets, on a port of the loopback.
class echo_server {
 public:
  echo_server() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address_), size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size) != 0) {
      throw std::runtime_error("no port");
    }
    accepts_ = std::thread([this] {
      for (int one; (one = ::accept(listener_, nullptr, nullptr)) >= 0;) {
        const std::lock_guard held(lock_);
        sockets_.push_back(one);
        serving_.emplace_back([one] {
          char byte;
          while (::recv(one, &byte, 1, 0) == 1 && ::send(one, &byte, 1, MSG_NOSIGNAL) == 1) {
          }
        });
      }
    });
  }
  ~echo_server() {
    ::shutdown(listener_, SHUT_RDWR);
    accepts_.join();
    hang_up();
    for (std::thread& one : serving_) one.join();
    for (const int one : sockets_) ::close(one);
    ::close(listener_);
  }
  void hang_up() {
    const std::lock_guard held(lock_);
    for (const int one : sockets_) ::shutdown(one, SHUT_RDWR);
  }
  int connect() const {
    const int one = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(one, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0) return one;
    ::close(one);
    throw std::runtime_error("connection refused");
  }

 private:
  int listener_;
  sockaddr_in address_{};
  std::mutex lock_;
  std::vector<int> sockets_;
  std::vector<std::thread> serving_;
  std::thread accepts_;
};

bool echoes(int socket, char byte, std::chrono::nanoseconds timeout) {
  pollfd answer{socket, POLLIN, 0};
  const auto ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(timeout).count());
  char got = 0;
  return ::send(socket, &byte, 1, MSG_NOSIGNAL) == 1 && ::poll(&answer, 1, ms) == 1 &&
         ::recv(socket, &got, 1, 0) == 1 && got == byte;
}

int main() {
  echo_server server;
  tenure::connection_pool<int> echoing({.connect = [&](auto) { return server.connect(); },
                                        .validate = [](int& one, auto timeout) { return echoes(one, '?', timeout); },
                                        .close = [](int& one) { ::close(one); }},
                                       {.name = "echo", .maximum_pool_size = 3, .validate_after = 0s});
  std::atomic<int> answered = 0;
  const auto ask = [&] {
    for (int i = 0; i < 100; ++i) {
      auto one = echoing.acquire();
      if (echoes(*one, '!', 5s)) {
        ++answered;
      } else {
        one.discard();
        --i;
      }
    }
  };
  std::vector<std::thread> all;
  for (int i = 0; i < 6; ++i) all.emplace_back(ask);
  while (answered < 200) std::this_thread::yield();
  server.hang_up();
  for (std::thread& one : all) one.join();

  const auto seen = echoing.statistics();
  std::printf("%d answers, at most %zu connections; %llu opened; half waited %lld us or less\n", answered.load(),
              seen.peak_open, static_cast<unsigned long long>(seen.created),
              static_cast<long long>(seen.wait.quantile(0.5).count() / 1000));
  return answered == 600 && seen.peak_open <= 3 && seen.borrowed == 0 ? 0 : 1;
}
