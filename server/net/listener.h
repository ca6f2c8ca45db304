#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/config.h"

namespace quartet::net {

class Reactor;

/// One address to listen on.
struct Endpoint {
  std::string host;  // an address or a name, or the path of a Unix socket
  int port = 0;      // 0 for Unix sockets
  bool unix_socket = false;
  bool optional = false;  // it may be missing on this machine
  bool tls = false;
  std::optional<int> memcached = {};  // speaks memcached's protocol, in this database

  /// "127.0.0.1:6379", "[::1]:6379 (TLS)", or the path; "127.0.0.1:11211 (memcached, database 1)".
  std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

/// What the settings `bind`, `port`, `tls-port` and `unixsocket`, and those of the databases for memcached's protocol, ask for.
std::vector<Endpoint> wanted_endpoints(const server::Config& config);

/// A listening socket. It hands every connection it accepts to the reactor.
class Listener {
 public:
  struct Closer {
    void operator()(Listener* listener) const { listener->close(); }
  };
  using Pointer = std::unique_ptr<Listener, Closer>;

  /// Binds and listens. Null with `error` set where that fails; null with `error` empty where the endpoint is optional
  /// and this machine does not have the address.
  static Pointer open(Reactor& reactor, uv_loop_t* loop, const Endpoint& endpoint, const server::Config& config,
                      std::string& error);

  const Endpoint& endpoint() const { return endpoint_; }
  int descriptor() const { return descriptor_; }

  /// Accepts what waits, up to a bound; the rest comes in the next turn of the loop.
  void accept();
  /// While paused, connections wait in the kernel's queue.
  void pause();
  void resume();

 private:
  Listener(Reactor& reactor, Endpoint endpoint) : reactor_(reactor), endpoint_(std::move(endpoint)) {}
  ~Listener() = default;
  /// Closes the socket at once; the object lives until the loop has let go of its handle.
  void close();

  Reactor& reactor_;
  const Endpoint endpoint_;
  int descriptor_ = -1;
  uv_poll_t poll_{};
};

/// A socket's address as CLIENT LIST shows it: "127.0.0.1:50000", "[::1]:50000".
std::string format_address(const sockaddr_storage& address);
bool is_loopback(const sockaddr_storage& address);

}  // namespace quartet::net
