#include "server/context.h"

#include <unordered_set>

#include "server/server.h"
#include "storage/access.h"

namespace quartet::server {

using storage::LfuAccess;
using storage::LruAccess;

namespace {

void date(const Context& ctx, storage::Entry* entry) {
  if (ctx.session.no_touch) return;
  const storage::Keyspace& db = ctx.db();
  if (db.counts_accesses()) {
    const DatabaseSettings& settings = ctx.server.config.database[static_cast<size_t>(db.index())];
    entry->set_access(LfuAccess::touched(entry->access(), ctx.now, ctx.server.random, settings.lfu_log_factor, settings.lfu_decay_time));
  } else {
    entry->set_access(LruAccess::clock(ctx.now));
  }
}

}  // namespace

storage::Entry* Context::find_read(std::string_view key) {
  storage::Entry* entry = find_untouched(key);
  if (entry) touch(entry);
  return entry;
}

void Context::touch(storage::Entry* entry) const {
  date(*this, entry);
  entry->set_fetched(true);
}

storage::Entry* Context::find_untouched(std::string_view key) {
  storage::Entry* entry = database->find(key, now_ms());
  if (repeated_lookups > 0) [[unlikely]] {
    --repeated_lookups;
    return entry;
  }
  if (!entry) {
    ++server.stats.database(database->index()).keyspace_misses;
    notify(key, EventClass::KeyMiss, "keymiss");
    return nullptr;
  }
  ++server.stats.database(database->index()).keyspace_hits;
  return entry;
}

storage::Entry* Context::find_write(std::string_view key) {
  storage::Entry* entry = find_replace(key);
  if (entry) database->before_change(entry);
  return entry;
}

storage::Entry* Context::find_replace(std::string_view key) {
  storage::Entry* entry = database->find(key, now_ms());
  if (entry) date(*this, entry);
  return entry;
}

bool Context::find_read(std::string_view key, storage::Type type, storage::Entry*& entry) {
  entry = find_read(key);
  if (!entry || entry->type() == type) return true;
  reply.error(errors::kWrongType);
  return false;
}

bool Context::find_write(std::string_view key, storage::Type type, storage::Entry*& entry) {
  entry = find_write(key);
  if (!entry || entry->type() == type) return true;
  reply.error(errors::kWrongType);
  return false;
}

void Context::changed(std::string_view key, EventClass event_class, std::string_view event, size_t changes) {
  changed_in(*database, key, event_class, event, changes);
}

void Context::changed_in(storage::Keyspace& db, std::string_view key, EventClass event_class, std::string_view event, size_t changes) {
  dirty = true;
  server.key_changed(db, key, changes);
  server.notify(db.index(), event_class, event, key);
}

void Context::notify(std::string_view key, EventClass event_class, std::string_view event) {
  server.notify(database->index(), event_class, event, key);
}

void Context::erase(storage::Entry* entry, std::string_view event, size_t changes) {
  // The key outlives its entry, because the events name it.
  const std::string key(entry->key());
  database->erase(entry);
  changed(key, EventClass::Generic, event, changes);
}

void Context::erase_if_empty(storage::Entry* entry) {
  if (storage::length_of(*entry) == 0) erase(entry, "del", 0);
}

void Context::effect(std::initializer_list<std::string_view> arguments) {
  effect_in(*database, Args(arguments.begin(), arguments.size()));
}

void Context::effect(Args arguments) { effect_in(*database, arguments); }

void Context::effect(std::initializer_list<std::string_view> arguments, const storage::Note& note) {
  effect(arguments);
  if (server.feed.active()) execution.effects.back().note = note;
}

void Context::effect_in(const storage::Keyspace& db, std::initializer_list<std::string_view> arguments) {
  effect_in(db, Args(arguments.begin(), arguments.size()));
}

void Context::effect_in(const storage::Keyspace& db, Args arguments) {
  explicit_effect = true;
  if (!server.feed.active()) return;
  SaidEffect said{db.index(), {}};
  said.arguments.reserve(arguments.size());
  for (const std::string_view argument : arguments) {
    breathe_for(argument);
    said.arguments.emplace_back(argument);
  }
  server.say(*this, std::move(said));
}

void Context::effect_between(const storage::Keyspace& db, const storage::Keyspace& other,
                             std::initializer_list<std::string_view> arguments) {
  explicit_effect = true;
  if (server.feed.active()) server.say(*this, {db.index(), {arguments.begin(), arguments.end()}, other.index()});
}

void Context::written_anew(std::string_view key) { server.await_expiry(database->index(), key); }

bool Context::enters(storage::Keyspace& other) {
  if (!other.locked()) return true;
  if (long_work == kUndivided) {
    server.long_commands.finish(other);
    return true;
  }
  call_again = CallAgain::WhenFree;
  return false;
}

bool Context::enters_all() {
  if (!server.long_commands.running()) return true;
  for (const auto& each : server.databases)
    if (!enters(*each)) return false;
  return true;
}

void Context::block(Args keys, int64_t timeout_ms, Serve serve, Unserved unserved) {
  if (deny_blocking) {
    switch (unserved) {
      case Unserved::NullArray: return reply.null_array();
      case Unserved::Null: return reply.null();
      case Unserved::Zero: return reply.integer(0);
    }
  }
  BlockedCommand blocked{&command, {args.begin(), args.end()}, {}, database->index(), serve, unserved, 0, now};
  std::unordered_set<std::string_view> seen;
  for (const std::string_view key : keys)
    if (keys.size() == 1 || seen.insert(key).second) blocked.keys.emplace_back(key);
  if (timeout_ms > 0) blocked.deadline_us = now.mono_us + timeout_ms * 1000;
  server.blocking.block(session, std::move(blocked));
}

}  // namespace quartet::server
