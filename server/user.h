#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/command_table.h"
#include "server/password.h"

namespace quartet::server {

/// What a key pattern permits: `%R~` and `%W~`, or both, `~`.
enum KeyPermission : uint8_t { kMayRead = 1, kMayWrite = 2 };

struct KeyPattern {
  std::string glob;
  uint8_t permission;

  bool operator==(const KeyPattern&) const = default;
};

/// Why a request is refused.
struct Denial {
  // In the order in which they are looked for: of several selectors, the one that came farthest says why.
  enum class Reason : uint8_t { Command, Key, Channel, Database };
  Reason reason;
  int argument = 0;   // Key, Channel: its position
  int database = -1;  // Database: which one; -1: all are asked for
};

/// The keys of one request, looked for once and not before they are needed.
class RequestKeys {
 public:
  /// `uses` is room for them.
  RequestKeys(const CommandEntry& command, Args args, std::vector<KeyUse>& uses) : command_(command), args_(args), uses_(uses) {}
  /// Empty too where the arguments make no sense, which the command itself will say.
  const std::vector<KeyUse>& get();

 private:
  const CommandEntry& command_;
  Args args_;
  std::vector<KeyUse>& uses_;
  bool found_ = false;
};

/// A set of permissions: commands, the keys that these may be used on, and channels. A user has one of its own and may have
/// more in parentheses; a request has to be permitted as a whole by one of them. The rules of acl_rules.h make it.
struct Selector {
  explicit Selector(size_t commands) : commands(commands) {}

  bool all_commands = false;  // those of the future too
  std::vector<bool> commands;  // by CommandEntry::id
  /// Commands that are permitted only with certain first arguments, in lower case: `+select|0`.
  std::map<uint32_t, std::vector<std::string>> first_arguments;
  bool all_keys = false;
  std::vector<KeyPattern> keys;
  bool all_channels = false;
  std::vector<std::string> channels;

  bool permits_command(const CommandEntry& command, Args args) const;
  /// Whether a key may be used so (KeyFlag bits).
  bool permits_key(std::string_view key, uint32_t flags) const;
  /// A channel, or a pattern of channels, which is permitted only as such.
  bool permits_channel(std::string_view channel, bool is_pattern) const;
  bool permits_all() const { return all_commands && all_keys && all_channels; }
  /// Whether every key may be read.
  bool reads_all_keys() const;
};

/// A user of the ACL: who it is, and what it may do.
struct User {
  User(std::string_view name, size_t commands) : name(name), root(commands) {}

  std::string name;
  bool enabled = false;
  bool nopass = false;  // any password is right
  bool sanitizes_payloads = true;  // kept for clients that read it: payloads are always checked
  std::vector<PasswordHash> passwords;
  Selector root;
  std::vector<Selector> selectors;
  bool all_databases = true;
  std::vector<bool> databases;  // by index, where they are not all

  /// Whether there is nothing that it may not do. One test, for the way of every command; `settle` finds it out.
  bool unrestricted() const { return unrestricted_; }
  /// REQUIRES: called after every change of what stands above.
  void settle() { unrestricted_ = root.permits_all() && all_databases; }

  bool may_reach(int database) const {
    return all_databases || (static_cast<size_t>(database) < databases.size() && databases[static_cast<size_t>(database)]);
  }
  bool reads_all_keys() const;
  /// Whether a client may be subscribed to it.
  bool permits_channel(std::string_view channel, bool is_pattern) const;
  /// Whether the password lets this user in. Takes the same time for each wrong one.
  bool accepts(const PasswordHash& password) const;

 private:
  bool unrestricted_ = false;
};

}  // namespace quartet::server
