#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_throttle.h"
#include "base/random.h"
#include "persistence/feed.h"
#include "persistence/snapshot.h"
#include "server/acl.h"
#include "server/blocking.h"
#include "server/client_eviction.h"
#include "server/command_table.h"
#include "server/config.h"
#include "server/context.h"
#include "server/durability.h"
#include "server/input.h"
#include "server/login_throttle.h"
#include "server/long_commands.h"
#include "server/memcached.h"
#include "server/memory_limit.h"
#include "server/observer.h"
#include "server/pubsub.h"
#include "server/queue_survey.h"
#include "server/session.h"
#include "server/slowlog.h"
#include "server/statistics.h"
#include "server/transactions.h"
#include "storage/keyspace.h"
#include "storage/thresholds.h"

namespace quartet::server {

class Scripting;

/// Work that is done on another thread, of whose end the loop hears. The reactor implements it with libuv's pool, tests at once.
class Background {
 public:
  virtual ~Background() = default;
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
  /// The same for short work that clients wait for: it begins at once, behind nothing but what was given to this function before.
  virtual void run_ahead(std::function<void()> work, std::function<void()> done) { run(std::move(work), std::move(done)); }
};

/// What the server asks of the process around it.
class Host {
 public:
  virtual ~Host() = default;
  /// Leave the loop; the process ends with this status.
  virtual void stop(int status) = 0;
  /// The same at once: what other threads do may never end, because a disk does not answer.
  virtual void end(int status) { stop(status); }
  /// The data of an earlier process, if there is any, has been loaded.
  virtual void ready() {}
  /// Binds the listeners anew after `port`, `bind` or `unixsocket`, or their likes of a database, changed; says where that fails.
  virtual std::optional<ConfigFault> rebind() { return {}; }
  /// Looks for signals and for input of other clients while a script runs long, so that SCRIPT KILL and SHUTDOWN can reach the server.
  virtual void poll_input() {}
};

/// The server below the sockets: databases, sessions, dispatch. Bytes come in by `received`, replies go out through each
/// session's output buffer, time comes from the clock; nothing here waits. It is one thread's.
class Server final : public storage::KeyspaceObserver {
 public:
  Server(Clock& clock, Log& log, ConfigStore& config, persistence::Disk& disk, Background& background, Host& host,
         std::span<const std::span<const Command>> families);
  ~Server() override;

  // --- For the reactor --------------------------------------------------------------------------------------------

  /// A new connection; null where `maxclients` is reached or protected mode refuses it, and then `refusal` is what to write before
  /// closing. The session lives until close_session. Where `memcached` is set, the client speaks memcached's protocol, in the
  /// database of this index.
  Session* open_session(Connection& connection, std::string address, std::string local_address, int descriptor,
                        bool unix_socket, bool loopback, std::string_view& refusal, std::optional<int> memcached = {});
  static constexpr std::string_view kMaxClientsReached = "-ERR max number of clients reached\r\n";
  /// The connection is gone. The session is destroyed.
  void close_session(Session& session);

  /// What sockets bring goes there.
  Input input;
  /// Memory has run out in taking in what the client says: it is disconnected.
  void fail_input(Session& session) noexcept;
  /// `n` bytes of the session's output were written to the socket.
  void sent(Session& session, size_t n) {
    session.out.consume(n);
    session.sent += n;
    session.last_active = clock.now();
    stats.net_output_bytes += n;
    stats.database(session.database).net_output_bytes += n;
    ++stats.writes_processed;
    if (session.memcached) session.memcached->service.stats.bytes_written += n;
    client_eviction.update(session);
  }

