#pragma once

#include <poll.h>
#include <uv.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/log_throttle.h"
#include "server/config.h"
#include "server/net/connection.h"
#include "server/net/handshakes.h"
#include "server/net/listener.h"
#include "server/net/signals.h"
#include "server/net/tls_context.h"
#include "server/net/worker.h"
#include "server/server.h"

namespace quartet::net {

/// Connections that have something to do before the loop waits: each at most once, in the order they came.
class TurnList {
 public:
  void add(Connection& connection) {
    if (connection.turn_position != Connection::kNotListed) return;
    connection.turn_position = connections_.size();
    connections_.push_back(&connection);
  }
  void remove(Connection& connection) {
    if (connection.turn_position == Connection::kNotListed) return;
    connections_[connection.turn_position] = nullptr;
    connection.turn_position = Connection::kNotListed;
  }
  /// Takes the first one out; null where there is none.
  Connection* next();
  bool empty() const { return connections_.empty(); }

 private:
  std::vector<Connection*> connections_;  // null where one was removed
  size_t first_ = 0;
};

/// The event loop of the process: sockets, timers, signals and the thread pool around one Server.
///
/// What a turn of the loop does: due timers, then end_turn (waiting commands whose time is over, then one write for every
/// session that has output), then it waits for sockets and reads them, then goes on with TLS handshakes for a slice of time, and then
/// executes what the sockets brought, as far as that has not been done while reading.
///
/// Life: construct, construct the Server with this as its Background and Host, listen(), serve(), destroy the Server,
/// destroy this.
class Reactor final : public server::Background, public server::Host {
 public:
  Reactor(Log& log, server::ConfigStore& config);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  ~Reactor() override;

  /// Opens the listeners that the settings ask for. On failure one line that says what is wrong; nothing listens then.
  [[nodiscard]] std::optional<std::string> listen(server::Server& server);
  /// Turns the loop until stop() and returns its status. All connections are closed and all background work is done then.
  int serve();
  /// Whether serve has returned without an end of what other threads do: the process has to end at once, with std::_Exit.
  bool abandoned() const { return abandoned_; }
  /// The addresses listened on, for the log.
  std::string endpoints() const;

  // server::Background: work that comes after the loop has ended is done at once.
  void run(std::function<void()> work, std::function<void()> done) override;
  void run_ahead(std::function<void()> work, std::function<void()> done) override {
    worker_.run(std::move(work), std::move(done));
  }

  // server::Host
  void stop(int status) override;
  void end(int status) override;
  void ready() override;
  /// Where it fails, listeners that are not wanted any more are closed all the same: the settings are put back then, and with
  /// them, by a second call, the listeners.
  std::optional<server::ConfigFault> rebind() override;
  /// One pass over signals and all sockets without waiting and without the loop, which cannot be turned from within itself. Clients are read,
  /// executed and answered, new ones accepted; the session whose command is running is left out, and none is destroyed.
  /// The cost grows with the number of connections (about 0.1 ms for a thousand).
  void poll_input() override;

  // --- For listeners and connections ------------------------------------------------------------------------------

  server::Server& server() { return *server_; }
  bool stopping() const { return stopping_; }
  /// Within poll_input: commands of other sessions are on the stack.
  bool nested() const { return nested_; }
  TurnList& turn_list() { return turn_list_; }

  void accepted(const Listener& listener, int descriptor, const sockaddr_storage& peer);
  /// Makes a session of what was accepted and, under TLS, has ended its handshake.
  void open_connection(Arriving arriving, std::unique_ptr<TlsStream> tls);
  void handshake_failed(const sockaddr_storage& peer, std::string_view reason);
  /// What new TLS connections are made of; null where `tls-port` is 0.
  const std::shared_ptr<const TlsContext>& tls_context() const { return tls_context_; }
  /// The process or the machine is out of descriptors or memory: accepting pauses for a moment.
  void accept_failed(int error);
  /// The connection is being destroyed.
  void forget(Connection& connection);

 private:
  /// Where it fails, the error, and in `failed`, if given, for what.
  std::optional<std::string> open_listeners(Endpoint* failed = nullptr);
  void read_signals();
  void on_signal(int number);
  void shut_server_down();
  void tick();
  /// Runs what the loop calls. Where memory runs out in it outside of any command, that is logged, and the loop goes on.
  template <class Work>
  void guard(Work work) noexcept;
  void failed_for_memory() noexcept;
  void end_turn();
  void settle();
  void arm_wake_timer();
  void shut_down();
  std::optional<server::ConfigFault> check_maxclients(const std::vector<std::string_view>& changed);
  std::optional<server::ConfigFault> configure_tls(const std::vector<std::string_view>& changed);
  /// Reads certificates and keys, for the connections that come from now on. Where that fails nothing changes, and the text says why.
  std::optional<std::string> load_tls();
  /// Why one more connection is not let in, as it is told; empty where it is.
  std::string_view refusal(const AddressCounts::Place& place, const sockaddr_storage& peer) const;

  Log& log_;
  LogThrottle about_memory_;
  server::ConfigStore& config_;
  server::Server* server_ = nullptr;

  uv_loop_t loop_;
  uv_prepare_t prepare_;
  uv_check_t check_;
  uv_idle_t idle_;
  uv_timer_t tick_timer_;    // for Server::tick
  uv_idle_t tick_at_once_;   // the same in each turn, while it has work that does not wait
  uv_timer_t wake_timer_;    // ends the wait of the loop when a command's time is over
  uv_timer_t accept_timer_;  // ends a pause of accepting
  Signals signals_;
  uv_poll_t signal_poll_;
  Worker worker_;

  std::vector<Listener::Pointer> listeners_;
  AddressCounts address_counts_;
  std::shared_ptr<const TlsContext> tls_context_;
  Handshakes handshakes_{*this};
  LogThrottle about_handshakes_;
  std::vector<Connection*> connections_;
  TurnList turn_list_;
  std::vector<Connection*> closing_later_;  // within settle
  std::vector<pollfd> polled_;  // reused by poll_input

  bool accept_failing_ = false;  // so that the log is told once, not ten times a second
  bool nested_ = false;
  bool abandoned_ = false;      // see abandoned()
  bool terminating_ = false;    // a signal has said so; within a command the stop comes when it has ended
  bool shutting_down_ = false;  // and that has been passed on
  bool stopping_ = false;
  bool closed_ = false;  // the loop has ended for good
  int status_ = 0;
};

}  // namespace quartet::net
