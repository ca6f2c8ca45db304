#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "oracle.h"
#include "requests.h"
#include "server/server.h"

namespace quartet::test {

class Simulation;

/// A client, its connection in the operating system, and the server's side of it, which does what net::Connection does.
class Peer final : public server::Connection {
 public:
  Peer(Simulation& simulation, int port, std::optional<int> memcached);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() override;

  // --- The client

  void send(Request request);
  enum class End { None, Orderly, Reset };
  /// Says nothing more, or is gone.
  void end(End how) { if (end_ == End::None) end_ = how; }
  bool ended() const { return end_ != End::None; }
  /// Takes so many bytes more.
  void read(size_t bytes);

  // --- The server's side

  bool ready() const { return (unread() > 0 || end_ != End::None) && receptive(); }
  bool receptive() const;
  /// Reads at most so many bytes.
  void receive(size_t most);
  void flush();
  void settle();
  bool closing() const { return closing_ != Closing::No; }
  /// Bytes that are on their way to the server.
  size_t unread() const { return wire_.size() - wire_at_; }

  // server::Connection
  void flush_soon() override;
  void close_soon(bool flush) override;
  void resume_input() override { update_reading(); }

  // --- What the oracle needs

  /// What the server has said to the client since what the twin has said.
  std::string tail() const;
  /// Whether one more request may be executed.
  bool may_execute();

  /// Where the client is being disconnected, the twin is one of those whom CLIENT KILL passes over as well. What has
  /// been executed has to have been replayed.
  void end_twin();

  // --- Keyspace events of a command in slices

  /// The client is told of them as they happen, its twin when the command has ended: from here on the twin was told of
  /// those that the client was told of.
  void hear_early();
  /// The command, which may be its own, has ended, and the twin was told of all of its events now, after its first
  /// `before` bytes ever.
  void heard_all(uint64_t before, bool own);

  server::Session* session = nullptr;
  std::unique_ptr<Oracle::Twin> twin;
  const std::optional<int> memcached;
  std::deque<Request> requests;  // sent and not executed
  bool loose = false;            // its replies are not compared any more
  bool local_queued = false;     // its transaction holds a request of which only the simulated server knows the reply
  bool listed = false;           // to be settled
  bool acted_in_slices = false;  // it has said something while a command was in slices, and may hear of other events
  uint64_t id = 0;

 private:
  enum class Closing { No, AfterFlush, Now };

  void ended_by_client(bool orderly);
  void update_reading();
  void compare(std::string_view bytes);
  void explain_end();
  std::string unheard_events() const;

  Simulation& simulation_;
  std::string wire_;
  size_t wire_at_ = 0;
  End end_ = End::None;
  size_t window_ = SIZE_MAX;  // what the connection still takes of what is said to the client
  bool write_blocked_ = false;
  bool reading_ = true;
  Closing closing_ = Closing::No;
  bool executing_at_close_ = false;
  bool end_explained_ = false;
  bool twin_ended_ = false;  // by end_twin
  std::string early_;  // what the twin was told by hear_early
};

}  // namespace quartet::test
