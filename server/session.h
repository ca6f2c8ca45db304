#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "protocol/output_buffer.h"
#include "protocol/reply.h"
#include "protocol/request_parser.h"
#include "server/command_table.h"
#include "server/input_buffer.h"
#include "server/user.h"

namespace quartet::server {

/// The socket below a session. The reactor implements it; tests have one of their own.
class Connection {
 public:
  virtual ~Connection() = default;
  /// There are bytes in the session's output buffer: send them before the loop waits again.
  virtual void flush_soon() = 0;
  /// Close the socket when what is in the output buffer has been sent (`flush`), or at once. The connection then calls
  /// Server::close_session, later and not from within this call.
  virtual void close_soon(bool flush) = 0;
  /// Input was paused (see Session::input_paused) and may go on.
  virtual void resume_input() = 0;
};

/// A command waiting in MULTI, with its own copy of the arguments.
struct QueuedCommand {
  const CommandEntry* command;
  std::vector<std::string> arguments;
};

struct Watch;             // transactions.h
struct BlockedCommand;    // blocking.h
struct MemcachedSession;  // memcached.h

/// Output buffer limits are set by class, and CLIENT KILL TYPE names them.
enum class ClientClass : uint8_t { Normal, Replica, PubSub };

enum class ReplyMode : uint8_t { On, Off, SkipNext, Skipping };

/// Why no further request of a session is executed (see Input::wait). In Keys and OwnSlices its last request is under way; with the
/// others the next one is still in its input, and asks again when the wait has ended.
enum class Wait : uint8_t {
  None,
  Keys,       ///< a blocking command waits for one of its keys (Blocking)
  OwnSlices,  ///< its command is executed in slices (LongCommands)
  Database,   ///< its database is locked by a command in slices, or there are too many of them
  Pause,      ///< CLIENT PAUSE, or the end of the server
  Snapshot,   ///< the snapshot has first to save a large value that the request would change
  Login,      ///< its address has sent many wrong passwords (LoginThrottle)
};
inline constexpr size_t kWaits = 7;

/// The state of one client between its commands. Scripts have a session of their own, without a connection.
struct Session {
  Session(uint64_t session_id, protocol::BlockPool& pool);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  const uint64_t id;
  Connection* connection = nullptr;  // null for scripts
  std::string address, local_address;  // "127.0.0.1:50000", "/path:0" for Unix sockets
  int descriptor = -1;                 // for CLIENT LIST
  bool unix_socket = false;
  bool loopback = true;

  protocol::OutputBuffer out;
  protocol::Reply reply;
  /// Where messages and confirmations of subscriptions are written. They reach also a client that wants no replies (CLIENT REPLY): while
  /// a command of such a one runs, they lie apart from its reply.
  protocol::Reply& pushes();
  /// The command has ended, and its reply has gone: what lies apart follows the output.
  void join_pushes();
  bool wants_replies() const { return reply_mode == ReplyMode::On || reply_mode == ReplyMode::SkipNext; }

  /// Replies that wait until the append-only file is durable up to a position, or a snapshot is there, with all that follows them:
  /// where each begins in the stream of all output, which rises, the position, and the ticket of the snapshot, 0 where it waits for none.
  struct Held {
    uint64_t begin;
    uint64_t position;
    uint64_t save;
  };
  std::vector<Held> held;
  uint64_t sent = 0;          // bytes of the stream of output
  size_t held_position = 0;   // in the server's list of those with held replies, while there are any
  /// How much of `out` may be sent now.
  size_t sendable() const { return held.empty() ? out.size() : static_cast<size_t>(held.front().begin - sent); }

  // Input: bytes of a request that is not finished, or that waits for a blocked command to end.
  InputBuffer input;
  bool executing = false;  // a command of it runs: its input must stay where it is
  bool batched = false;    // a short read of it waits to be executed with those of others
  protocol::RequestParser parser;
  /// Set where the client speaks memcached's protocol: its parser takes the place of `parser`.
  std::unique_ptr<MemcachedSession> memcached;
  /// How many bytes of unfinished input the parser has to see to get further, and a new beginning for it.
  size_t needed_input() const;
  void reset_parser();

  int database = 0;
  /// Counts as one of its database's clients (see Server::enter_database). Every connection begins in database 0, and that
  /// alone does not count.
  bool placed = false;
  /// Never null for long: whoever makes a session sets it. One that is removed from the ACL is replaced by Acl::nobody.
  const User* user = nullptr;
  bool authenticated = false;
  int64_t unauthenticated_since_us = 0;  // on the monotonic clock: from when on `handshake-timeout` counts
  std::string name, library_name, library_version;
  ReplyMode reply_mode = ReplyMode::On;
  bool silenced = false;  // a command of it runs whose reply it does not want
  struct PushesApart;
  std::unique_ptr<PushesApart> pushes_apart;

  /// How ClientEviction counts the session.
  struct Counted {
    static constexpr size_t kNone = SIZE_MAX;
    size_t bytes = 0;
    size_t bucket = kNone;
    size_t position = 0;  // in the bucket
    bool gone = false;    // about to be closed, whatever it holds
  };
  Counted counted;

  bool in_multi = false;
  bool multi_failed = false;  // an error while queueing: EXEC answers EXECABORT
  std::vector<QueuedCommand> queue;
  size_t queue_bytes = 0;   // of memory
  int queued_database = 0;  // where the next command behind those in the queue will run
  std::vector<std::unique_ptr<Watch>> watches;
  size_t watch_bytes = 0;  // of memory, about
  bool watch_touched = false;

  std::unordered_set<std::string> channels, patterns, shard_channels;
  size_t subscription_bytes = 0;  // of memory, about
  bool monitor = false;

  Wait wait = Wait::None;  // Input changes it
  int64_t waits_since_us = 0;  // on the monotonic clock, while it waits
  std::list<Session*>::iterator place_in_line;  // of those who wait for the same, where Input keeps one
  std::unique_ptr<BlockedCommand> blocked;  // with Wait::Keys
  bool login_due = false;    // has waited with Wait::Login: the request is executed now
  bool input_ended = false;  // the client says nothing more, and is heard to the end of what it has said
  bool no_evict = false;
  bool no_touch = false;
  bool closing = false;                // no further input is executed

  Time created;
  Time last_active;  // when its client was last heard, executed for, or sent something; a wait ends with it
  const CommandEntry* last_command = nullptr;
  uint64_t soft_limit_since_ms = 0;  // since when the output buffer has been over its soft limit; 0 = it is not

  size_t subscriptions() const { return channels.size() + patterns.size(); }
  bool subscribed() const { return subscriptions() + shard_channels.size() > 0; }
  ClientClass client_class() const { return subscribed() ? ClientClass::PubSub : ClientClass::Normal; }
  /// Whether a request is kept for EXEC, and not executed now.
  bool queues(const CommandEntry& command) const { return in_multi && !(command.flags & kRunsInMulti); }
  /// The database in which a request will run: that of the connection, or where the commands before it in the queue lead.
  int database_of(const CommandEntry& command) const { return queues(command) && !queue.empty() ? queued_database : database; }
  /// While true, input is kept and not executed.
  bool input_paused() const { return wait != Wait::None || closing; }
  /// Input is kept that will be executed without anything that other clients would have to do.
  bool waits_its_turn() const { return wait != Wait::None && wait != Wait::Keys; }
};

}  // namespace quartet::server
