#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/pauses.h"
#include "protocol/reply.h"
#include "server/command_table.h"
#include "server/errors.h"
#include "server/execution.h"
#include "server/session.h"
#include "storage/keyspace.h"

namespace quartet::server {

class Server;

/// Classes of keyspace events, as `notify-keyspace-events` names them.
enum class EventClass : uint32_t {
  Generic = 1 << 2,    // g
  String = 1 << 3,     // $
  List = 1 << 4,       // l
  Set = 1 << 5,        // s
  Hash = 1 << 6,       // h
  SortedSet = 1 << 7,  // z
  Expired = 1 << 8,    // x
  Evicted = 1 << 9,    // e
  Stream = 1 << 10,    // t
  KeyMiss = 1 << 11,   // m
  New = 1 << 14,       // n
};

/// What one call of a command sees and does: its arguments, the data, its reply, and what it tells the rest of the
/// server of its changes. Handlers know nothing else: not the socket, not the protocol, not whether they run in MULTI,
/// in a script or from a file.
///
/// A handler reads arguments, calls storage, tells `changed` for every key that it changed, and writes exactly one reply
/// (or blocks). It does not change anything before its arguments are known to be good.
struct Context {
  Server& server;
  Session& session;
  const CommandEntry& command;
  Args args;  // args[0] is the name as the client wrote it; of a subcommand args[1] is its name
  protocol::Reply& reply;
  const Time now;

  storage::Keyspace& db() const { return *database; }
  int64_t now_ms() const { return now.wall_ms(); }
  /// What a relative expiry counts from, in ms since the epoch: now, and for what is read from a file, where `now` lets nothing
  /// expire, the time of the load.
  int64_t relative_base_ms() const;
  std::string_view arg(size_t i) const { return args[i]; }

  // --- Keys -------------------------------------------------------------------------------------------------------

  /// The live entry of a key for reading, or null; counts a hit or a miss and touches the entry.
  storage::Entry* find_read(std::string_view key);
  /// The same for commands that ask about the entry and do not use it (TYPE, TTL, EXISTS): it is not touched.
  storage::Entry* find_untouched(std::string_view key);
  /// Marks an entry that find_untouched gave as used and read.
  void touch(storage::Entry* entry) const;
  /// The live entry of a key for changing it, or null.
  storage::Entry* find_write(std::string_view key);
  /// The same for erasing it, or for giving it a new value altogether by one of the functions `assign`: where a snapshot has still to
  /// save it, a large one need not be saved first.
  storage::Entry* find_replace(std::string_view key);
  /// The same with a demand on the type: false, with the WRONGTYPE error written, where the key holds another one.
  [[nodiscard]] bool find_read(std::string_view key, storage::Type type, storage::Entry*& entry);
  [[nodiscard]] bool find_write(std::string_view key, storage::Type type, storage::Entry*& entry);

  // --- Changes ----------------------------------------------------------------------------------------------------

  /// Tells that the key was changed, after the change: WATCH, keyspace events, blocked clients, statistics and the feed
  /// learn it from here. Every changing handler calls it for every key it changed, with Redis's name of the event. `changes` is what
  /// the `save` rules count: the elements that were added, changed or removed.
  void changed(std::string_view key, EventClass event_class, std::string_view event, size_t changes = 1);
  /// The same for a key of another database (MOVE, COPY).
  void changed_in(storage::Keyspace& db, std::string_view key, EventClass event_class, std::string_view event, size_t changes = 1);
  /// A whole database was changed (FLUSHDB, SWAPDB), which Server has done and told of: what remains is to carry it.
  void databases_changed() { dirty = true; }
  /// An event with no change of its own ("del" after the pop that emptied a list, "new", "keymiss").
  void notify(std::string_view key, EventClass event_class, std::string_view event);
  /// Erases an entry of db() and tells `changed` with the generic event `event`.
  void erase(storage::Entry* entry, std::string_view event = "del", size_t changes = 1);
  /// For collections after a removal: erases the entry, with the event "del", where it has become empty. Call `changed` for the removal
  /// first, which counts what was removed.
  void erase_if_empty(storage::Entry* entry);

