#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config_target.h"

/// The TOML file: reading settings out of it and writing changed ones back into its text.
namespace quartet::server {

struct ConfigFile {
  struct Setting {
    const Directive* directive;
    std::string value;     // as CONFIG SET would be given it
    size_t line;           // from 1
    size_t begin, end;     // the value's place in the text, in bytes
  };
  /// One [[database]].
  struct Database {
    int64_t index = 0;
    std::string name;
    size_t line = 0;
    std::vector<Setting> settings;
    size_t end = 0;          // where a new setting is to be written, in bytes
    bool is_inline = false;  // { index = 0 }, not lines below a header
  };

  std::string path;  // for messages
  std::string text;
  std::vector<Setting> settings;  // in the order of the file
  std::vector<Database> databases;
  size_t top_level_end = 0;  // where a new setting is to be written, in bytes
};

/// Reads the whole file, of at most so many bytes. On failure the reason.
[[nodiscard]] Problem read_file(const std::string& path, std::string& text, size_t most = limits::kConfigFileBytes);

/// Takes the settings out of `file.text`. On failure a line with path, line, key, what is wrong and what is allowed.
[[nodiscard]] Problem parse(ConfigFile& file);

/// Gives `config` the file's settings but for those of single databases. Failures as above.
[[nodiscard]] Problem apply(const ConfigFile& file, Config& config);

/// Makes the databases anew, with the names and settings of the file. Failures as above.
[[nodiscard]] Problem apply_databases(const ConfigFile& file, Config& config);

/// The file's text with the values of `config` for all settings in which it differs from what the file says: values are
/// replaced where they stand, settings that the file does not have are added behind its last one, or the last one of the
/// database's table, which is added at the end where there is none. Nothing else changes.
std::string rewritten(const ConfigFile& file, const Config& config);

/// Replaces a file's content in one step: after a crash it is the old or the new one. A file that was not there is made for its
/// owner alone. On failure the reason.
[[nodiscard]] Problem replace_file(const std::string& path, std::string_view text);

}  // namespace quartet::server
