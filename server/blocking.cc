#include "server/blocking.h"

#include <algorithm>

#include "server/server.h"

namespace quartet::server {

void Blocking::block(Session& session, BlockedCommand command) {
  for (const std::string& argument : command.arguments) command.argument_bytes += argument.size();
  constexpr size_t kPlaceBytes = 160;
  command.memory = sizeof(BlockedCommand) + 2 * command.argument_bytes + command.arguments.size() * sizeof(std::string) +
                   command.keys.size() * (sizeof(std::string) + kPlaceBytes);
  session.blocked = std::make_unique<BlockedCommand>(std::move(command));
  server_.input.wait(session, Wait::Keys);
  ++server_.stats.database(session.blocked->database).blocked_clients;
  ++waiting_;
  BlockedCommand& blocked = *session.blocked;
  try {
    blocked.places.reserve(blocked.keys.size());
    for (const std::string& key : blocked.keys) {
      const auto queue = queues_.try_emplace({blocked.database, key}).first;
      blocked.places.push_back({queue, queue->second.insert(queue->second.end(), &session)});
    }
    if (blocked.deadline_us) deadlines_.emplace(blocked.deadline_us, session.id);
  } catch (...) {
    leave(session);
    throw;
  }
}

void Blocking::forget(Session& session) {
  if (!session.blocked) return;
  if (serving_) {
    leaving_.push_back(&session);
    return;
  }
  leave(session);
}

void Blocking::leave(Session& session) {
  const BlockedCommand& blocked = *session.blocked;
  for (const BlockedCommand::Place& place : blocked.places) {
    place.queue->second.erase(place.position);
    if (place.queue->second.empty()) queues_.erase(place.queue);
  }
  if (blocked.deadline_us) deadlines_.erase({blocked.deadline_us, session.id});
  --server_.stats.database(blocked.database).blocked_clients;
  session.blocked.reset();
  --waiting_;
  server_.input.end_wait(session);
}

void Blocking::unblock(Session& session, std::string_view error) {
  const bool zero = session.blocked->unserved == Context::Unserved::Zero;
  const CommandEntry& command = *session.blocked->command;
  const size_t mark = session.out.size();
  forget(session);
  if (!error.empty()) {
    session.reply.error(error);
    ++command.stats.failed;
    server_.count_error(session.reply.last_error());
  } else if (zero) {
    session.reply.integer(0);
  } else {
    session.reply.null_array();
  }
  if (server_.observer) server_.observer->executed(session, server_.clock.now());
  server_.finish_reply(session, mark, {});
  server_.output_added(session);
}

void Blocking::mark(int database, std::string_view key) {
  Key wanted(database, key);
  if (!queues_.contains(wanted) || ready_set_.contains(wanted)) return;
  ready_set_.insert(wanted);
  ready_.push_back(std::move(wanted));
}

void Blocking::databases_swapped(int a, int b) {
  for (const auto& [key, queue] : queues_)
    if (key.first == a || key.first == b) {
      if (ready_set_.insert(key).second) ready_.push_back(key);
    }
}

void Blocking::serve() {
  if (server_.changes_paused()) return;
  // Keys that a command in slices has changed are ready when it has ended.
  std::deque<Key> locked;
  serving_ = true;
  // Serving may push to other keys (BLMOVE), which then become ready behind those that are.
  while (!ready_.empty()) {
    Key key = std::move(ready_.front());
    ready_.pop_front();
    if (server_.database(key.first).locked()) {
      locked.push_back(std::move(key));
      continue;
    }
    ready_set_.erase(key);
    serve_key(key);
  }
  ready_.swap(locked);
  serving_ = false;
  // Who was served is no longer in a queue, whatever became of its connection.
  for (Session* session : leaving_) forget(*session);
  leaving_.clear();
}

void Blocking::serve_key(const Key& key) {
  const auto found = queues_.find(key);
  if (found == queues_.end()) return;
  storage::Keyspace& db = server_.database(key.first);
  std::list<Session*>& queue = found->second;
  for (auto next = queue.begin(); next != queue.end() && db.find_raw(key.second);) {
    Session& session = **next++;
    if (session.closing || !server_.serve_blocked(session, key.second)) continue;
    const bool last = queue.size() == 1;
    leave(session);
    server_.output_added(session);
    if (last) return;  // the queue has gone with it
  }
}

void Blocking::expire(const Time& now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono_us) {
    Session* session = server_.find_session(deadlines_.begin()->second);
    unblock(*session);
  }
}

}  // namespace quartet::server
