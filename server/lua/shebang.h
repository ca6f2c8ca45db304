#pragma once

#include <string>
#include <string_view>

namespace quartet::server::lua {

/// What the first line of a script says: `#!lua flags=no-writes,allow-oom`. A script need not have one.
struct Shebang {
  bool present = false;
  bool no_writes = false;
  bool allow_oom = false;
  /// The script without that line, except for its line end, so that lines keep their numbers.
  std::string_view code;
};

/// False, with the error reply, where the line makes no sense.
bool parse_shebang(std::string_view body, Shebang& shebang, std::string& error);

}  // namespace quartet::server::lua
