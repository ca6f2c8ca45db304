#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/session.h"
#include "storage/keyspace.h"

namespace quartet::server {

/// One key that a session watches.
struct Watch {
  Session* session;
  int database;
  std::string key;
  /// What a watch of a key takes with its places in the lists, in bytes, about.
  static size_t memory(std::string_view key) { return 192 + 2 * key.size(); }

  bool expired_at_watch;  // it had expired already: its disappearance is no change
  size_t place = 0;       // among those of its key
};

/// Who watches which key: one watch takes the same time whatever else its session watches. A session's flag `watch_touched` makes its EXEC fail.
class Watches {
 public:
  void add(Session& session, storage::Keyspace& db, std::string_view key, int64_t now_ms);
  void remove_all(Session& session);

  void key_changed(int database, std::string_view key) {
    if (!by_key_.empty()) touch(database, key);
  }
  /// A database is about to be emptied; with `other`, to be exchanged with it: watched keys that are there before or after are
  /// touched.
  void database_emptied(storage::Keyspace& db, storage::Keyspace* other, int64_t now_ms);
  /// Before EXEC: watched keys that have expired since count as changed.
  bool expired_since(const Session& session, const std::vector<std::unique_ptr<storage::Keyspace>>& databases,
                     int64_t now_ms) const;
  /// A key was erased because its time was over.
  void expired(int database, std::string_view key);

 private:
  void touch(int database, std::string_view key);
  bool watches(const Session& session, int database, std::string_view key) const;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, std::vector<Watch*>, Hash, std::equal_to<>> by_key_;
};

}  // namespace quartet::server
