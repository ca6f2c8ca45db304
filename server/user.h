#pragma once

#include <cstdint>
#include <map>
#include <optional>
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
  uint8_t permissions;
};

/// Some of the commands, by CommandEntry::id.
class CommandSet {
 public:
  explicit CommandSet(size_t command_count, bool all = false) : words_((command_count + 63) / 64, all ? ~uint64_t{0} : 0) {}

  bool contains(uint32_t id) const { return words_[id / 64] >> (id % 64) & 1; }
  void add(uint32_t id) { words_[id / 64] |= uint64_t{1} << (id % 64); }
  bool includes(const CommandSet& other) const;
  /// Adds the other ones, or takes them out. Whether that has changed anything.
  bool change(const CommandSet& other, bool add);

 private:
  std::vector<uint64_t> words_;
};

/// A rule for commands that is in force: `+get`, `-@dangerous`, `+select|0`.
struct CommandRule {
  bool permits;
  std::string name;            // behind the sign
  CommandSet commands;         // those it is about
  bool about_argument = false;  // of the one command, with a certain first argument
};

/// Why a request is refused.
struct Denial {
  /// In the order in which they are looked for: of several selectors, the one that came farthest says why, by its argument too.
  enum class Reason : uint8_t { Command, Database, Key, Channel };
  Reason reason;
  size_t argument = 0;  // Key and Channel: its position. Database: which of those that the request names, from 1 on; 0: it names none
  int database = -1;    // Database: which one; -1: all at once

  /// Whether a selector that refuses for this came farther than the one that refuses for the other.
  bool farther_than(const Denial& other) const {
    return reason != other.reason ? reason > other.reason : argument > other.argument;
  }
};

/// The keys of one request, looked for when they are first needed.
class RequestKeys {
 public:
  /// `room` is where they are put.
  RequestKeys(const CommandEntry& command, Args args, std::vector<KeyUse>& room) : command_(command), args_(args), uses_(room) {}
  /// None where the arguments make no sense, which the command itself will say.
  const std::vector<KeyUse>& get();

 private:
  const CommandEntry& command_;
  Args args_;
  std::vector<KeyUse>& uses_;
  bool found_ = false;
};

/// A set of permissions: commands, the databases and the keys that these may be used on, and channels. A user has one of its own and
/// may have more in parentheses; a request has to be permitted as a whole by one of them. The rules of acl_rules.h make it.
struct Selector {
  Selector(size_t command_count, size_t database_count)
      : command_count(command_count), commands(command_count), databases(database_count) {}

  size_t command_count;
  bool all_commands = false;       // what the rules go out from: all commands, also those of later versions, or none
  std::vector<CommandRule> rules;  // none of which a later one has undone
  CommandSet commands;             // what follows from both
  /// Commands that are permitted with certain first arguments only: `+select|0`.
  std::map<uint32_t, std::vector<std::string>> first_arguments;
  bool all_keys = false;
  std::vector<KeyPattern> keys;
  bool all_channels = false;
  std::vector<std::string> channels;
  bool all_databases = true;
  std::vector<bool> databases;  // where they are not all: which, of those that there are

  bool permits_all() const { return all_commands && rules.empty() && all_keys && all_channels && all_databases; }
  bool may_reach(int database) const { return all_databases || databases[static_cast<size_t>(database)]; }
  /// Whether there is no database that it does not reach.
  bool reaches_all() const;
  bool permits_command(const CommandEntry& command, Args args) const;
  /// The same for the id of a command that only Redis has.
  bool permits_command(uint32_t id, Args args) const;
  /// Whether a key may be used so (KeyFlag bits).
  bool permits_key(std::string_view key, uint32_t flags) const;
  /// A channel, or a pattern of channels, which is permitted only as such. Those of events in databases that are out of reach are not.
  bool permits_channel(std::string_view channel, bool is_pattern) const;
  bool reads_all_keys() const;
  /// Why a request of a connection to `database` is refused; nothing where it is permitted.
  std::optional<Denial> check(const CommandEntry& command, Args args, int database, const Config& config, RequestKeys& keys) const;

 private:
  /// Whether it is a channel of events in a database that is out of reach, or a pattern that matches one.
  bool tells_of_others(std::string_view channel, bool is_pattern) const;
  std::optional<Denial> check_databases(const CommandEntry& command, Args args, int database, const Config& config, RequestKeys& keys) const;
};

/// A user of the ACL: who it is, and what it may do.
struct User {
  User(std::string_view user_name, size_t command_count, size_t database_count) : name(user_name), root(command_count, database_count) {}

  std::string name;
  bool enabled = false;
  bool nopass = false;  // any password is right
  /// What was said of `sanitize-payload`, for clients that read it: payloads are always checked.
  enum class Payloads : uint8_t { NotSaid, Sanitized, Trusted };
  Payloads payloads = Payloads::NotSaid;
  std::vector<PasswordHash> passwords;
  Selector root;
  std::vector<Selector> selectors;

  /// Whether there is nothing that it may not do: one test on the way of every command. `settle` finds it out.
  bool unrestricted() const { return unrestricted_; }
  /// Called after every change of what stands above.
  void settle();

  /// Whether one of its selectors permits a command that only Redis has.
  bool permits(const AclName& absent, Args args) const;
  /// Whether a command that tells of several databases may tell of this one: by a selector that permits both.
  bool may_use(const CommandEntry& command, int database) const;
  /// Whether anybody is let in as this user.
  bool open_to_all() const { return enabled && nopass; }
  /// Whether the password is one of the user's. Takes the same time for each wrong one.
  bool has_password(const PasswordHash& password) const;

  /// Why a request of a connection to `database` is refused; nothing where it is permitted. `room` is for its keys.
  std::optional<Denial> check(const CommandEntry& command, Args args, int database, const Config& config, std::vector<KeyUse>& room) const;
  /// Whether the command may be called in the database and read every key there, as SORT does by its patterns.
  bool reads_all_keys(const CommandEntry& command, Args args, int database) const;
  /// Whether a client may be subscribed to it.
  bool permits_channel(std::string_view channel, bool is_pattern) const;

 private:
  bool unrestricted_ = false;
};

}  // namespace quartet::server
