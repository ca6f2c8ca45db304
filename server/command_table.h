#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/command.h"
#include "server/latency_histogram.h"

namespace quartet::server {

/// Calls of one command since the start or CONFIG RESETSTAT. Times are in microseconds.
struct CommandStats {
  uint64_t calls = 0;
  uint64_t microseconds = 0;
  uint64_t rejected = 0;
  uint64_t failed = 0;
  std::unique_ptr<LatencyHistogram> histogram;  // made at the first call with `latency-tracking` on
};

/// The ACL categories ("keyspace", "read", ...) in the order in which Redis tells them.
std::span<const std::string_view> category_names();
/// The bit of CommandEntry::categories that stands for a category, without regard to case; 0 where there is none of
/// that name.
uint32_t category_bit(std::string_view name);

/// A command in the running server: its declaration, its full name ("client|list") and its statistics.
struct CommandEntry {
  const Command* spec;
  std::string full_name;
  const CommandEntry* parent = nullptr;
  uint32_t flags = 0;       // spec->flags with what is derived
  uint32_t categories = 0;  // a bit for each of category_names(): what is declared and what follows from flags
  uint32_t id = 0;          // below CommandTable::id_count()
  std::vector<std::unique_ptr<CommandEntry>> subcommands;
  mutable CommandStats stats;

  /// Whether a request may have so many words, its name counted.
  bool takes(size_t words) const {
    const auto count = static_cast<int>(words);
    return spec->arity > 0 ? count == spec->arity : count >= -spec->arity;
  }
  bool names_keys() const;
  /// Whether a client that uses the command works in its database, and not only with the server.
  bool uses_database() const { return (flags & (kWrite | kReadOnly)) || names_keys(); }
  /// Whether its reply tells of what is in its database. Of a script that is for the commands to say that it calls.
  bool tells_of_data() const { return (flags & (kWrite | kReadOnly)) && !(flags & kRunsScript); }
};

/// What a rule of the ACL can name: a command or subcommand of the server, or one of Redis that it does not have.
struct AclName {
  std::string_view name;  // full
  uint32_t categories = 0;
  uint32_t id = 0;  // below CommandTable::id_count()

  /// Without regard to case.
  bool is_subcommand_of(std::string_view command) const;
};

/// All commands by name, without regard to case, and those of memcached's protocol beside them.
class CommandTable {
 public:
  explicit CommandTable(std::span<const std::span<const Command>> families);

  /// Null where there is no such command. Names longer than any command's cost nothing.
  const CommandEntry* find(std::string_view name) const;
  /// The subcommand `name` of a command; null where it has none of that name.
  static const CommandEntry* find_subcommand(const CommandEntry& command, std::string_view name);
  /// The command or subcommand of a request that a file holds, or why there is none.
  Result<const CommandEntry*> of_file(Args args) const;
  /// "get", "client|list" or "client list" style full names.
  const CommandEntry* find_full(std::string_view full_name) const;

  /// The same for memcached's protocol, in which case matters.
  const CommandEntry* find_memcached(std::string_view name) const;

  const std::vector<std::unique_ptr<CommandEntry>>& all() const { return commands_; }
  const std::vector<std::unique_ptr<CommandEntry>>& all_memcached() const { return memcached_; }
  /// Calls `visit(const CommandEntry&)` for every command and subcommand of RESP, or of memcached's protocol.
  template <class Visit>
  void for_each(Visit visit) const {
    for_each_of(commands_, visit);
  }
  template <class Visit>
  void for_each_memcached(Visit visit) const {
    for_each_of(memcached_, visit);
  }
  /// A name of an ACL rule, "get" or "xgroup|help"; nothing where neither this server nor Redis 7.0 has it.
  std::optional<AclName> find_acl_name(std::string_view full_name) const;
  /// Whether a command of this name has subcommands, here or in Redis.
  bool has_subcommands(std::string_view name) const;
  /// Calls `visit(const AclName&)` for every command and subcommand of RESP, and then for those that only Redis has.
  template <class Visit>
  void for_each_acl_name(Visit visit) const {
    for_each([&](const CommandEntry& command) { visit(AclName{command.full_name, command.categories, command.id}); });
    for (const AclName& name : absent_) visit(name);
  }
  /// Commands have ids below this, and so have those that only Redis has.
  size_t id_count() const { return id_count_; }
  void reset_stats() const;
  /// What statistics take of memory, in bytes.
  size_t stats_memory() const;

 private:
  struct Slot {
    uint64_t hash = 0;
    const CommandEntry* entry = nullptr;
  };
  using Entries = std::vector<std::unique_ptr<CommandEntry>>;
  template <class Visit>
  static void for_each_of(const Entries& entries, Visit& visit) {
    for (const auto& command : entries) {
      visit(*command);
      for (const auto& sub : command->subcommands) visit(*sub);
    }
  }
  /// Where the entries are found by their names. Open addressing; the number of slots is a power of two.
  static std::vector<Slot> index(const Entries& entries);

  Entries commands_, memcached_;
  std::vector<AclName> absent_;  // by name
  std::vector<Slot> slots_, memcached_slots_;
  size_t id_count_ = 0;
};

/// One key that a request names and what the command does to it (KeyFlag bits), for COMMAND GETKEYSANDFLAGS.
struct KeyUse {
  int position;
  uint32_t flags;
};
bool find_key_uses(const Command& command, Args args, std::vector<KeyUse>& uses);

}  // namespace quartet::server
