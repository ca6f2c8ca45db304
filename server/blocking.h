#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/context.h"

namespace quartet::server {

/// A command that waits for one of its keys.
struct BlockedCommand {
  const CommandEntry* command;
  std::vector<std::string> arguments;
  std::vector<std::string> keys;
  int database;
  Context::Serve serve;
  Context::Unserved unserved;
  int64_t deadline_us;         // on the monotonic clock; 0: none
  Time since;

  /// Where the session stands in the queue of each key; Blocking keeps it.
  using Queues = std::map<std::pair<int, std::string>, std::list<Session*>, std::less<>>;
  struct Place {
    Queues::iterator queue;
    std::list<Session*>::iterator position;
  };
  std::vector<Place> places = {};

  /// Bytes of the arguments, and of what is held for the command with its places in the queues, about; counted once, by Blocking.
  size_t argument_bytes = 0;
  size_t memory = 0;
};

/// Who waits for which key, and which keys became ready. Keys are served in the order they became ready, the clients of
/// a key in the order they came.
class Blocking {
 public:
  explicit Blocking(Server& server) : server_(server) {}

  void block(Session& session, BlockedCommand command);
  /// Takes the session out of all queues; it is not answered. Within serve() that is done when it ends: it passes over who is `closing`.
  void forget(Session& session);
  /// Ends the wait of a session as if its time were over; with `error`, by that error. It may go on.
  void unblock(Session& session, std::string_view error = {});
  /// The number of sessions that wait.
  size_t size() const { return waiting_; }

  /// A key was changed: if somebody waits for it, it is looked at by the next serve().
  void key_changed(int database, std::string_view key) {
    if (waiting_) mark(database, key);
  }
  /// Two databases were exchanged: every key that somebody waits for in one of them may be ready.
  void databases_swapped(int a, int b);
  /// Serves waiting clients from the keys that have become ready. Called when a command, a transaction or a script has ended.
  void serve();
  bool ready() const { return !ready_.empty(); }

  /// Answers those whose time is over.
  void expire(const Time& now);
  /// The next deadline on the monotonic clock, in microseconds; 0 where there is none.
  int64_t next_deadline_us() const { return deadlines_.empty() ? 0 : deadlines_.begin()->first; }

 private:
  using Key = std::pair<int, std::string>;
  void mark(int database, std::string_view key);
  void serve_key(const Key& key);
  void leave(Session& session);

  Server& server_;
  size_t waiting_ = 0;
  BlockedCommand::Queues queues_;
  // Serving a client can make the server close the connection of another one that waits, or its own, as that of a subscriber to
  // keyspace notifications who does not read. The command of such a one is kept, and its place in the queues, until serve() ends.
  bool serving_ = false;
  std::vector<Session*> leaving_;
  std::deque<Key> ready_;
  std::set<Key> ready_set_;
  std::set<std::pair<int64_t, uint64_t>> deadlines_;  // deadline, session id
};

}  // namespace quartet::server
