#include "server/net/listener.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>

#include "server/net/reactor.h"

namespace quartet::net {

namespace {

/// Connections accepted in one turn of the loop, about a millisecond, so that a storm of them does not keep the others waiting.
constexpr int kAcceptsPerTurn = 64;

/// The address does not exist here: `-` in front of it says that this is no reason to fail.
bool address_missing(int error) { return error == EADDRNOTAVAIL; }
/// The machine has no such protocol (no IPv6): the address is passed over even without `-`, as in Redis.
bool protocol_missing(int error) { return error == EAFNOSUPPORT || error == EPROTONOSUPPORT; }

int new_socket(int family) { return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

/// Closes `descriptor` without losing the errno of what failed on it.
int fail(int descriptor) {
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

/// A listening TCP socket, or -1 with errno set.
int listen_tcp(const addrinfo& address, int backlog) {
  const int descriptor = new_socket(address.ai_family);
  if (descriptor < 0) return -1;
  const int on = 1;
  // A restarted server takes its port again although connections of the last one linger in TIME_WAIT.
  if (::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return fail(descriptor);
  // `*` and `::*` are two sockets, so the second must not claim IPv4 too.
  if (address.ai_family == AF_INET6 && ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
    return fail(descriptor);
  if (::bind(descriptor, address.ai_addr, address.ai_addrlen) != 0) return fail(descriptor);
  if (::listen(descriptor, backlog) != 0) return fail(descriptor);
  return descriptor;
}

/// Tries the addresses of the endpoint's host until one works. -1 with `reason` set, and errno that of the last try.
int open_tcp(const Endpoint& endpoint, int backlog, std::string& reason) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const char* host = endpoint.host.c_str();
  if (endpoint.host == "*") {
    hints.ai_family = AF_INET;
    host = nullptr;
  } else if (endpoint.host == "::*") {
    hints.ai_family = AF_INET6;
    host = nullptr;
  }
  addrinfo* addresses = nullptr;
  const int failure = ::getaddrinfo(host, std::to_string(endpoint.port).c_str(), &hints, &addresses);
  if (failure != 0) {
    errno = failure == EAI_ADDRFAMILY ? EAFNOSUPPORT : EINVAL;
    reason = ::gai_strerror(failure);
    return -1;
  }
  int descriptor = -1;
  for (const addrinfo* address = addresses; address && descriptor < 0; address = address->ai_next)
    descriptor = listen_tcp(*address, backlog);
  const int error = errno;
  ::freeaddrinfo(addresses);
  errno = error;
  if (descriptor < 0) reason = std::strerror(error);
  return descriptor;
}

/// Whether a server answers at the socket's path; if none does, the file is what a crashed one has left.
bool socket_in_use(const sockaddr_un& address) {
  const int probe = new_socket(AF_UNIX);
  if (probe < 0) return true;
  const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const bool in_use = connected || errno == EAGAIN;
  ::close(probe);
  return in_use;
}

int open_unix(const Endpoint& endpoint, int backlog, int permissions, std::string& reason) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.host.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    reason = std::strerror(errno);
    return -1;
  }
  std::memcpy(address.sun_path, endpoint.host.data(), endpoint.host.size());
  struct stat status;
  if (::lstat(address.sun_path, &status) == 0 && S_ISSOCK(status.st_mode) && !socket_in_use(address))
    ::unlink(address.sun_path);

  int descriptor = new_socket(AF_UNIX);
  if (descriptor >= 0 && ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    descriptor = fail(descriptor);
  // Permissions are set before listen, so that nobody connects under those of the umask.
  if (descriptor >= 0 && permissions != 0 && ::chmod(address.sun_path, static_cast<mode_t>(permissions)) != 0)
    descriptor = fail(descriptor);
  if (descriptor >= 0 && ::listen(descriptor, backlog) != 0) descriptor = fail(descriptor);
  if (descriptor < 0) reason = std::strerror(errno);
  return descriptor;
}

}  // namespace

std::string Endpoint::text() const {
  std::string text = host;
  if (!unix_socket)
    text = host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
  if (tls) text += " (TLS)";
  if (memcached) text += fmt::format(" (memcached, database {})", *memcached);
  return text;
}

namespace {

/// Adds the addresses and the Unix socket that settings name, each as a listener of the given kind.
void add_endpoints(const std::vector<std::string>& addresses, int64_t port, const std::string& path, const Endpoint& kind,
                   std::vector<Endpoint>& endpoints) {
  Endpoint endpoint = kind;
  if (port != 0) {
    endpoint.port = static_cast<int>(port);
    for (const std::string& name : addresses) {
      if (name.empty()) continue;
      endpoint.optional = name.front() == '-';
      endpoint.host = name.substr(endpoint.optional);
      endpoints.push_back(endpoint);
    }
  }
  if (path.empty()) return;
  endpoint = kind;
  endpoint.host = path;
  endpoint.unix_socket = true;
  endpoints.push_back(std::move(endpoint));
}

}  // namespace

std::vector<Endpoint> wanted_endpoints(const server::Config& config) {
  std::vector<Endpoint> endpoints;
  add_endpoints(config.bind, config.port, config.unixsocket, {}, endpoints);
  add_endpoints(config.bind, config.tls_port, {}, {.tls = true}, endpoints);
  for (size_t i = 0; i < config.database.size(); ++i) {
    const server::DatabaseConfig& database = config.database[i];
    add_endpoints(database.memcached_bind, database.memcached_port, database.memcached_unixsocket,
                  {.memcached = static_cast<int>(i)}, endpoints);
  }
  return endpoints;
}

Listener::Pointer Listener::open(Reactor& reactor, uv_loop_t* loop, const Endpoint& endpoint,
                                 const server::Config& config, std::string& error) {
  const int backlog = static_cast<int>(config.tcp_backlog);
  std::string reason;
  const int descriptor = endpoint.unix_socket
                             ? open_unix(endpoint, backlog, static_cast<int>(config.unixsocketperm), reason)
                             : open_tcp(endpoint, backlog, reason);
  if (descriptor < 0) {
    const bool passed_over = protocol_missing(errno) || (endpoint.optional && address_missing(errno));
    if (!passed_over) error = fmt::format("cannot listen on {}: {}", endpoint.text(), reason);
    return nullptr;
  }
  Pointer listener(new Listener(reactor, endpoint));
  listener->descriptor_ = descriptor;
  listener->poll_.data = listener.get();
  const int status = uv_poll_init(loop, &listener->poll_, descriptor);
  assert(status == 0 && "a fresh listening socket can be polled");
  (void)status;
  listener->resume();
  return listener;
}

void Listener::accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int descriptor =
        ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      reactor_.accepted(*this, descriptor, peer);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return reactor_.accept_failed(errno);
    // Anything else concerns the one connection that went away before it was accepted (accept(2)).
  }
}

void Listener::pause() { uv_poll_stop(&poll_); }

void Listener::resume() {
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<Listener*>(poll->data)->accept(); });
}

void Listener::close() {
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
  ::close(descriptor_);
  if (endpoint_.unix_socket) ::unlink(endpoint_.host.c_str());
}

std::string format_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  return fmt::format("{}:{}", text, ntohs(v4.sin_port));
}

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  return address.ss_family == AF_INET &&
         ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

}  // namespace quartet::net
