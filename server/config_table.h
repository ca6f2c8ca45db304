#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "server/config.h"
#include "server/config_values.h"

namespace quartet::server {

enum class Kind : uint8_t {
  Bool,          // yes | no
  Integer,       // between minimum and maximum
  Memory,        // bytes, with a unit where wished: 100mb
  MemoryOrPercent,  // bytes as above, or 0% to 100%, which are negative
  Octal,         // file permissions
  Enum,          // one of `choices`
  String,        // any text
  Words,         // words separated by spaces
  Percentiles,
  OutputLimits,
  Events,
  SaveRules,
  TitleTemplate,
  Lines,         // texts, each of which may hold spaces
};

/// One setting: its name, what it may be, and where its value lies.
struct Directive {
  using Member = std::variant<bool Config::*, int64_t Config::*, std::string Config::*, std::vector<std::string> Config::*,
                              std::vector<double> Config::*, std::array<OutputLimit, 3> Config::*, std::vector<SaveRule> Config::*>;
  using Value = std::variant<bool, int64_t, std::string, std::vector<std::string>, std::vector<double>, std::array<OutputLimit, 3>,
                             std::vector<SaveRule>>;
  /// Looks at a new value (and brings it into its final form) in the configuration that is to become the current one.
  using Check = Problem (*)(Config& config);

  enum Flag : uint8_t {
    Immutable = 1,    // only at start
    Protected = 2,    // CONFIG SET wants `enable-protected-configs`
    PerDatabase = 4,  // the default of a member of DatabaseSettings
    Reload = 8,       // CONFIG SET takes effect though the text is the same, because the file that it names may have changed
    Secret = 16,      // the value is not to be seen in logs
    Hidden = 32,      // only in the file and on the command line: CONFIG GET and SET do not know it
  };

  std::string_view name;
  Kind kind;
  Member member;
  uint8_t flags = 0;
  int64_t minimum = 0;
  int64_t maximum = 0;
  std::span<const std::string_view> choices = {};
  Check check = nullptr;
  std::string_view alias = {};  // another name of the same setting, of earlier versions

  /// Whether its text is a list of words, of which there may be none.
  bool is_list() const { return kind >= Kind::Words && kind != Kind::Events && kind != Kind::TitleTemplate; }
};

/// The values without file and options; `dir` is the working directory.
Config default_config();

/// All settings of the whole server, in the order in which CONFIG GET shows them.
std::span<const Directive> directives();

/// By name or alias, without regard to case; null where there is none.
const Directive* find_directive(std::string_view name);

/// The settings that a database can have: those of the whole server with the flag PerDatabase, and its own.
std::span<const Directive* const> database_directives();
const Directive* find_database_directive(std::string_view name);

/// Gives the setting the value that `text` says. On failure the error text of Redis, and nothing is changed.
[[nodiscard]] Problem assign(const Directive& directive, Config& config, std::string_view text);

/// What CONFIG GET shows.
std::string format(const Directive& directive, const Config& config);

/// What values are allowed, for the message about a wrong one.
std::string describe_allowed(const Directive& directive);

}  // namespace quartet::server
