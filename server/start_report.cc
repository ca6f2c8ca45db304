#include "server/start_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "persistence/manifest.h"
#include "server/config_target.h"
#include "server/version.h"

namespace quartet::server {

namespace {

std::string bytes(int64_t count) {
  if (count == 0) return "no limit";
  static constexpr std::array<std::string_view, 4> kUnits = {"", "kb", "mb", "gb"};
  size_t unit = 0;
  for (; unit + 1 < kUnits.size() && count % 1024 == 0; ++unit) count /= 1024;
  return fmt::format("{}{}", count, unit == 0 ? " bytes" : kUnits[unit]);
}

/// Whether snapshots of all databases hold this one, and rules ask for them.
bool saves(const DatabaseConfig& database) {
  return !database.save_rules.empty() && (database.appendonly || !database.overrides("appendonly"));
}

std::string describe(const DatabaseConfig& database) {
  std::string text = database.appendonly ? fmt::format("append-only file, appendfsync {}", database.appendfsync) : "no append-only file";
  text += saves(database) ? ", snapshots" : ", no snapshots";
  if (database.budget > 0 || database.maxmemory_policy != "noeviction")
    text += fmt::format(", maxmemory {}, {}", bytes(database.budget), database.maxmemory_policy);
  if (database.default_ttl > 0) text += fmt::format(", default-ttl {} s", database.default_ttl);
  if (database.flush == "protected") text += ", protected";
  if (database.memcached_port > 0) text += fmt::format(", memcached on port {}", database.memcached_port);
  return text;
}

void report_databases(const Config& config, Log& log) {
  const auto& all = config.database;
  for (size_t i = 0; i < all.size();) {
    const std::string text = describe(all[i]);
    size_t end = i + 1;
    if (all[i].name.empty())
      while (end < all.size() && all[end].name.empty() && describe(all[end]) == text) ++end;
    const std::string name = all[i].name.empty() ? "" : fmt::format(" ({})", all[i].name);
    if (end == i + 1) log.notice("Database {}{}: {}", i, name, text);
    if (end > i + 1) log.notice("Databases {} to {}: {}", i, end - 1, text);
    i = end;
  }
}

void warn_of_budgets(const Config& config, Log& log) {
  if (config.maxmemory == 0) return;
  int64_t sum = 0;
  for (const DatabaseConfig& database : config.database) sum += std::min(database.budget, config.maxmemory * 2);
  if (sum > config.maxmemory)
    log.warning("The budgets of the databases are {} bytes together, more than maxmemory ({} bytes): one can be short of memory before it has "
                "its own", sum, config.maxmemory);
}

/// None where there is no such directory.
std::vector<std::string> names_in(persistence::Disk& disk, const std::string& directory) {
  Result<std::vector<std::string>> names = disk.list(directory);
  return names ? std::move(*names) : std::vector<std::string>();
}

/// Data that the settings do not have loaded, or not kept.
void warn_of_files(const Config& config, const std::string& directory, persistence::Disk& disk, Log& log) {
  const auto has = [&](const std::string& within, std::string_view wanted) {
    const std::vector<std::string> names = names_in(disk, within);
    return std::find(names.begin(), names.end(), wanted) != names.end();
  };
  const auto& all = config.database;
  const bool logs = std::any_of(all.begin(), all.end(), [](const DatabaseConfig& each) { return each.appendonly; });
  const std::string log_directory = config.dir + "/" + config.appenddirname;
  const bool has_log = has(log_directory, persistence::manifest_name(config.appendfilename));
  if (!logs && has_log)
    log.warning("{}/{} holds an append-only file that is not loaded, because appendonly is no", directory, config.appenddirname);
  if (!logs && has(config.dir, config.appendfilename))
    log.warning("{}/{} is not loaded, because appendonly is no", directory, config.appendfilename);
  for (const std::string& name : names_in(disk, log_directory))
    if (name.ends_with(".manifest") && name != persistence::manifest_name(config.appendfilename))
      log.warning("{}/{}/{} is not loaded, because appendfilename is {}", directory, config.appenddirname, name, config.appendfilename);
  for (const std::string& name : names_in(disk, config.dir)) {
    // BGSAVE DB writes <name>-<dbfilename>.
    if (name.ends_with(".rdb") && !name.ends_with(config.dbfilename) && !name.starts_with("temp-"))
      log.warning("{}/{} is not loaded, because dbfilename is {}", directory, name, config.dbfilename);
    if (name.ends_with(".aof") && name != config.appendfilename)
      log.warning("{}/{} is not loaded, because appendfilename is {}", directory, name, config.appendfilename);
  }
  if (!has(config.dir, config.dbfilename)) return;
  if (logs && has_log) return log.notice("{}/{} is not loaded, because there is an append-only file", directory, config.dbfilename);
  if (!logs && std::none_of(all.begin(), all.end(), saves))
    log.warning("{}/{} is loaded, and nothing is ever saved: what it holds is there again after each start, and what is changed from now on "
                "is lost. Set appendonly or save", directory, config.dbfilename);
}

bool is_local(std::string_view address) {
  if (address.starts_with('-')) address.remove_prefix(1);
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

void warn_of_access(const Config& config, Log& log) {
  if ((config.port == 0 && config.tls_port == 0) || std::all_of(config.bind.begin(), config.bind.end(), is_local)) return;
  if (config.protected_mode)
    log.warning("No password is set: of the addresses in bind only clients of this machine are served (protected-mode). Set requirepass or users");
  else
    log.warning("No password is set, bind names addresses that others can reach, and protected-mode is no: whoever reaches the port can read "
                "and change all data. Set requirepass or users");
}

}  // namespace

void report_start(const Config& config, const std::string& data_directory, bool open_to_all, persistence::Disk& disk, Log& log) {
  log.notice("Quartet {}, compatible with Redis {}", kQuartetVersion, kRedisVersion);
  log.notice("Configuration: {}; data directory: {}", config.file.empty() ? "defaults and the command line" : config.file, data_directory);
  log.notice("Limits: maxmemory {}, {}; maxclients {}", bytes(config.maxmemory), config.maxmemory_policy, config.maxclients);
  report_databases(config, log);
  warn_of_budgets(config, log);
  warn_of_files(config, data_directory, disk, log);
  if (open_to_all) warn_of_access(config, log);
}

}  // namespace quartet::server