  /// What the feed carries is by default the command as it came, if `changed` was called. A handler whose command is not
  /// deterministic or not absolute says what to carry instead; several calls make several effects.
  void effect(std::initializer_list<std::string_view> arguments);
  void effect(Args arguments);
  /// The same where the command alone does not tell what the string under the first key has beside its value then, but for its
  /// number.
  void effect(std::initializer_list<std::string_view> arguments, const storage::Note& note);
  /// The same in another database, which may be kept on disk in another way.
  void effect_in(const storage::Keyspace& db, std::initializer_list<std::string_view> arguments);
  void effect_in(const storage::Keyspace& db, Args arguments);
  /// The same where it changes another database too, which is kept in the same way (see Durability::alike).
  void effect_between(const storage::Keyspace& db, const storage::Keyspace& other, std::initializer_list<std::string_view> arguments);

  // --- Expiry by default ------------------------------------------------------------------------------------------

  /// When a key expires that is written now without an expiry: by `default-ttl`, in ms since the epoch; -1 where that is off.
  int64_t default_expiry_ms() const;
  /// The key, which was there before, got a new value altogether and has lost its expiry: `default-ttl` gives it one, as it does
  /// to keys that did not exist, when the command has ended.
  void written_anew(std::string_view key);
  /// The keys that the command makes keep what expiry they have, or have none, because they are not new (RENAME).
  void keep_expiries() { keeps_expiries = true; }

  /// The argument is a secret: logs and monitors show "(redacted)" in its place.
  void redact(size_t argument) { secrets.push_back(argument); }

  // --- Long work --------------------------------------------------------------------------------------------------

  // Where one of these says that the handler has to return at once, it has written and changed nothing before, and will be
  // called again, from its beginning. See LongCommands.

  /// Says how much work (see Pauses) the handler is about to do. True: it has to return, and the work will be done in slices.
  ///
  /// A command that only reads may say too little, where it would have to look at the elements to know: what it says by `breathe`
  /// is counted, and where that becomes much the call is broken off by an exception, its reply is forgotten, and the command begins
  /// again in slices. One that changes something has to know before it does.
  [[nodiscard]] bool takes_long(size_t work) {
    if (work < long_work) [[likely]]
      return false;
    call_again = CallAgain::InSlices;
    return true;
  }
  /// Says that this call of a command that may change something does not: it is like one of a command that only reads.
  void only_reads() {
    if (counted) pauses = counted;
  }
  /// Says that some of it is done: the slice may end here. Until the handler has returned nobody else touches db().
  void breathe(size_t work = 1) { quartet::breathe(pauses, work); }
  /// The same of one element that is copied, hashed or compared.
  void breathe_for(std::string_view bytes) { breathe(work_of_bytes(bytes.size())); }
  /// Replies one element of a collection, in pieces where it is long: that is work of both kinds.
  void reply_element(std::string_view bytes) {
    breathe();
    reply.bulk(bytes, pauses);
  }
  /// Says that the handler is about to touch another database, or all of them. False: it has to return, and the client waits
  /// until nothing is done there in slices.
  [[nodiscard]] bool enters(storage::Keyspace& other);
  [[nodiscard]] bool enters_all();

  // --- Blocking ---------------------------------------------------------------------------------------------------

  /// Tries to serve a blocked command from `key`, which has just become ready: true if it wrote the reply. It sees the
  /// arguments of the blocked command in its own context.
  using Serve = bool (*)(Context&, std::string_view key);
  /// What is answered where nothing could be served: at once inside MULTI and scripts, where nothing waits, else when the
  /// time is over; then Null too is a null array, as Redis has it.
  enum class Unserved : uint8_t { NullArray, Null, Zero };
  /// Lets the client wait until one of the keys can serve it, or for timeout_ms (0: for ever).
  void block(Args keys, int64_t timeout_ms, Serve serve, Unserved unserved = Unserved::NullArray);

  // --- Used by the dispatcher ---------------------------------------------------------------------------------------

  storage::Keyspace* database;
  bool deny_blocking = false;   // runs in MULTI or in a script
  bool from_script = false;
  bool dirty = false;           // changed() was called
  bool explicit_effect = false;
  bool keeps_expiries = false;
  std::vector<size_t> secrets = {};
  /// So much work is divided. It is set for a client's own command outside of transactions, when it is called for the first time.
  static constexpr size_t kUndivided = SIZE_MAX;
  size_t long_work = kUndivided;
  /// How the handler, which has returned too early, is to be called again.
  enum class CallAgain : uint8_t { No, InSlices, WhenFree } call_again = CallAgain::No;
  Pauses* pauses = nullptr;     // set where it runs in slices, or its work is counted because it only reads
  Pauses* counted = nullptr;    // counts it, where it is called for the first time
  bool in_slices = false;
  size_t repeated_lookups = 0;  // so many have been counted in the first call
  Execution execution = {};
};

}  // namespace quartet::server
