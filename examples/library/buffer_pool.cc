// A web server that allocates nothing for a request once it is warm: requests, answers and pages are slices of pooled
// buffers.
//
//   client ──GET /page/3──▶ lease of 4 KiB, filled by recv()
//                             └─ slices: method, path               parsed, not copied
//   client ◀──writev()────── [head: a small buffer][body: a slice of the page that all connections share]
//
// Server and client are threads of this program, on sockets of the loopback. Each counts its own allocations after the
// first thousand requests (tenure/testing.hpp), which needs Tenure's malloc: link tenure::malloc, as here, or preload
// it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string_view>
#include <thread>

#include <tenure/buffer_pool.hpp>
#include <tenure/testing.hpp>

namespace {

constexpr int requests_to_warm_up = 1000;
constexpr int requests_counted = 20'000;
constexpr std::size_t connections = 8;
constexpr std::size_t page_bytes = 6000;

std::byte* put(std::byte* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
std::byte* put(std::byte* to, std::size_t number) {
  char* const begin = reinterpret_cast<char*>(to);
  return reinterpret_cast<std::byte*>(std::to_chars(begin, begin + 20, number).ptr);
}

class web_server {
 public:
  explicit web_server(tenure::buffer_pool& pool) : pool_(pool), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      tenure::buffer_lease page = pool_.take(page_bytes);
      std::memset(page.data(), 'a' + static_cast<int>(i), page_bytes);
      pages_[i] = std::move(page).share(page_bytes);
    }
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&any), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size) != 0) {
      throw std::runtime_error("no port");
    }
    address_ = any;
    watch(listener_);
  }
  ~web_server() {
    ::close(listener_);
    ::close(events_);
  }
  web_server(const web_server&) = delete;
  web_server& operator=(const web_server&) = delete;
  const sockaddr_in& address() const { return address_; }

  void serve(int requests) {
    while (requests > 0) {
      std::array<epoll_event, 16> ready;
      const int count = ::epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), -1);
      for (const epoll_event& one : std::span(ready.data(), static_cast<std::size_t>(std::max(count, 0)))) {
        if (one.data.fd == listener_) {
          watch(::accept(listener_, nullptr, nullptr));
        } else {
          requests -= answer(one.data.fd);
        }
      }
    }
  }

 private:
  void watch(int socket) const {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.fd = socket;
    ::epoll_ctl(events_, EPOLL_CTL_ADD, socket, &wanted);
  }

  // One request: the client waits for each answer, and a request of some dozens of bytes comes in one piece.
  int answer(int socket) {
    tenure::buffer_lease into = pool_.take(4096);
    const ssize_t got = ::recv(socket, into.data(), into.size(), 0);
    if (got <= 0) {
      ::close(socket);
      return 0;
    }
    const tenure::buffer_slice request = std::move(into).share(static_cast<std::size_t>(got));
    const tenure::buffer_slice path = path_of(request);
    const bool is_page = path.text().starts_with("/page/") && path.size() == 7;
    const std::size_t number = is_page ? static_cast<std::size_t>(path.text()[6] - '0') : pages_.size();
    if (number >= pages_.size()) return send(socket, "404 Not Found", {});
    return send(socket, "200 OK", pages_[number]);
  }

  static tenure::buffer_slice path_of(const tenure::buffer_slice& request) {
    const std::string_view text = request.text();
    const std::size_t begin = text.find(' ') + 1;
    const std::size_t end = text.find(' ', begin);
    return end == std::string_view::npos ? tenure::buffer_slice() : request.slice(begin, end - begin);
  }

  int send(int socket, std::string_view status, const tenure::buffer_slice& body) {
    tenure::buffer_lease head = pool_.take(256);
    std::byte* end = put(head.data(), "HTTP/1.1 ");
    end = put(put(put(end, status), "\r\nContent-Length: "), body.size());
    end = put(end, "\r\n\r\n");
    std::array<iovec, 2> parts{{{head.data(), static_cast<std::size_t>(end - head.data())},
                                {const_cast<std::byte*>(body.data()), body.size()}}};
    return ::writev(socket, parts.data(), static_cast<int>(parts.size())) > 0 ? 1 : 0;
  }

  tenure::buffer_pool& pool_;
  int listener_;
  int events_ = ::epoll_create1(EPOLL_CLOEXEC);
  sockaddr_in address_{};
  std::array<tenure::buffer_slice, 10> pages_;
};

class web_client {
 public:
  web_client(tenure::buffer_pool& pool, const sockaddr_in& server) : pool_(pool) {
    for (int& one : sockets_) {
      one = ::socket(AF_INET, SOCK_STREAM, 0);
      const int yes = 1;
      ::setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      if (::connect(one, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) {
        throw std::runtime_error("no connection");
      }
    }
  }
  ~web_client() {
    for (const int one : sockets_) ::close(one);
  }
  web_client(const web_client&) = delete;
  web_client& operator=(const web_client&) = delete;

  // How many answers were the page that was asked for.
  int ask(int requests) {
    int right = 0;
    for (int i = 0; i < requests; ++i) right += ask_for(sockets_[static_cast<std::size_t>(i) % connections], i % 10);
    return right;
  }

 private:
  int ask_for(int socket, int page) {
    tenure::buffer_lease out = pool_.take(256);
    std::byte* const end = put(put(put(out.data(), "GET /page/"), static_cast<std::size_t>(page)), " HTTP/1.1\r\n\r\n");
    if (::send(socket, out.data(), static_cast<std::size_t>(end - out.data()), 0) < 0) return 0;
    const tenure::buffer_lease in = pool_.take(8192);
    std::size_t got = 0, wanted = in.size();
    while (got < wanted) {
      const ssize_t more = ::recv(socket, in.data() + got, in.size() - got, 0);
      if (more <= 0) return 0;
      got += static_cast<std::size_t>(more);
      const std::size_t head = std::string_view(in.text(), got).find("\r\n\r\n");
      if (head != std::string_view::npos) wanted = head + 4 + page_bytes;
    }
    const std::string_view answer(in.text(), got);
    return answer.starts_with("HTTP/1.1 200 OK") && answer.back() == 'a' + page && got == wanted ? 1 : 0;
  }

  tenure::buffer_pool& pool_;
  std::array<int, connections> sockets_{};
};

}  // namespace

int main() {
  tenure::buffer_pool pool({.name = "web", .checks = tenure::resource_checks::off});
  web_server server(pool);
  bool serves_without = false;
  std::thread serving([&] {
    server.serve(requests_to_warm_up);
    const tenure::memory_scope scope;
    server.serve(requests_counted);
    const tenure::expectation nothing = scope.no_allocations();
    serves_without = static_cast<bool>(nothing);
    std::cout << "server, " << requests_counted << " requests without an allocation: " << nothing << '\n';
  });
  int right = 0;
  {
    web_client client(pool, server.address());
    client.ask(requests_to_warm_up);
    const tenure::memory_scope scope;
    right = client.ask(requests_counted);
    const tenure::expectation nothing = scope.no_allocations();
    serving.join();
    std::cout << "client, the same: " << nothing << '\n';
    serves_without = serves_without && nothing;
  }
  const tenure::buffer_pool_statistics seen = pool.statistics();
  std::cout << right << " right answers; " << seen.takes << " buffers taken, " << seen.made << " ever made\n";
  if (!tenure::counts_allocations()) return right == requests_counted ? 0 : 1;
  return right == requests_counted && serves_without ? 0 : 1;
}
