// What happens where an allocation fails. The command that wanted the memory is answered by an error, and the server goes on: what has
// been thrown passes neither the dispatcher nor the loop.

#include "base/memory_reserve.h"
#include "persistence/dump_payload.h"
#include "server/server.h"

namespace quartet::server {

namespace {

/// Whether an entry is one that no command leaves behind: without a value, or an empty collection.
bool is_hollow(const storage::Entry& entry) {
  using storage::Encoding;
  const bool outside = !storage::Entry::has_bytes(entry.encoding()) && entry.encoding() != Encoding::Int;
  return (outside && !entry.pointer()) || storage::length_of(entry) == 0;
}

}  // namespace

void Server::fail(Context& ctx) noexcept {
  memory_reserve::release();
  ctx.pauses = nullptr;
  ctx.call_again = Context::CallAgain::No;
  try {
    ctx.reply.buffer().truncate(ctx.execution.mark);
    ctx.reply.error(ctx.session.memcached ? errors::kMemcachedOutOfMemory : errors::kOutOfMemory);
  } catch (const std::exception&) {
    if (ctx.session.connection) disconnect(ctx.session, false);
  }
  if (!(ctx.command.flags & kWrite)) return;
  try {
    tell_state(ctx);
  } catch (const std::exception&) {
    // There is not even the memory to say it. The append-only file gets it with everything else.
    ctx.execution.effects.clear();
    durability.schedule_rewrite();
  }
}

void Server::fail_request(Session& session, size_t mark) noexcept {
  memory_reserve::release();
  try {
    session.out.truncate(mark);
    session.reply.error(session.memcached ? errors::kMemcachedOutOfMemory : errors::kOutOfMemory);
    count_error(session.reply.last_error());
    if (session.in_multi) session.multi_failed = true;
  } catch (const std::exception&) {
    disconnect(session, false);
  }
}

void Server::fail_input(Session& session) noexcept {
  memory_reserve::release();
  session.reset_parser();
  disconnect(session, false);
  try {
    about_clients_.write(log, LogLevel::Warning, session.last_active, "Closing client id={} addr={}: there is no memory for what it sends",
                         session.id, session.address);
  } catch (const std::exception&) {
    // Then nobody reads why.
  }
}

/// How far the handler came nobody knows, and what it has said so far may not be all. So each key that it may have changed is carried
/// with what it holds now.
void Server::tell_state(Context& ctx) {
  ctx.execution.effects.clear();
  std::vector<KeyUse> uses;
  if (!find_key_uses(*ctx.command.spec, ctx.args, uses)) return;
  std::vector<int> indexes;
  if (ctx.command.spec->databases) ctx.command.spec->databases(ctx.args, config, indexes);
  if (std::find(indexes.begin(), indexes.end(), ctx.database->index()) == indexes.end()) indexes.push_back(ctx.database->index());
  for (const int index : indexes) {
    storage::Keyspace& db = database(index);
    if (db.locked()) continue;  // another command is in slices there, before which this one has changed nothing
    for (const KeyUse& use : uses) {
      if (!(use.flags & (kKeyRW | kKeyOW | kKeyRM))) continue;
      const std::string key(ctx.args[static_cast<size_t>(use.position)]);
      storage::Entry* entry = db.find_raw(key);
      // It was made for a value that did not come.
      if (entry && is_hollow(*entry)) {
        db.erase(entry);
        entry = nullptr;
      }
      key_changed(db, key);
      if (!feed.active()) continue;
      if (!entry) {
        say(ctx, {index, {"DEL", key}});
        continue;
      }
      SaidEffect effect{index, {"RESTORE", key, std::to_string(std::max<int64_t>(entry->expiry(), 0)), "", "ABSTTL", "REPLACE"}};
      persistence::append_dump_payload(effect.arguments[3], *entry, false);
      if (entry->type() == storage::Type::String) effect.note = entry->note();
      say(ctx, std::move(effect));
    }
  }
  ctx.dirty = ctx.explicit_effect = true;
}

}  // namespace quartet::server
