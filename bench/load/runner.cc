#include "bench/load/runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/load/memcached_skipper.h"
#include "bench/load/resp_skipper.h"
#include "bench/load/server_process.h"

namespace quartet::load {

namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr int kEvents = 256;
constexpr size_t kOtherDescriptors = 32;
constexpr int64_t kFirstReplySeconds = 10;

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

/// Makes room for so many descriptors, as far as the system allows it.
void reserve_descriptors(rlim_t wanted) {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  // Only a privileged process may raise the hard limit; the others get as far as it goes.
  const rlimit both{wanted, std::max(limit.rlim_max, wanted)};
  const rlimit soft{std::min(limit.rlim_max, wanted), limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &both) != 0) (void)::setrlimit(RLIMIT_NOFILE, &soft);
}

/// Readable once SIGTERM or SIGINT has come. Both are blocked, as signalfd needs it.
Descriptor termination() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC));
}

template <class Skipper>
struct Connection {
  Connection(Descriptor socket, const Plan& plan)
      : socket(std::move(socket)),
        requests(plan.command.words, plan.command.protocol, plan.keys, plan.value_size, plan.pipeline) {}

  Descriptor socket;
  RequestBuffer requests;
  Skipper skipper;
  std::string_view unsent;  // of the batch on its way
  uint64_t expected = 0;    // replies on this connection until the batch is answered
  int64_t sent_us = 0;
};

template <class Skipper>
class Run {
 public:
  explicit Run(const Plan& plan)
      : plan_(plan),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        termination_(load::termination()),
        numbers_(plan.keys, plan.sequential, plan.seed),
        buffer_(std::make_unique_for_overwrite<char[]>(kReadBytes)),
        requests_left_(plan.requests) {}

  std::variant<Outcome, std::string> execute() {
    if (!connect_all()) return "cannot connect: " + std::string(std::strerror(errno));
    if (!watch(nullptr, termination_, EPOLL_CTL_ADD, EPOLLIN) || !prepare()) return failure();

    const double cpu_before = cpu_us(plan_.server);
    const int64_t begun = now();
    const int64_t deadline = begun + plan_.microseconds;
    for (const auto& connection : connections_)
      if (!send_batch(*connection)) return failure();

    int64_t time = now();
    while (outcome_.replies < plan_.requests && time < deadline && !terminated_) {
      if (!turn(deadline - time)) return failure();
      time = now();
    }
    outcome_.microseconds = std::max<int64_t>(time - begun, 1);
    outcome_.server_cpu_us = cpu_us(plan_.server) - cpu_before;
    outcome_.server_rss_bytes = rss_bytes(plan_.server);
    for (const auto& connection : connections_) outcome_.errors += connection->skipper.errors();
    return std::move(outcome_);
  }

 private:
  int64_t now() { return clock_.now().mono_us; }

  std::string failure() const {
    return reason_.empty() ? "a connection failed: " + std::string(std::strerror(errno)) : reason_;
  }

  /// The idle ones go first: a server accepts in order, and so has accepted them when it answers any of the others.
  bool connect_all() {
    reserve_descriptors(plan_.connections + plan_.idle + kOtherDescriptors);
    for (size_t i = 0; i < plan_.idle + plan_.connections; ++i) {
      std::optional<Descriptor> socket = connect();
      if (!socket) return false;
      if (i < plan_.idle) {
        idle_.push_back(std::move(*socket));
        continue;
      }
      connections_.push_back(std::make_unique<Connection<Skipper>>(std::move(*socket), plan_));
      if (!watch(connections_.back().get(), connections_.back()->socket, EPOLL_CTL_ADD, EPOLLIN)) return false;
    }
    return true;
  }

