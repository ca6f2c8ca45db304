#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

#include <list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "server/net/address_counts.h"
#include "server/net/listener.h"
#include "server/net/tls_stream.h"

namespace quartet::net {

class Reactor;

/// A connection that was accepted and is to become a session.
struct Arriving {
  int descriptor;
  Endpoint endpoint;  // what it came by
  sockaddr_storage peer;
  AddressCounts::Place place;
};

/// The connections whose TLS handshake is not done. They are no sessions yet: one that says nothing holds no more than its socket, and
/// one that has begun OpenSSL's state, for `handshake-timeout` seconds.
///
/// Handshakes cost much, up to a millisecond each, so they are done in slices, in the order in which something came for them.
/// While one waits for its turn its socket is not polled.
class Handshakes {
 public:
  explicit Handshakes(Reactor& reactor) : reactor_(reactor) {}
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  void begin(uv_loop_t* loop, Arriving arriving);
  /// Those that are under way.
  size_t size() const { return all_.size(); }
  /// Whether run() has something to do.
  bool ready() const { return !ready_.empty(); }
  /// Goes on with those that can, for a slice of time. What is done goes to Reactor::open_connection. REQUIRES: ready().
  void run();
  /// Closes those that take longer than `timeout` seconds, some at a time; 0: none.
  void expire(const Time& now, int64_t timeout);
  /// Closes all.
  void clear();

  /// For who polls without the loop: appends what is to be polled, and makes ready what was found so. REQUIRES: no other call between.
  void append_polled(std::vector<pollfd>& polled) const;
  void polled(std::span<const pollfd> results);

 private:
  struct Handshake {
    Handshakes& owner;
    Arriving arriving;
    int64_t begun_us;
    std::unique_ptr<TlsStream> stream = nullptr;  // once something has come
    int events = UV_READABLE;                     // what it waits for, unless it is ready
    bool ready = false;
    std::list<Handshake*>::iterator position = {}, ready_position = {};
    uv_poll_t poll = {};
  };

  void wait(Handshake& handshake, int events);
  void make_ready(Handshake& handshake);
  void step(Handshake& handshake);
  void give_up(Handshake& handshake, std::string_view reason);
  /// Frees it; the socket remains.
  void end(Handshake& handshake);
  /// Closes the socket as well.
  void close(Handshake& handshake);

  Reactor& reactor_;
  std::list<Handshake*> all_;    // in the order in which they began
  std::list<Handshake*> ready_;  // those that something came for, in that order
};

}  // namespace quartet::net
