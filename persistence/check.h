#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "persistence/check_file.h"
#include "persistence/file.h"

namespace quartet::persistence {

/// What `quartet --check` comes to; the numbers are its exit status.
enum class CheckOutcome : uint8_t {
  Whole = 0,
  Damaged = 1,     ///< a part is damaged or missing
  Unreadable = 2,  ///< the disk does not give it, or there is no data there
};

struct CheckOptions {
  /// Cuts a file of commands where it is damaged, and keeps what was there under names that end with `.original`, or
  /// with `.original.2` and so on where that is taken. Of the files of a manifest, those behind the damage cannot be
  /// applied any more, so the manifest no longer names them. RDB files are not changed.
  bool fix = false;
  int64_t now_ms = 0;  // since the epoch
  /// Why a server cannot execute this command of a file, if it cannot. Where it is not given, nothing is known of
  /// commands.
  CommandRefusal refusal = {};
};

/// Says line by line what is in a file of RDB or of commands, in the files of a manifest (its name, or its directory),
/// or in a data directory (all of these in it), and whether it is whole. Without `fix` nothing is written. Nobody must
/// write to it meanwhile: for `fix` the data directory is locked.
CheckOutcome check(Disk& disk, const std::string& path, const CheckOptions& options,
                   const std::function<void(std::string_view line)>& say);

}  // namespace quartet::persistence
