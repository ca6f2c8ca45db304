// What the server does for the settings of one database: its own limit of clients, the guard against FLUSHDB and FLUSHALL, and
// the expiry of keys that are written without one.

#include <fmt/format.h>

#include "base/numbers.h"
#include "server/server.h"

namespace quartet::server {

// --- maxclients -------------------------------------------------------------------------------------------------------

bool Server::enter_database(Session& session, int index) {
  if (session.connection && !(session.placed && session.database == index)) {
    const auto limit = static_cast<size_t>(config.database[static_cast<size_t>(index)].client_limit);
    size_t& clients = stats.database(index).clients;
    if (limit > 0 && clients >= limit) return false;
    if (session.placed) --stats.database(session.database).clients;
    ++clients;
    session.placed = true;
  }
  session.database = index;
  return true;
}

void Server::leave_database(Session& session) {
  if (session.placed) --stats.database(session.database).clients;
  session.placed = false;
  session.database = 0;
}

std::string Server::full_error(int index) const {
  return fmt::format("ERR max number of clients reached in database {}", database_name(index));
}

// --- flush ------------------------------------------------------------------------------------------------------------

bool Server::is_protected(int index) const {
  return config.database[static_cast<size_t>(index)].flush == "protected" && !durability.loading();
}

std::string Server::protected_error(std::string_view command, int index, std::string_view why) const {
  const std::string name = database_name(index);
  return fmt::format("PROTECTED {} is refused: database {} is protected{}. CONFIG SET db.{}.flush allowed lifts that.", command, name, why,
                     name);
}

std::optional<std::string> Server::leaving_refusal(std::string_view command, int from, int to) const {
  if (!is_protected(from) || is_protected(to)) return {};
  return protected_error(command, from, fmt::format(", and database {} is not", database_name(to)));
}

// --- default-ttl ------------------------------------------------------------------------------------------------------

void Server::await_expiry(int index, std::string_view key) {
  // What is loaded comes with the expiry that it got when it was written.
  if (config.database[static_cast<size_t>(index)].default_ttl <= 0 || durability.loading() || !running_) return;
  running_->execution.new_keys.push_back({index, std::string(key)});
}

void Server::give_expiries(Context& ctx) {
  if (ctx.keeps_expiries) return;
  for (const Execution::NewKey& made : ctx.execution.new_keys) {
    storage::Keyspace& db = database(made.database);
    storage::Entry* entry = db.find_raw(made.key);
    if (!entry || entry->expires()) continue;
    const int64_t at_ms = default_expiry_ms(made.database, ctx.now);
    db.set_default_expiry(entry, at_ms);
    notify(made.database, EventClass::Generic, "expire", made.key);
    if (!feed.active()) continue;
    char ms[kNumberChars];
    say(ctx, {made.database, {"PEXPIREAT", made.key, std::string(ms, format_int(at_ms, ms))}});
  }
}

}  // namespace quartet::server
