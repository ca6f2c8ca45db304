#include "bench/load/runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/load/reply_skipper.h"

namespace quartet::load {

namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr int kEvents = 256;

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

struct Connection {
  Connection(Descriptor socket, const Plan& plan)
      : socket(std::move(socket)), requests(plan.command, plan.value_size, plan.pipeline) {}

  Descriptor socket;
  RequestBuffer requests;
  ReplySkipper skipper;
  std::string_view unsent;  // of the batch on its way
  uint64_t expected = 0;    // replies on this connection until the batch is answered
  int64_t sent_us = 0;
};

class Run {
 public:
  explicit Run(const Plan& plan)
      : plan_(plan),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        numbers_(plan.keys, plan.sequential, plan.seed),
        buffer_(std::make_unique_for_overwrite<char[]>(kReadBytes)),
        requests_left_(plan.requests) {}

  std::variant<Outcome, std::string> execute() {
    for (size_t i = 0; i < plan_.connections; ++i)
      if (!connect()) return "cannot connect: " + std::string(std::strerror(errno));

    const int64_t begun = now();
    const int64_t deadline = begun + plan_.microseconds;
    for (const std::unique_ptr<Connection>& connection : connections_)
      if (!send_batch(*connection)) return failure();

    int64_t time = now();
    while (outcome_.replies < plan_.requests && time < deadline) {
      epoll_event events[kEvents];
      const int timeout_ms = static_cast<int>(std::min<int64_t>((deadline - time) / 1000 + 1, 1000));
      const int count = ::epoll_wait(epoll_.number(), events, kEvents, timeout_ms);
      if (count < 0 && errno != EINTR) return failure();
      for (int i = 0; i < count; ++i) {
        Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
        if ((events[i].events & EPOLLOUT) && !send_rest(connection)) return failure();
        if ((events[i].events & ~uint32_t{EPOLLOUT}) && !receive(connection)) return failure();
      }
      time = now();
    }
    outcome_.microseconds = std::max<int64_t>(time - begun, 1);
    for (const std::unique_ptr<Connection>& connection : connections_) outcome_.errors += connection->skipper.errors();
    return std::move(outcome_);
  }

 private:
  int64_t now() { return clock_.now().mono_us; }

  std::string failure() const {
    return reason_.empty() ? "a connection failed: " + std::string(std::strerror(errno)) : reason_;
  }

  bool connect() {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.number() < 0) return false;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return false;
    const int yes = 1;
    if (::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0) return false;
    connections_.push_back(std::make_unique<Connection>(std::move(socket), plan_));
    return watch(*connections_.back(), EPOLL_CTL_ADD, EPOLLIN);
  }

  bool watch(Connection& connection, int operation, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &connection;
    return ::epoll_ctl(epoll_.number(), operation, connection.socket.number(), &event) == 0;
  }

  bool send_batch(Connection& connection) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(plan_.pipeline, requests_left_));
    if (count == 0) return true;
    requests_left_ -= count;
    connection.unsent = connection.requests.renew(numbers_, count);
    connection.expected = connection.skipper.replies() + count;
    connection.sent_us = now();
    if (!send_some(connection)) return false;
    return connection.unsent.empty() || watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  }

  bool send_rest(Connection& connection) {
    if (!send_some(connection)) return false;
    return !connection.unsent.empty() || watch(connection, EPOLL_CTL_MOD, EPOLLIN);
  }

  /// Sends what the kernel takes of the batch.
  bool send_some(Connection& connection) {
    while (!connection.unsent.empty()) {
      const ssize_t n = ::send(connection.socket.number(), connection.unsent.data(), connection.unsent.size(),
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      connection.unsent.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  bool receive(Connection& connection) {
    const ssize_t n = ::recv(connection.socket.number(), buffer_.get(), kReadBytes, MSG_DONTWAIT);
    if (n < 0) return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
    if (n == 0) return fail("the server closed a connection");
    const uint64_t before = connection.skipper.replies();
    if (!connection.skipper.feed({buffer_.get(), static_cast<size_t>(n)})) return fail("a reply is not RESP2");
    const uint64_t after = connection.skipper.replies();
    if (after > connection.expected) return fail("more replies came than requests were sent");
    const int64_t latency = now() - connection.sent_us;
    for (uint64_t i = before; i < after; ++i) outcome_.latencies.add(latency);
    outcome_.replies += after - before;
    return after < connection.expected || send_batch(connection);
  }

  bool fail(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  const Plan& plan_;
  SystemClock clock_;
  Descriptor epoll_;
  Numbers numbers_;
  std::unique_ptr<char[]> buffer_;
  std::vector<std::unique_ptr<Connection>> connections_;
  uint64_t requests_left_;  // not yet sent
  Outcome outcome_;
  std::string reason_;
};

}  // namespace

std::variant<Outcome, std::string> run(const Plan& plan) { return Run(plan).execute(); }

}  // namespace quartet::load