  /// At the end of each turn, before its replies are sent. True where the loop must not sleep.
  bool end_turn() { return durability.end_turn(); }
  /// Behind that, when the replies have been sent: some work of the commands that take long. True where the loop must not sleep.
  bool slice() { return long_commands.slice(); }
  /// The work of each moment: expiry, timeouts, statistics. Returns in how many ms it wants to be called again at the latest.
  int64_t tick();
  /// The time until a blocked command or a pause ends, in ms; -1 where nothing waits. Looked at before the loop waits.
  int64_t next_timeout_ms() const;
  /// Ends what is due: blocked commands, pauses.
  void run_timeouts();
  /// Leaves the loop; nothing is executed any more.
  void stop(int status) {
    stopping_ = true;
    host.stop(status);
  }
  /// Leaves it as soon as everything that is to be on disk is there; meanwhile clients wait. Where that fails the server goes
  /// on, and `failed` is called.
  void shut_down(Durability::Save save, bool force, std::function<void()> failed);
  /// The same for who cannot be answered (SIGTERM): it ends within `shutdown-timeout`, with status 1 where something is missing on
  /// disk that is to be there, which the log then names.
  /// `aborted` is called where SHUTDOWN ABORT takes it back.
  void terminate(std::function<void()> aborted);

  // --- For handlers -----------------------------------------------------------------------------------------------

  Clock& clock;
  Log& log;
  ConfigStore& config_store;
  const Config& config;
  Background& background;
  Host& host;
  CommandTable commands;
  Acl acl;
  Random random;
  Statistics stats;
  PubSub pubsub;
  Watches watches;
  Blocking blocking;
  SlowLog slowlog;
  LatencyMonitor latency;
  QueueSurvey queues;
  persistence::Feed feed;
  Durability durability;
  LongCommands long_commands;
  MemoryLimit memory_limit;
  ClientEviction client_eviction;
  std::unique_ptr<Scripting> scripting;
  /// Null where nobody wants to hear of requests.
  Observer* observer = nullptr;
  const Time started;
  const std::string run_id;  // 40 hex digits

  std::vector<std::unique_ptr<storage::Keyspace>> databases;
  storage::Keyspace& database(int index) { return *databases[static_cast<size_t>(index)]; }
  /// A database by number or name, as find_database has it; -1 where there is none.
  int database_index(std::string_view text) const;
  /// The name of a database, its number where it has none.
  std::string database_name(int index) const;

  /// Lets a session work in a database and makes it one of its clients; false where that would be more than its `maxclients`, and
  /// then the session stays where it is. Scripts are part of their client and do not count.
  [[nodiscard]] bool enter_database(Session& session, int index);
  /// The session is in database 0 as if it had just connected, and no client of any.
  void leave_database(Session& session);
  /// The error where enter_database refuses.
  std::string full_error(int index) const;

  const std::map<uint64_t, std::unique_ptr<Session>>& sessions() const { return sessions_; }
  Session* find_session(uint64_t id);
  void add_monitor(Session& session);
  void remove_monitor(Session& session);
  /// Lets a blocked session's command answer from `key`, which may be ready; false where it could not.
  bool serve_blocked(Session& session, std::string_view key);
  /// What becomes of a reply after `mark` in the output: it may have to wait for what is `awaited`, or the client does not want it.
  void finish_reply(Session& session, size_t mark, const Awaited& awaited);
  /// Bytes were added to a session's output outside of its own command: sends them, within the limits of its class.
  void output_added(Session& session);
  /// A line that single clients can cause: some a second are written.
  void log_about_clients(LogLevel level, std::string_view text) { about_clients_.write(log, level, clock.now(), "{}", text); }
  /// Lets the session's output have what the limits of its class, as they are now, and ClientEviction allow.
  void bound_output(Session& session) const;
  /// Shows a call to the clients in MONITOR mode. Commands that run others (EVAL) do it themselves, before those.
  void show_to_monitors(const Context& ctx);
  /// Marks a session for closing; with `flush`, after its output is sent. Safe for the session whose command runs.
  void disconnect(Session& session, bool flush);

  // --- Who may do what: authorization.cc ----------------------------------------------------------------------------

