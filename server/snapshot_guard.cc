// What the server does about the snapshot that is being taken: it goes on with it, and holds back the clients that would make it
// save a large value all at once.

#include <algorithm>

#include "server/server.h"

namespace quartet::server {

bool Server::must_wait_for_snapshot(const Session& session, const CommandEntry& command, Args args) {
  // EXEC waits as a whole for what its commands would change. A database that they SELECT is not looked at, nor keys that a
  // script does not declare: there the snapshot saves at once.
  if (command.flags & kEndsMulti)
    return std::any_of(session.queue.begin(), session.queue.end(), [&](const QueuedCommand& queued) {
      const std::vector<std::string_view> arguments(queued.arguments.begin(), queued.arguments.end());
      return must_wait_for_snapshot(session, *queued.command, arguments);
    });
  const storage::Keyspace& db = *databases[static_cast<size_t>(session.database)];
  if (!db.snapshot() || command.spec->keys.empty()) return false;
  std::vector<KeyUse> uses;
  if (!find_key_uses(*command.spec, args, uses)) return false;
  for (const KeyUse& use : uses) {
    // What erases a value or replaces all of it leaves the old one to the snapshot.
    if (!(use.flags & kKeyRW)) continue;
    storage::Entry* entry = db.find_raw(args[static_cast<size_t>(use.position)]);
    if (!entry || !snapshot->must_wait(db, entry)) continue;
    return true;
  }
  return false;
}

persistence::Snapshot::State Server::step_snapshot(size_t budget_bytes) {
  const uint64_t written = snapshot->large_written();
  const auto state = snapshot->step(budget_bytes);
  if (snapshot->large_written() != written) {
    input.end_waits(Wait::Snapshot);
    if (depth_ == 0) input.run_resumed();
  }
  return state;
}

void Server::end_snapshot() {
  snapshot.reset();
  input.end_waits(Wait::Snapshot);
  if (depth_ == 0) input.run_resumed();
}

}  // namespace quartet::server
