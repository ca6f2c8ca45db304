#include "server/transactions.h"

#include <algorithm>

namespace quartet::server {

bool Watches::watches(const Session& session, int database, std::string_view key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  // The shorter way: through those of the key or through those of the session.
  const auto same = [&](const Watch& watch) {
    return watch.session == &session && watch.database == database && watch.key == key;
  };
  if (found->second.size() < session.watches.size())
    return std::any_of(found->second.begin(), found->second.end(), [&](const Watch* watch) { return same(*watch); });
  return std::any_of(session.watches.begin(), session.watches.end(), [&](const auto& watch) { return same(*watch); });
}

void Watches::add(Session& session, storage::Keyspace& db, std::string_view key, int64_t now_ms) {
  if (watches(session, db.index(), key)) return;
  const storage::Entry* entry = db.find_raw(key);
  const bool expired = entry && entry->expired(now_ms);
  session.watches.push_back(std::make_unique<Watch>(Watch{&session, db.index(), std::string(key), expired}));
  try {
    std::vector<Watch*>& of_key = by_key_[std::string(key)];
    session.watches.back()->place = of_key.size();
    of_key.push_back(session.watches.back().get());
  } catch (...) {
    session.watches.pop_back();
    throw;
  }
  session.watch_bytes += Watch::memory(key);
}

void Watches::remove_all(Session& session) {
  for (const auto& watch : session.watches) {
    const auto found = by_key_.find(watch->key);
    std::vector<Watch*>& of_key = found->second;
    of_key[watch->place] = of_key.back();
    of_key[watch->place]->place = watch->place;
    of_key.pop_back();
    if (of_key.empty()) by_key_.erase(found);
  }
  session.watches.clear();
  session.watch_bytes = 0;
  session.watch_touched = false;
}

void Watches::touch(int database, std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  for (Watch* watch : found->second)
    if (watch->database == database) watch->session->watch_touched = true;
}

void Watches::expired(int database, std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  for (Watch* watch : found->second) {
    if (watch->database != database) continue;
    // A key that had expired when the watch began was as good as absent; that it goes now is no change.
    if (!watch->expired_at_watch) watch->session->watch_touched = true;
    watch->expired_at_watch = false;
  }
}

void Watches::database_emptied(storage::Keyspace& db, storage::Keyspace* other, int64_t now_ms) {
  for (const auto& [key, watches] : by_key_)
    for (Watch* watch : watches) {
      if (watch->database != db.index() && !(other && watch->database == other->index())) continue;
      storage::Keyspace* const after = !other ? nullptr : watch->database == db.index() ? other : &db;
      const storage::Entry* then = after ? after->find_raw(key) : nullptr;
      const bool expired_then = then && then->expired(now_ms);
      // What had expired when the watch began was as good as absent, and is so still if there is nothing else now.
      const bool was_there = !watch->expired_at_watch && (after == &db ? other : &db)->find_raw(key);
      if (was_there || (then && !expired_then)) watch->session->watch_touched = true;
      watch->expired_at_watch = expired_then;
    }
}

bool Watches::expired_since(const Session& session, const std::vector<std::unique_ptr<storage::Keyspace>>& databases,
                            int64_t now_ms) const {
  for (const auto& watch : session.watches) {
    if (watch->expired_at_watch) continue;
    const storage::Entry* entry = databases[static_cast<size_t>(watch->database)]->find_raw(watch->key);
    if (entry && entry->expired(now_ms)) return true;
  }
  return false;
}

}  // namespace quartet::server