  /// Makes the users that the configuration and the ACL file say. On failure one line that says what is wrong.
  [[nodiscard]] std::optional<std::string> load_users();
  /// Whether the session has to log in before it may do anything.
  bool must_log_in(const Session& session) const { return !session.authenticated && !acl.default_user().open_to_all(); }
  /// Lets the client in as this user; or counts and logs the failure and returns false, with what is to be replied in `error`.
  bool log_in(Context& ctx, std::string_view user, std::string_view password, std::string_view& error);
  /// Why the session's user may not run the command; nothing where it may.
  std::optional<Denial> denial(const Session& session, const CommandEntry& command, Args args) {
    if (session.user->unrestricted()) return {};
    return session.user->check(command, args, session.database, config, key_room_);
  }
  /// The same for a user and a connection to `database`.
  std::optional<Denial> denial(const User& user, int database, const CommandEntry& command, Args args) {
    return user.check(command, args, database, config, key_room_);
  }
  /// Notes in ACL LOG what the session's user was refused.
  void log_denial(const Session& session, AclLog::Source source, const Denial& denial, const CommandEntry& command, Args args);
  /// A user has been changed: its clients lose the channels, and what they wait for, that they may not have any more.
  void user_changed(const User& user);
  /// Users are about to be destroyed: their clients are disconnected.
  void users_removed(std::span<const std::unique_ptr<User>> users);
  /// Whether a client is shown to the one who calls a command, and may be acted on by it.
  static bool may_see(const Context& ctx, const Session& other) {
    return &ctx.session == &other || ctx.session.user->may_use(ctx.command, other.database);
  }

  /// Runs one command with all guards, for scripts, EXEC and files. The reply goes to `session.reply`.
  struct CallOptions {
    bool deny_blocking = true;
    bool from_script = false;
  };
  void call(Session& session, const CommandEntry& command, Args args, const CallOptions& options, Time& now);
  /// The command's reply tells of what is in this database, and so waits until that is as durable as it is to be.
  void tells_of(Context& ctx, int index) const {
    if (durability.holds()) ctx.execution.awaited.also({durability.awaited(index), 0});
  }
  /// Counts an error, by the code that it begins with, which nobody has counted yet.
  void count_error(std::string_view code, uint64_t times = 1);

  /// Executes a command that was read from a file, in the session of whoever reads it, and gives the first key its note, if there
  /// is one. Nothing expires on the way, and what can neither change data nor define scripts is passed over. An error that the command
  /// replies goes to `failure` where that is given, and is an error of the result otherwise.
  Result<void> replay(Session& session, int database, Args args, const storage::Note* note = nullptr, std::string* failure = nullptr);
  /// A session without a connection, for scripts and files.
  std::unique_ptr<Session> make_session();
  /// Loading has ended.
  void data_loaded();
  /// Sends the replies that waited for what is durable now.
  void release_held();
  /// Sessions with replies that wait.
  size_t held_count() const { return held_.size(); }

  /// Ends a session's transaction without running it.
  void discard_transaction(Session& session);

  /// Empties one database, or all (-1): watchers are told, freeing happens elsewhere. Where one stands in the way that is
  /// protected (`flush`), nothing is done, and the error is returned.
  [[nodiscard]] std::optional<std::string> flush(int database);
  /// The error with which `flush` of this one database would be refused.
  std::optional<std::string> flush_refusal(int database) const;
  /// Why keys must not leave `from` for `to` by this command: there, a flush would take what is protected from it here.
  std::optional<std::string> leaving_refusal(std::string_view command, int from, int to) const;
  void swap_databases(int a, int b);

  /// The snapshot that is being taken, if any; made by who wants it, and ended by end_snapshot, done or not.
  std::unique_ptr<persistence::Snapshot> snapshot;
  /// Goes on with it, as Snapshot::step does, and lets clients go on that waited for a large entry. REQUIRES: snapshot.
  persistence::Snapshot::State step_snapshot(size_t budget_bytes);
  void end_snapshot();

