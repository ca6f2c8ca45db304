#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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

/// A command in the running server: its declaration, its full name ("client|list") and its statistics.
struct CommandEntry {
  const Command* spec;
  std::string full_name;
  const CommandEntry* parent = nullptr;
  uint32_t flags = 0;       // spec->flags with what is derived
  uint32_t id = 0;
  std::vector<std::unique_ptr<CommandEntry>> subcommands;
  mutable CommandStats stats;
};

/// All commands by name, without regard to case, and those of memcached's protocol beside them.
class CommandTable {
 public:
  explicit CommandTable(std::span<const std::span<const Command>> families);

  /// Null where there is no such command. Names longer than any command's cost nothing.
  const CommandEntry* find(std::string_view name) const;
  /// The subcommand `name` of a command; null where it has none of that name.
  static const CommandEntry* find_subcommand(const CommandEntry& command, std::string_view name);
  /// "get", "client|list" or "client list" style full names.
  const CommandEntry* find_full(std::string_view full_name) const;

  /// The same for memcached's protocol, in which case matters.
  const CommandEntry* find_memcached(std::string_view name) const;

  const std::vector<std::unique_ptr<CommandEntry>>& all() const { return commands_; }
  const std::vector<std::unique_ptr<CommandEntry>>& all_memcached() const { return memcached_; }
  void reset_stats() const;
  /// What statistics take of memory, in bytes.
  size_t stats_memory() const;

 private:
  struct Slot {
    uint64_t hash = 0;
    const CommandEntry* entry = nullptr;
  };
  using Entries = std::vector<std::unique_ptr<CommandEntry>>;
  /// Where the entries are found by their names. Open addressing; the number of slots is a power of two.
  static std::vector<Slot> index(const Entries& entries);

  Entries commands_, memcached_;
  std::vector<Slot> slots_, memcached_slots_;
};

/// One key that a request names and what the command does to it (KeyFlag bits), for COMMAND GETKEYSANDFLAGS.
struct KeyUse {
  int position;
  uint32_t flags;
};
bool find_key_uses(const Command& command, Args args, std::vector<KeyUse>& uses);

}  // namespace quartet::server
