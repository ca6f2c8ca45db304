#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "late_background.h"
#include "oracle.h"
#include "peer.h"
#include "requests.h"
#include "server/observer.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

/// One seeded history of many clients of one server, turn by turn of a loop that does what net::Reactor does.
///
/// The server says which request it has executed (server::Observer), and the oracle executes the same one. What each
/// client is told has to be what its twin is told, byte by byte; the databases have to hold the same; no request is
/// executed with the clock of an earlier turn, nor for a client that is being disconnected; and whoever is left alone
/// long enough is answered, unless it waits for a key that holds nothing.
class Simulation final : public server::Host, private server::Observer {
 public:
  Simulation(uint64_t seed, bool verbose);
  ~Simulation() override;

  /// What was violated, or nothing.
  std::string run(uint64_t turns);

  /// What was met, for a summary of all runs: a simulation that does not meet something does not prove it.
  struct Counts {
    uint64_t turns = 0, clients = 0, requests = 0;
    // What clients met: waits that a key ended, and that something else did; looks at one that waits for CLIENT PAUSE,
    // a database in slices, a snapshot or the login throttle, and at one with replies that wait for the disk.
    uint64_t served = 0, unserved = 0, paused = 0, locked = 0, snapshots = 0, logins = 0, held = 0;
    uint64_t busy = 0, killed_scripts = 0, disconnected = 0, late = 0;
    Counts& operator+=(const Counts& other);
    std::string text() const;
  };
  const Counts& counts() const { return counts_; }

  // --- For peers

  server::Server& server() { return core_->server; }
  Oracle& oracle() { return *oracle_; }
  const SimulatedClock& clock() const { return clock_; }
  bool running() const { return running_; }
  /// Whether a command is in slices that may have told of its keyspace events, while it has not ended.
  bool events_are_early();
  void demand(bool holds, const std::string& what) {
    if (!holds && problem_.empty()) problem_ = what;
  }
  void settle_later(Peer& peer);
  void destroy(Peer& peer);
  /// Takes the twin of a client that is going away, where its request is still to be executed.
  bool keep_twin(Peer& peer);

 private:
  struct Core {
    Core(Simulation& of);
    Log log;
    server::ConfigStore config;
    std::optional<std::string> config_error;
    LateBackground background;
    server::Server server;
  };
  /// A client that went away while its request was in slices.
  struct Gone {
    int database;
    Request request;
    std::unique_ptr<Oracle::Twin> twin;  // of memcached's protocol
  };

  // server::Host
  void stop(int) override { demand(false, "the server ends"); }
  void poll_input() override;
  // server::Observer
  void executed(server::Session& session, const Time& now) override;

  bool chance(uint64_t in_1000) { return random_.below(1000) < in_1000; }
  bool failed() const { return !problem_.empty(); }
  void choose_settings();
  void connect();
  void act();
  void act(Peer& peer);
  void turn();
  void pass();
  /// Everything that is the server's happens within this.
  template <class Work>
  void in_server(Work work);
  void read_some();
  void settle();
  void count_waits();
  void come_to_rest();
  bool at_rest();
  void check_waiting(Peer& peer);
  void compare_contents();

  void replay_executed(server::Session& session, const Time& now);
  void replay(Peer& peer, const Request& request, bool waited, const Time& now);
  bool replay_busy(Peer& peer, const std::string& tail);
  void replay_unserved(Peer& peer, const std::string& tail, bool replies);
  static std::string with_one_key(const Request& request, const std::string& tail);

  const bool verbose_;
  Random random_;
  Requests requests_;
  SimulatedClock clock_;
  SimulatedDisk disk_;
  std::vector<std::string> shared_arguments_, arguments_;
  size_t most_clients_ = 2;
  bool acting_ = true;
  uint64_t eagerness_ = 300;  // of clients to say something in a turn, in 1000
  std::unique_ptr<Oracle> oracle_;
  std::unique_ptr<Core> core_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::map<uint64_t, Peer*> by_id_;
  std::map<uint64_t, Gone> gone_;
  std::vector<Peer*> turn_list_;
  bool running_ = false;
  bool nested_ = false;
  bool in_server_ = false;
  int64_t turn_began_us_ = 0;  // on the monotonic clock: what is executed now is executed after that
  int64_t next_tick_us_ = 0;
  int ports_ = 0;
  uint64_t busy_requests_ = 0;  // sent and not executed
  std::string problem_;
  Counts counts_;
};

}  // namespace quartet::test