  /// CLIENT PAUSE: until the monotonic time; writes only or all commands. Nothing is changed meanwhile, by whatever way, but by the
  /// transaction that has begun the pause.
  void pause(int64_t until_mono_ms, bool writes_only);
  void unpause();
  bool changes_paused() const { return paused_until_ms_ != 0 && !pause_begins_; }
  bool active_expire = true;  // DEBUG SET-ACTIVE-EXPIRE

  /// See Context::default_expiry_ms and written_anew.
  int64_t default_expiry_ms(int database, const Time& now) const {
    const int64_t ttl = config.database[static_cast<size_t>(database)].default_ttl;
    // What is loaded comes with the expiry that it got when it was written.
    return ttl > 0 && !durability.loading() ? now.wall_ms() + ttl * 1000 : -1;
  }
  void await_expiry(int database, std::string_view key);
  /// What the clients of memcached's protocol of a database share.
  MemcachedService& memcached(int index);
  /// Most bytes of a value that such a client may store in the database.
  int64_t memcached_item_bytes(int index) const;
  /// A number that no value has had (Note::cas): each is greater than those before.
  uint64_t next_cas();

  /// Publishes keyspace events where the configuration wants them.
  void notify(int database, EventClass event_class, std::string_view event, std::string_view key);
  /// See Context::changed.
  void key_changed(storage::Keyspace& db, std::string_view key, size_t changes = 1);

  /// Bytes of the process's heap in use, of which the databases are a part: a running figure. Where the allocator does not keep it
  /// (in builds with sanitizers), those of the databases and of scripts.
  size_t used_memory() const;
  /// Bytes of it that are buffers of no client, for input and output to come.
  size_t buffer_memory() const;
  /// What work on other threads has allocated and not freed, in bytes, or freed (negative): to be told when it is done, before
  /// what is done then.
  void worked_elsewhere(int64_t heap_balance) { elsewhere_bytes_ += heap_balance; }
  /// Whether a command runs now, within which other clients may be read (Host::poll_input).
  bool executing() const { return depth_ > 0; }
  bool stopping() const { return stopping_; }
  /// Whether the loop has just stood still for so long that clients who have spoken in time may not have been read yet.
  bool stalled() const { return stalled_; }
  /// Whether the server may change data by itself at this moment.
  bool may_change_data() const { return depth_ == 0 && !changes_paused() && !durability.loading(); }
  /// Clients that wait: in a blocking command, or for CLIENT PAUSE to end.
  size_t blocked_clients() const;

  // storage::KeyspaceObserver
  void expired(storage::Keyspace& keyspace, std::string_view key) override;
  bool keeps_expired() const override { return changes_paused(); }
  void evicted(storage::Keyspace& keyspace, std::string_view key) override;
  void created(storage::Keyspace& keyspace, std::string_view key) override;
  void reclaim(std::unique_ptr<storage::Garbage> garbage) override;
  /// What `reclaim` was given until now holds so many bytes more than it says. They count as garbage until all of it is freed.
  void left_over(size_t bytes);
  size_t lazyfree_pending() const { return lazyfree_pending_; }
  /// Bytes of `used_memory` that no database holds any more and another thread is about to free, or has freed but they were not taken back.
  size_t garbage_bytes() const;

 private:
  friend struct Context;
  friend class Input;
  friend class LongCommands;

