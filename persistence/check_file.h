#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "persistence/file.h"

namespace quartet::persistence {

using CommandRefusal = std::function<std::optional<std::string>(std::span<const std::string_view> arguments)>;

/// What was found in one file.
struct FileReport {
  enum class State : uint8_t {
    Whole,
    /// a tail that a power cut may leave, from `offset` on; the server cuts it off where it is in the last file
    Torn,
    Damaged,     ///< from `offset` on
    Unreadable,  ///< nothing is known of it
  };

  State state = State::Whole;
  std::string reason;                 // where it is not whole
  uint64_t size = 0;                  // in bytes
  uint64_t offset = 0;                // up to here it is whole
  bool has_commands = false;          // it can be cut at `offset`: what remains is a file of commands
  std::vector<std::string> contents;  // of the part that is whole, a line for people each
};

/// Reads a file from its beginning to its end or to the first damage, and keeps nothing of it: the memory that it takes
/// is that of the largest entry, command or unit. A file that begins with RDB, or whose name ends with .rdb, is an RDB
/// file, with commands behind it perhaps; all others are files of commands. `now_ms` since the epoch is for counting
/// what has expired.
///
/// A command that `refusal` refuses is damage, as it is for a server that loads the file. Commands are not executed:
/// what one replies does not matter to a server either. Keys are not remembered: one that stands twice in an RDB file
/// is found by a server, not here.
FileReport check_file(Disk& disk, const std::string& path, int64_t now_ms, const CommandRefusal& refusal = {});

}  // namespace quartet::persistence
