// Where a spec runs: something that takes the bytes of clients and gives bytes back.
//
// The runner knows nothing else of a server. Over the wire the bytes travel on sockets and time passes by
// itself; in process they go straight into sessions of the server core, whose clock is advanced by hand.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "socket.h"

namespace quartet::test {

// One client's connection. Destroying it disconnects the client.
class Connection {
 public:
  virtual ~Connection() = default;

  // Gives the server the bytes. A connection that the server has closed swallows them.
  virtual void send(std::string_view bytes) = 0;

  // Appends what the server has sent to `out`. With nothing there, a backend on real time waits for it at
  // most `bound`; a backend on a manual clock, where nothing comes by itself, returns at once.
  virtual Received receive(std::string& out, std::chrono::milliseconds bound) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::unique_ptr<Connection> connect() = 0;

  // Returns when the server has dealt with all bytes sent so far (and closed connections), and has given
  // out every reply that they, and the time passed until now, allow. This makes "no reply yet" a fact and
  // not a matter of waiting long enough.
  virtual void settle() = 0;

  // Lets time pass for the server: really, or on its manual clock.
  virtual void advance(std::chrono::milliseconds time) = 0;

  // A case begins. On a manual clock time passes in between, so that what the server remembers of the moments before
  // (logins that failed) is over.
  virtual void begin_case() {}
};

}  // namespace quartet::test