  /// A context among those that run, for as long as this stands on the stack.
  class Running;
  bool memcached_is_full(int index);
  /// Whether a client of memcached's protocol needs no password (`memcached-open-to-local`).
  bool is_open_to(const Session& session, int index) const;
  /// Runs the flush_all whose delay is over.
  void flush_when_due(const Time& now);
  /// The name's command, or its subcommand, or an error written (unknown command, unknown subcommand, arity); null then.
  static const CommandEntry* resolve(const CommandEntry* named, Args args, protocol::Reply& reply);
  /// Executes a request of a session, unless it has to wait. `now` becomes the time after it.
  Outcome dispatch(Session& session, const CommandEntry* command, Args args, Time& now);
  /// Most bytes that the session may leave unread, by its class (see OutputBuffer::beyond_first).
  size_t output_limit(const Session& session) const;
  void check_output(Session& session);
  /// The output is more than its limit: closes the connection, with what the client takes now of what is left.
  void close_for_output(Session& session);
  /// The same where a reply has reached the bound: of what lies after `mark` nothing is sent.
  void end_overrun(Session& session, size_t mark);
  /// The same without regard to CLIENT REPLY. `awaited` becomes what the reply, which lies after `mark` in the output, has to wait for.
  Outcome admit_and_execute(Session& session, const CommandEntry* command, Args args, size_t mark, Time& now, Awaited& awaited);
  /// The guards between a known command and its execution; the first that refuses writes its error.
  bool admitted(Session& session, const CommandEntry& command, Args args);
  /// Whether the session's user may run the command, now or, where it is to be queued, with EXEC; the error is written otherwise.
  bool permitted(Session& session, const CommandEntry& command, Args args);
  /// Why the request, which is admitted and not to be queued, has to wait now; None where it has not.
  Wait reason_to_wait(Session& session, const CommandEntry& command, Args args, const Time& now);
  /// Whether this request brings a password that has to wait; see LoginThrottle.
  bool must_wait_to_log_in(Session& session, Args args, const Time& now);
  /// Why the disk does not allow the command now, or what is queued for it; null where it does.
  const std::string* refusal_of(const Session& session, const CommandEntry& command);
  /// What follows from a request that was not admitted; its error lies behind `mark` in the output.
  void refuse(Session& session, Args args, size_t mark);
  bool must_pause(const Session& session, const CommandEntry& command, Args args) const;
  /// Whether the request may change something, or have an effect elsewhere, so that it waits for the end of a pause.
  bool may_write(const CommandEntry& command, Args args) const;
  /// Whether the snapshot has first to save a large entry that this request would change.
  bool must_wait_for_snapshot(const Session& session, const CommandEntry& command, Args args);
  /// Whether its database is locked by a command in slices.
  bool must_wait_for_database(const Session& session, const CommandEntry& command) const;
  /// What follows where a handler wants to be called again. The figures are those before it.
  Outcome call_again(const Context& ctx, uint64_t hits, uint64_t misses);
  void queue(Session& session, const CommandEntry& command, Args args);
  /// Runs the handler and everything that follows from it. `now` becomes the time after it.
  void invoke(Context& ctx, Time& now);
  /// Calls the handler. What it throws is answered: nothing passes from here on but what unwinds a command in slices.
  void run_handler(Context& ctx);
  /// Everything that follows from a command whose handler has returned, or whose client has been served after it had waited: expiry by
  /// default, effects, what the reply waits for, statistics, monitors. `microseconds` were spent on it, until `end`. REQUIRES: it is among
  /// those that run.
  void finish(Context& ctx, int64_t microseconds, const Time& end);
  /// Memory has run out: the reply becomes an error, and the keys that the command may have changed are told of as they are now.
  void fail(Context& ctx) noexcept;
  /// The same outside of a handler: nothing has been executed. The request's reply lies after `mark` in the output.
  void fail_request(Session& session, size_t mark) noexcept;
  void tell_state(Context& ctx);
  void say(Context& ctx, SaidEffect effect);
  void carry_effects(Context& ctx);
  /// Gives the keys that the command has made and left without an expiry the one of their database's `default-ttl`.
  void give_expiries(Context& ctx);
  /// Whether `flush` protects the database. What has happened once is loaded so, whatever the settings are by now.
  bool is_protected(int database) const;
  std::string protected_error(std::string_view command, int database, std::string_view why) const;
  /// What was appended to the session's output after `mark` waits until the log is durable up to `position`.
  void hold(Session& session, size_t mark, const Awaited& awaited);
  void destroy_garbage();
  /// An entry goes because of time or want of memory: carries that.
  void carry_removal(const storage::Keyspace& keyspace, std::string_view key);
  void account(Context& ctx, int64_t microseconds, const Time& end);
  /// Counts the errors of the command's own that are in its reply; true where there are any.
  bool count_errors(Context& ctx);
  /// A command took longer than `latency-monitor-threshold`.
  void note_spike(const Context& ctx, int64_t microseconds, const Time& end);
  void reject(Session& session, const CommandEntry& command, std::string_view error);
  /// What entries made from now on hold as their access.
  void date_new_entries(const Time& now);
  void expire_cycle(const Time& now);
  void clean_marks();
  /// Looks at the next slice of the sessions: limits and timeouts that pass without anything coming from the client.
  void watch_sessions(const Time& now);
  /// True where the session's time was over.
  bool watch_session(Session& session, const Time& now);
  std::optional<ConfigFault> apply_config(const std::vector<std::string_view>& names);

