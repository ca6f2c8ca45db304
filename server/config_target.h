#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/config_table.h"

namespace quartet::server {

/// What a name of the command line or of CONFIG stands for: a directive, of the whole server or, as in
/// `db.cache.appendfsync` and `db.1.appendfsync`, of one database.
struct Target {
  const Directive* directive;
  std::optional<size_t> database;  // below config.database.size()

  auto operator<=>(const Target&) const = default;
};

/// Whether a name (or a pattern of names) is one of settings of single databases.
bool names_database(std::string_view name);

/// A database by number, or by name without regard to case.
std::optional<size_t> find_database(std::string_view text, const Config& config);
/// What a database is called: its name, or its number where it has none.
std::string database_name(int index, const Config& config);
/// Adds the database that a request names, if there is one: for Command::databases.
void add_database(std::string_view text, const Config& config, std::vector<int>& databases);

/// Without regard to case; nothing where there is no such directive, or no such database.
std::optional<Target> find_target(std::string_view name, const Config& config);

/// Gives the target the value that `text` says. A database has its own value from then on; those without one follow
/// the default. On failure the error text of Redis, and nothing is changed.
[[nodiscard]] Problem assign(const Target& target, Config& config, std::string_view text);

/// What CONFIG GET shows: of a database, the value in effect.
std::string format(const Target& target, const Config& config);

/// `appendonly`, `db.1.appendonly`.
std::string indexed_name(const Target& target);

/// What CONFIG GET shows of databases: every directive of each database that has a name or its own value, under its name
/// where it has one.
std::vector<std::pair<std::string, Target>> shown_database_targets(const Config& config);

/// Makes `config.databases` databases, without names, that follow the defaults.
void make_databases(Config& config);

}  // namespace quartet::server
