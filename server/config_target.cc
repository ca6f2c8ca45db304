#include "server/config_target.h"

#include <fmt/format.h>

#include "base/numbers.h"

namespace quartet::server {

namespace {

constexpr std::string_view kPrefix = "db.";

/// A configuration that has a database's values where it has the defaults otherwise, so that directives work on them.
Config as_defaults(const DatabaseSettings& settings) {
  Config config;
  static_cast<DatabaseSettings&>(config) = settings;
  return config;
}

void pass_on_default(const Directive& directive, Config& config) {
  const auto pass_on = [&]<class T>(T Config::*member) {
    const auto own = static_cast<T DatabaseSettings::*>(member);
    for (DatabaseConfig& database : config.database)
      if (!database.overrides(directive.name)) database.*own = config.*own;
  };
  std::visit(pass_on, directive.member);
}

}  // namespace

bool names_database(std::string_view name) { return equals_ignoring_case(name.substr(0, kPrefix.size()), kPrefix); }

std::optional<size_t> find_database(std::string_view text, const Config& config) {
  if (const auto index = parse_int(text)) {
    if (*index < 0 || static_cast<size_t>(*index) >= config.database.size()) return {};
    return static_cast<size_t>(*index);
  }
  for (size_t i = 0; i < config.database.size(); ++i)
    if (!config.database[i].name.empty() && equals_ignoring_case(text, config.database[i].name)) return i;
  return {};
}

std::string database_name(int index, const Config& config) {
  const std::string& name = config.database[static_cast<size_t>(index)].name;
  return name.empty() ? std::to_string(index) : name;
}

void add_database(std::string_view text, const Config& config, std::vector<int>& databases) {
  if (const auto index = find_database(text, config)) databases.push_back(static_cast<int>(*index));
}

std::optional<Target> find_target(std::string_view name, const Config& config) {
  if (!names_database(name)) {
    const Directive* directive = find_directive(name);
    return directive ? std::optional(Target{directive, {}}) : std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {};
  const Directive* directive = find_database_directive(name.substr(dot + 1));
  if (!directive) return {};
  const auto database = find_database(name.substr(0, dot), config);
  return database ? std::optional(Target{directive, database}) : std::nullopt;
}

Problem assign(const Target& target, Config& config, std::string_view text) {
  const Directive& directive = *target.directive;
  if (!target.database) {
    Problem problem = assign(directive, config, text);
    if (problem.empty() && directive.flags & Directive::PerDatabase) pass_on_default(directive, config);
    return problem;
  }
  DatabaseConfig& database = config.database[*target.database];
  Config view = as_defaults(database);
  if (Problem problem = assign(directive, view, text); !problem.empty()) return problem;
  static_cast<DatabaseSettings&>(database) = view;
  if (!database.overrides(directive.name)) database.overridden.push_back(directive.name);
  return {};
}

std::string format(const Target& target, const Config& config) {
  if (!target.database) return format(*target.directive, config);
  return format(*target.directive, as_defaults(config.database[*target.database]));
}

std::string indexed_name(const Target& target) {
  if (!target.database) return std::string(target.directive->name);
  return fmt::format("{}{}.{}", kPrefix, *target.database, target.directive->name);
}

std::vector<std::pair<std::string, Target>> shown_database_targets(const Config& config) {
  std::vector<std::pair<std::string, Target>> targets;
  for (size_t i = 0; i < config.database.size(); ++i) {
    const DatabaseConfig& database = config.database[i];
    if (database.name.empty() && database.overridden.empty()) continue;
    const std::string shown = database.name.empty() ? fmt::format("{}", i) : database.name;
    for (const Directive* directive : database_directives())
      targets.emplace_back(fmt::format("{}{}.{}", kPrefix, shown, directive->name), Target{directive, i});
  }
  return targets;
}

void make_databases(Config& config) {
  config.database.assign(static_cast<size_t>(config.databases), DatabaseConfig{config, {}, {}});
}

}  // namespace quartet::server