  storage::Thresholds thresholds_;
  protocol::BlockPool pool_;
  bool stopping_ = false;
  bool stalled_ = false;
  int depth_ = 0;  // commands, transactions and scripts that are running now, one within the other
  size_t expire_database_ = 0;  // where the next slice of the walk for expired entries begins
  std::vector<KeyUse> key_room_;  // for the keys of the request that is checked
  LoginThrottle login_throttle_;
  Context* running_ = nullptr;  // the innermost of them
  std::vector<SaidEffect> spare_effects_;  // memory for the effects of the next command that says some
  std::vector<Session*> held_;  // sessions with replies that wait; null where one has gone
  std::vector<std::unique_ptr<storage::Garbage>> garbage_;  // to be destroyed, one at a time
  uint64_t destroyed_garbage_ = 0;
  struct LeftOver {
    uint64_t destroyed;  // counts until destroyed_garbage_ has come so far
    size_t bytes;
  };
  std::deque<LeftOver> left_over_;
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::map<int, std::unique_ptr<MemcachedService>> memcached_;  // of the databases that have had such clients
  uint64_t last_cas_ = 0;
  std::vector<Session*> monitors_;
  uint64_t next_session_id_ = 1;
  uint64_t watched_session_ = 0;  // the last one that watch_sessions has looked at
  LogThrottle about_clients_;     // lines that single clients can cause
  std::vector<uint32_t> notify_flags_;  // of each database
  // So that commands of which no database wants to know more need not look at their own.
  uint32_t any_notify_flags_ = 0;  // of all databases together
  int64_t slow_from_us_ = 0;       // the least `slowlog-log-slower-than`
  int64_t paused_until_ms_ = 0;  // monotonic; 0: not paused
  bool pause_writes_only_ = false;
  bool pause_begins_ = false;    // the command that has begun the pause still runs
  size_t lazyfree_pending_ = 0;
  size_t garbage_bytes_ = 0;         // of what is to be destroyed
  uint64_t slab_garbage_ = 0;        // what blocks::collected_bytes will be when all is taken back that other threads have freed
  int64_t elsewhere_bytes_ = 0;      // see worked_elsewhere
};

class Server::Running {
 public:
  Running(Server& server, Context& ctx) : server_(server), outer_(std::exchange(server.running_, &ctx)) { ++server_.depth_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    --server_.depth_;
    server_.running_ = outer_;
  }

 private:
  Server& server_;
  Context* outer_;
};

// Here because every SET asks.
inline int64_t Context::default_expiry_ms() const { return server.default_expiry_ms(database->index(), now); }
inline int64_t Context::relative_base_ms() const { return server.durability.loading() ? server.clock.now().wall_ms() : now_ms(); }

}  // namespace quartet::server