  std::optional<Descriptor> connect() {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.number() < 0) return std::nullopt;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int yes = 1;
    if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0)
      return std::nullopt;
    return socket;
  }

  /// Sends what the case needs before it, and waits for the reply.
  bool prepare() {
    Connection<Skipper>& last = *connections_.back();
    RequestBuffer before(plan_.command.before, plan_.command.protocol, plan_.keys, plan_.value_size, 1);
    Numbers numbers(plan_.keys, plan_.sequential, plan_.seed);  // its own, so that it takes none of the load's
    last.unsent = before.renew(numbers, 1);
    if (!send_some(last)) return false;
    const timeval patience{kFirstReplySeconds, 0};
    ::setsockopt(last.socket.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (last.skipper.replies() == 0) {
      const ssize_t n = ::recv(last.socket.number(), buffer_.get(), kReadBytes, 0);
      if (n <= 0) return fail("the server does not answer");
      if (!last.skipper.feed({buffer_.get(), static_cast<size_t>(n)})) return fail(kOtherProtocol);
    }
    return true;
  }

  bool watch(Connection<Skipper>* connection, const Descriptor& descriptor, int operation, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    return ::epoll_ctl(epoll_.number(), operation, descriptor.number(), &event) == 0;
  }

  bool watch_writing(Connection<Skipper>& connection, bool writing) {
    return watch(&connection, connection.socket, EPOLL_CTL_MOD, writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  /// Waits for events, and deals with them.
  bool turn(int64_t patience_us) {
    epoll_event events[kEvents];
    const int timeout_ms = static_cast<int>(std::min<int64_t>(patience_us / 1000 + 1, 1000));
    const int count = ::epoll_wait(epoll_.number(), events, kEvents, timeout_ms);
    if (count < 0 && errno != EINTR) return false;
    for (int i = 0; i < count; ++i) {
      if (!events[i].data.ptr) {
        terminated_ = true;
        continue;
      }
      auto& connection = *static_cast<Connection<Skipper>*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) && !send_rest(connection)) return false;
      if ((events[i].events & ~uint32_t{EPOLLOUT}) && !receive(connection)) return false;
    }
    return true;
  }

  bool send_batch(Connection<Skipper>& connection) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(plan_.pipeline, requests_left_));
    if (count == 0) return true;
    requests_left_ -= count;
    connection.unsent = connection.requests.renew(numbers_, count);
    connection.expected = connection.skipper.replies() + count;
    connection.sent_us = now();
    if (!send_some(connection)) return false;
    return connection.unsent.empty() || watch_writing(connection, true);
  }

  bool send_rest(Connection<Skipper>& connection) {
    if (!send_some(connection)) return false;
    return !connection.unsent.empty() || watch_writing(connection, false);
  }

  /// Sends what the kernel takes of the batch.
  bool send_some(Connection<Skipper>& connection) {
    while (!connection.unsent.empty()) {
      const ssize_t n = ::send(connection.socket.number(), connection.unsent.data(), connection.unsent.size(),
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      connection.unsent.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  bool receive(Connection<Skipper>& connection) {
    const ssize_t n = ::recv(connection.socket.number(), buffer_.get(), kReadBytes, MSG_DONTWAIT);
    if (n < 0) return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
    if (n == 0) return fail("the server closed a connection");
    const uint64_t before = connection.skipper.replies();
    if (!connection.skipper.feed({buffer_.get(), static_cast<size_t>(n)})) return fail(kOtherProtocol);
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

  static constexpr const char* kOtherProtocol = "a reply is not of the protocol";

  const Plan& plan_;
  SystemClock clock_;
  Descriptor epoll_;
  Descriptor termination_;
  Numbers numbers_;
  std::unique_ptr<char[]> buffer_;
  std::vector<Descriptor> idle_;
  std::vector<std::unique_ptr<Connection<Skipper>>> connections_;
  uint64_t requests_left_;  // not yet sent
  Outcome outcome_;
  std::string reason_;
  bool terminated_ = false;
};

}  // namespace

std::variant<Outcome, std::string> run(const Plan& plan) {
  if (plan.command.protocol == Protocol::Memcached) return Run<MemcachedSkipper>(plan).execute();
  return Run<RespSkipper>(plan).execute();
}

}  // namespace quartet::load
