#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "base/fiber.h"
#include "base/limits.h"
#include "server/context.h"

namespace quartet::server {

/// Counts the work of a command that only reads while it is called for the first time, and breaks the call off where it is much: by
/// an exception, as a command in slices that is given up.
class CountedWork final : public Pauses {
 public:
  struct Exceeded {};
  explicit CountedWork(size_t most) : Pauses(most) {}

 private:
  size_t look() override { throw Exceeded{}; }
};

/// The commands whose work takes longer than the clients of other databases shall wait for it. Each runs on a stack of its own
/// (a Fiber), for a slice in each turn of the loop, and between the slices its database is locked: clients who would touch it
/// wait, in the order in which they came, so that the command is as atomic as any other. Clients of other databases go on.
///
///     handler: ctx.takes_long(work)   true: it returns, and is called again on a fiber
///              ctx.breathe()          in its loops: the slice may end here, and the next one goes on behind it; in the first call
///                                     of a command that only reads it may end that one (CountedWork)
///
/// Its reply is written to a buffer of its own and handed to the session at the end. A client's own further input waits. Where
/// the client goes away, a command that only reads is given up, and one that writes is carried to its end.
///
/// In transactions, in scripts, while data is loaded and for clients who are served after they have waited for a key, commands
/// are not divided. Where such a one has to touch a locked database, the command in slices first goes on to its end (`finish`).
class LongCommands {
 public:
  /// From how much work on a command goes in slices (see Pauses), and how long a slice takes.
  struct Bounds {
    size_t work = limits::kLongWork;
    /// In microseconds. 0: every slice ends at the first opportunity, and none is passed by.
    int64_t slice_us = 250;
  };

  explicit LongCommands(Server& server);
  ~LongCommands();

  const Bounds& bounds() const { return bounds_; }
  /// So much a command that only reads may do before it is found to take long after all: so much more than `work` that one which has
  /// said so seldom begins twice.
  size_t most_counted() const { return 2 * bounds_.work; }
  void set_bounds(const Bounds& bounds) { bounds_ = bounds; }

  /// Whether any command is in slices now: while none is, no database is locked.
  bool running() const { return !runs_.empty(); }
  /// Whether one that writes is. No snapshot may begin then, which would take half a change for a whole one.
  bool writing() const;
  /// Keeps more of those from beginning, for whoever waits for there to be none.
  void hold_writers_back(bool hold);

  /// Bytes that they hold for their work, their replies included. It is told by what the allocator gives while each runs, less what
  /// its database is charged; 0 in builds with sanitizers.
  size_t memory() const;
  /// Counts memory that a command of any kind is about to take. False where others have some and it would be more than
  /// limits::kWorkingBytes with theirs: then nothing is counted. See WorkingMemory.
  [[nodiscard]] bool reserve(size_t bytes);
  void release(size_t bytes) { reserved_ -= bytes; }

  /// Executes a command in slices, of which the first may be done at once. `ctx` is that of its first call, in which
  /// `lookups` keys were counted as hits or misses. REQUIRES: may_begin.
  void begin(const Context& ctx, size_t lookups);
  bool may_begin(const Context& ctx) const;

  /// The client, which waits with Wait::Database, goes on when a command in slices has ended. `several`: it wants more than the
  /// database of its session, and new commands in slices let it go first.
  void wait_in_line(Session& session, bool several);
  /// The client is going away.
  void forget(Session& session);
  /// And leaves its session to the command of it that is in slices. REQUIRES: it waits with Wait::OwnSlices.
  void leave(std::unique_ptr<Session> session);

  /// The sessions that clients have left so, which are no longer among Server::sessions.
  std::vector<Session*> left_sessions() const;

  /// A slice of one of them. False where there is nothing to do, so that the loop may sleep.
  bool slice();
  /// Carries the command in a database to its end, if there is one.
  void finish(const storage::Keyspace& db);
  void finish_all();
  /// The same for those that write.
  void finish_writers();
  /// Gives up those that only read, and carries the others to their end. Nobody is answered.
  void end();

 private:
  struct Run;
  struct Waiting {
    uint64_t session;
    bool several;
  };
  using Runs = std::list<std::unique_ptr<Run>>;

  /// Lets it go on until `end_us` on the monotonic clock; true where it has ended, and is gone.
  bool resume(Runs::iterator at, int64_t end_us);
  void give_up(Runs::iterator at);
  void remove(Runs::iterator at);
  void wake();
  Runs::iterator in(const storage::Keyspace& db);
  FiberStack take_stack();

  Server& server_;
  Bounds bounds_;
  Runs runs_;  // the first one has the next slice
  std::vector<Waiting> waiting_;  // in the order in which they came
  std::vector<FiberStack> stacks_;
  size_t reserved_ = 0;
  bool writers_held_back_ = false;
  int64_t slice_ended_us_ = 0;
};

}  // namespace quartet::server
