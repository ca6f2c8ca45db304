#include "server/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/numbers.h"
#include "server/keyspace_events.h"
#include "storage/eviction.h"

namespace quartet::server {

namespace {

constexpr int64_t kInt = std::numeric_limits<int32_t>::max();
constexpr int64_t kLong = std::numeric_limits<int64_t>::max();
constexpr int64_t kMegabyte = 1024 * 1024;
constexpr size_t kBindAddresses = 16;

constexpr std::string_view kLogLevels[] = {"debug", "verbose", "notice", "warning"};
constexpr std::string_view kFsync[] = {"everysec", "always", "no"};
constexpr std::string_view kChannelDefaults[] = {"allchannels", "resetchannels"};
constexpr std::string_view kPermissions[] = {"no", "yes", "local"};
constexpr std::string_view kFlush[] = {"allowed", "protected"};
constexpr std::string_view kAuthClients[] = {"no", "yes", "optional"};

Problem check_addresses(const std::vector<std::string>& addresses) {
  if (addresses.size() > kBindAddresses) return "Too many bind addresses specified.";
  return {};
}
Problem check_bind(Config& config) { return check_addresses(config.bind); }
Problem check_memcached_bind(Config& config) { return check_addresses(config.memcached_bind); }

Problem check_dir(Config& config) {
  const std::unique_ptr<char, decltype(&std::free)> path(::realpath(config.dir.c_str(), nullptr), &std::free);
  if (!path) return std::strerror(errno);
  std::error_code error;
  if (!std::filesystem::is_directory(path.get(), error)) return "Not a directory";
  config.dir = path.get();
  return {};
}

Problem check_appenddirname(Config& config) {
  if (config.appenddirname.empty()) return "appenddirname can't be empty";
  if (config.appenddirname.find('/') != std::string::npos) return "appenddirname can't be a path, just a dirname";
  return {};
}

Problem check_appendfilename(Config& config) {
  if (config.appendfilename.empty()) return "appendfilename can't be empty";
  if (config.appendfilename.find('/') != std::string::npos) return "appendfilename can't be a path, just a filename";
  return {};
}

Problem check_dbfilename(Config& config) {
  if (config.dbfilename.find('/') != std::string::npos) return "dbfilename can't be a path, just a filename";
  return {};
}

Problem check_hz(Config& config) {
  config.hz = std::clamp<int64_t>(config.hz, 1, 500);
  return {};
}

Problem check_daemonize(Config& config) {
  if (config.daemonize) return "not supported, the server runs in the foreground (conf/quartet.service runs it as a service)";
  return {};
}

Problem check_preamble(Config& config) {
  if (!config.aof_use_rdb_preamble) return "the base of the append-only file is always an RDB file, only 'yes' is allowed";
  return {};
}

Problem check_timestamps(Config& config) {
  if (config.aof_timestamp_enabled) return "the append-only file has no timestamps, only 'no' is allowed";
  return {};
}

using C = Config;
using D = Directive;

constexpr Directive boolean(std::string_view name, bool C::*member, uint8_t flags = 0, D::Check check = nullptr) {
  return {.name = name, .kind = Kind::Bool, .member = member, .flags = flags, .check = check};
}
constexpr Directive integer(std::string_view name, int64_t C::*member, int64_t minimum, int64_t maximum, uint8_t flags = 0,
                            D::Check check = nullptr) {
  return {.name = name, .kind = Kind::Integer, .member = member, .flags = flags, .minimum = minimum, .maximum = maximum, .check = check};
}
constexpr Directive memory(std::string_view name, int64_t C::*member, int64_t minimum = 0, D::Check check = nullptr) {
  return {.name = name, .kind = Kind::Memory, .member = member, .minimum = minimum, .maximum = kLong, .check = check};
}
constexpr Directive choice(std::string_view name, std::string C::*member, std::span<const std::string_view> choices,
                           uint8_t flags = 0) {
  return {.name = name, .kind = Kind::Enum, .member = member, .flags = flags, .choices = choices};
}
constexpr Directive string(std::string_view name, std::string C::*member, uint8_t flags = 0, D::Check check = nullptr) {
  return {.name = name, .kind = Kind::String, .member = member, .flags = flags, .check = check};
}
constexpr Directive special(std::string_view name, Kind kind, D::Member member, uint8_t flags = 0, D::Check check = nullptr) {
  return {.name = name, .kind = kind, .member = member, .flags = flags, .check = check};
}
constexpr Directive also(std::string_view alias, Directive directive) {
  directive.alias = alias;
  return directive;
}

constexpr Directive kDirectives[] = {
    // network
    special("bind", Kind::Words, &C::bind, 0, check_bind),
    integer("port", &C::port, 0, 65535),
    string("unixsocket", &C::unixsocket, D::Immutable),
    {.name = "unixsocketperm", .kind = Kind::Octal, .member = &C::unixsocketperm, .flags = D::Immutable, .maximum = 0777},
    integer("tcp-backlog", &C::tcp_backlog, 0, kInt, D::Immutable),
    integer("timeout", &C::timeout, 0, kInt),
    integer("tcp-keepalive", &C::tcp_keepalive, 0, kInt),
    boolean("protected-mode", &C::protected_mode),
    integer("maxclients", &C::maxclients, 1, std::numeric_limits<uint32_t>::max()),
    integer("maxclients-per-address", &C::maxclients_per_address, 0, std::numeric_limits<uint32_t>::max()),
    boolean("maxclients-per-address-local", &C::maxclients_per_address_local),
    integer("handshake-timeout", &C::handshake_timeout, 0, kInt),
    special("client-output-buffer-limit", Kind::OutputLimits, &C::client_output_buffer_limit),
    memory("client-query-buffer-limit", &C::client_query_buffer_limit, kMegabyte),
    memory("proto-max-bulk-len", &C::proto_max_bulk_len, kMegabyte),

    // TLS
    integer("tls-port", &C::tls_port, 0, 65535),
    string("tls-cert-file", &C::tls_cert_file, D::Reload),
    string("tls-key-file", &C::tls_key_file, D::Reload),
    string("tls-key-file-pass", &C::tls_key_file_pass, D::Reload | D::Secret),
    string("tls-ca-cert-file", &C::tls_ca_cert_file, D::Reload),
    string("tls-ca-cert-dir", &C::tls_ca_cert_dir, D::Reload),
    string("tls-dh-params-file", &C::tls_dh_params_file, D::Reload),
    choice("tls-auth-clients", &C::tls_auth_clients, kAuthClients),
    string("tls-protocols", &C::tls_protocols, D::Reload),
    string("tls-ciphers", &C::tls_ciphers, D::Reload),
    string("tls-ciphersuites", &C::tls_ciphersuites, D::Reload),
    boolean("tls-prefer-server-ciphers", &C::tls_prefer_server_ciphers),
    boolean("tls-session-caching", &C::tls_session_caching),
    integer("tls-session-cache-size", &C::tls_session_cache_size, 0, kInt),
    integer("tls-session-cache-timeout", &C::tls_session_cache_timeout, 0, kInt),

    // general
    integer("databases", &C::databases, 1, limits::kDatabases, D::Immutable),
    choice("loglevel", &C::loglevel, kLogLevels),
    string("logfile", &C::logfile, D::Immutable),
    string("pidfile", &C::pidfile, D::Immutable),
    string("dir", &C::dir, D::Protected, check_dir),
    boolean("daemonize", &C::daemonize, D::Immutable, check_daemonize),
    integer("hz", &C::hz, 0, kInt, 0, check_hz),
    boolean("dynamic-hz", &C::dynamic_hz),
    boolean("activerehashing", &C::activerehashing),
    boolean("lazyfree-lazy-user-del", &C::lazyfree_lazy_user_del),
    boolean("lazyfree-lazy-user-flush", &C::lazyfree_lazy_user_flush),
    boolean("lazyfree-lazy-expire", &C::lazyfree_lazy_expire),
    boolean("lazyfree-lazy-eviction", &C::lazyfree_lazy_eviction),
    boolean("lazyfree-lazy-server-del", &C::lazyfree_lazy_server_del),

    // security
    string("requirepass", &C::requirepass, D::Secret),
    string("aclfile", &C::aclfile, D::Immutable),
    choice("acl-pubsub-default", &C::acl_pubsub_default, kChannelDefaults),
    {.name = "user", .kind = Kind::Lines, .member = &C::users, .flags = D::Hidden},
    choice("enable-debug-command", &C::enable_debug_command, kPermissions, D::Immutable),
    choice("enable-protected-configs", &C::enable_protected_configs, kPermissions, D::Immutable),
    integer("acllog-max-len", &C::acllog_max_len, 0, kLong),

    // memory
    memory("maxmemory", &C::maxmemory),
    {.name = "maxmemory-clients", .kind = Kind::MemoryOrPercent, .member = &C::maxmemory_clients, .maximum = kLong},
    choice("maxmemory-policy", &C::maxmemory_policy, storage::kEvictionPolicies, D::PerDatabase),
    integer("maxmemory-samples", &C::maxmemory_samples, 1, kInt, D::PerDatabase),
    integer("maxmemory-eviction-tenacity", &C::maxmemory_eviction_tenacity, 0, 100),
    integer("lfu-log-factor", &C::lfu_log_factor, 0, kInt, D::PerDatabase),
    integer("lfu-decay-time", &C::lfu_decay_time, 0, kInt, D::PerDatabase),

    // persistence
    boolean("appendonly", &C::appendonly, D::PerDatabase),
    choice("appendfsync", &C::appendfsync, kFsync, D::PerDatabase),
    string("appenddirname", &C::appenddirname, D::Immutable, check_appenddirname),
    string("appendfilename", &C::appendfilename, D::Immutable, check_appendfilename),
    integer("auto-aof-rewrite-percentage", &C::auto_aof_rewrite_percentage, 0, kInt),
    memory("auto-aof-rewrite-min-size", &C::auto_aof_rewrite_min_size),
    boolean("aof-load-truncated", &C::aof_load_truncated),
    boolean("no-appendfsync-on-rewrite", &C::no_appendfsync_on_rewrite),
    boolean("aof-use-rdb-preamble", &C::aof_use_rdb_preamble, 0, check_preamble),
    boolean("aof-timestamp-enabled", &C::aof_timestamp_enabled, 0, check_timestamps),
    boolean("aof-rewrite-incremental-fsync", &C::aof_rewrite_incremental_fsync),
    special("save", Kind::SaveRules, &C::save_rules, D::PerDatabase),
    string("dbfilename", &C::dbfilename, D::Protected, check_dbfilename),
    boolean("rdbcompression", &C::rdbcompression),
    boolean("rdbchecksum", &C::rdbchecksum, D::Immutable),
    boolean("rdb-save-incremental-fsync", &C::rdb_save_incremental_fsync),
    boolean("stop-writes-on-bgsave-error", &C::stop_writes_on_bgsave_error),

    // data structures
    also("hash-max-ziplist-entries", integer("hash-max-listpack-entries", &C::hash_max_listpack_entries, 0, kLong)),
    also("hash-max-ziplist-value", memory("hash-max-listpack-value", &C::hash_max_listpack_value)),
    also("list-max-ziplist-size", integer("list-max-listpack-size", &C::list_max_listpack_size, -kInt - 1, kInt)),
    integer("list-compress-depth", &C::list_compress_depth, 0, kInt),
    integer("set-max-intset-entries", &C::set_max_intset_entries, 0, kLong),
    also("zset-max-ziplist-entries", integer("zset-max-listpack-entries", &C::zset_max_listpack_entries, 0, kLong)),
    also("zset-max-ziplist-value", memory("zset-max-listpack-value", &C::zset_max_listpack_value)),

    // events, logs, scripts
    special("notify-keyspace-events", Kind::Events, &C::notify_keyspace_events, D::PerDatabase),
    integer("slowlog-log-slower-than", &C::slowlog_log_slower_than, -1, kLong, D::PerDatabase),
    integer("slowlog-max-len", &C::slowlog_max_len, 0, kLong),
    integer("latency-monitor-threshold", &C::latency_monitor_threshold, 0, kLong),
    boolean("latency-tracking", &C::latency_tracking),
    special("latency-tracking-info-percentiles", Kind::Percentiles, &C::latency_tracking_info_percentiles),
    also("lua-time-limit", integer("busy-reply-threshold", &C::busy_reply_threshold, 0, kLong)),
    integer("shutdown-timeout", &C::shutdown_timeout, 0, kInt),
    special("proc-title-template", Kind::TitleTemplate, &C::proc_title_template),
};

/// What is said for a database and has no default that could be said for all of them.
constexpr Directive kDatabaseDirectives[] = {
    memory("maxmemory", &C::budget),
    integer("default-ttl", &C::default_ttl, 0, kInt),
    choice("flush", &C::flush, kFlush),
    integer("maxclients", &C::client_limit, 0, std::numeric_limits<uint32_t>::max()),
    integer("memcached-port", &C::memcached_port, 0, 65535),
    special("memcached-bind", Kind::Words, &C::memcached_bind, 0, check_memcached_bind),
    string("memcached-unixsocket", &C::memcached_unixsocket, D::Immutable),
    integer("memcached-maxclients", &C::memcached_maxclients, 0, std::numeric_limits<uint32_t>::max()),
    integer("memcached-timeout", &C::memcached_timeout, 0, kInt),
    boolean("memcached-open-to-local", &C::memcached_open_to_local),
    {.name = "memcached-item-size-max", .kind = Kind::Memory, .member = &C::memcached_item_size_max,
     .maximum = limits::kMemcachedItemBytes},
};

constexpr bool per_database(const Directive& directive) { return directive.flags & D::PerDatabase; }
constexpr size_t kInherited = std::count_if(std::begin(kDirectives), std::end(kDirectives), per_database);

constexpr auto kAllOfDatabases = [] {
  std::array<const Directive*, kInherited + std::size(kDatabaseDirectives)> all{};
  size_t count = 0;
  for (const Directive& directive : kDirectives)
    if (per_database(directive)) all[count++] = &directive;
  for (const Directive& directive : kDatabaseDirectives) all[count++] = &directive;
  return all;
}();

template <class T>
T& value_of(const Directive& directive, Config& config) {
  return config.*std::get<T Config::*>(directive.member);
}
template <class T>
const T& value_of(const Directive& directive, const Config& config) {
  return config.*std::get<T Config::*>(directive.member);
}

Problem parse_bool(std::string_view text, bool& value) {
  if (!equals_ignoring_case(text, "yes") && !equals_ignoring_case(text, "no")) return "argument must be 'yes' or 'no'";
  value = equals_ignoring_case(text, "yes");
  return {};
}

/// Permissions as they are written, in octal digits.
Problem parse_octal(std::string_view text, int64_t& value) {
  if (text.empty() || text.size() > 20 || text.find_first_not_of("01234567") != std::string_view::npos)
    return "argument couldn't be parsed as an octal number";
  int64_t parsed = 0;
  for (const char digit : text) parsed = parsed * 8 + (digit - '0');
  value = parsed;
  return {};
}

Problem parse_number(const Directive& directive, std::string_view text, int64_t& value) {
  int64_t parsed = 0;
  if (directive.kind == Kind::Octal) {
    if (Problem problem = parse_octal(text, parsed); !problem.empty()) return problem;
  } else if (directive.kind == Kind::Memory) {
    // Redis reads the empty text as 0.
    const auto bytes = text.empty() ? std::optional<int64_t>(0) : parse_memory(text);
    if (!bytes || *bytes < 0) return "argument must be a memory value";
    parsed = *bytes;
  } else {
    const auto number = parse_int(text);
    if (!number) return "argument couldn't be parsed into an integer";
    parsed = *number;
  }
  if (parsed < directive.minimum || parsed > directive.maximum) {
    if (directive.kind == Kind::Octal)
      return fmt::format("argument must be between {:o} and {:o} inclusive", directive.minimum, directive.maximum);
    return fmt::format("argument must be between {} and {} inclusive", directive.minimum, directive.maximum);
  }
  value = parsed;
  return {};
}

Problem parse_memory_or_percent(std::string_view text, int64_t& value) {
  if (text.ends_with('%')) {
    const auto percent = parse_int(text.substr(0, text.size() - 1));
    if (!percent || *percent < 0) return "argument must be a memory or percent value";
    if (*percent > 100) return "percentage argument must be less or equal to 100";
    value = -*percent;
    return {};
  }
  const auto bytes = text.empty() ? std::optional<int64_t>(0) : parse_memory(text);
  if (!bytes || *bytes < 0) return "argument must be a memory or percent value";
  value = *bytes;
  return {};
}

Problem parse_choice(const Directive& directive, std::string_view text, std::string& value) {
  for (const std::string_view choice : directive.choices) {
    if (!equals_ignoring_case(text, choice)) continue;
    value = choice;
    return {};
  }
  return fmt::format("argument(s) must be one of the following: {}", fmt::join(directive.choices, ", "));
}

Problem parse(const Directive& directive, Config& config, std::string_view text) {
  switch (directive.kind) {
    case Kind::Bool: return parse_bool(text, value_of<bool>(directive, config));
    case Kind::Integer:
    case Kind::Memory:
    case Kind::Octal: return parse_number(directive, text, value_of<int64_t>(directive, config));
    case Kind::MemoryOrPercent: return parse_memory_or_percent(text, value_of<int64_t>(directive, config));
    case Kind::Enum: return parse_choice(directive, text, value_of<std::string>(directive, config));
    case Kind::String: value_of<std::string>(directive, config) = text; return {};
    case Kind::Words: {
      const auto words = split_words(text);
      value_of<std::vector<std::string>>(directive, config).assign(words.begin(), words.end());
      return {};
    }
    case Kind::Lines: {
      const auto lines = split_lines(text);
      value_of<std::vector<std::string>>(directive, config).assign(lines.begin(), lines.end());
      return {};
    }
    case Kind::Percentiles: return parse_percentiles(text, value_of<std::vector<double>>(directive, config));
    case Kind::OutputLimits: return parse_output_limits(text, value_of<std::array<OutputLimit, 3>>(directive, config));
    case Kind::Events: return parse_events(text, value_of<int64_t>(directive, config));
    case Kind::SaveRules: return parse_save_rules(text, value_of<std::vector<SaveRule>>(directive, config));
    case Kind::TitleTemplate: return parse_title_template(text, value_of<std::string>(directive, config));
  }
  return {};
}

bool is_called(const Directive& directive, std::string_view name) {
  return equals_ignoring_case(name, directive.name) || (!directive.alias.empty() && equals_ignoring_case(name, directive.alias));
}

}  // namespace

Config default_config() {
  Config config;
  config.database.resize(static_cast<size_t>(config.databases));
  // Where the working directory is gone, "." stays and the first use of it fails.
  std::error_code error;
  const auto directory = std::filesystem::current_path(error);
  if (!error) config.dir = directory.string();
  return config;
}

std::span<const Directive> directives() { return kDirectives; }

const Directive* find_directive(std::string_view name) {
  for (const Directive& directive : kDirectives)
    if (is_called(directive, name)) return &directive;
  return nullptr;
}

std::span<const Directive* const> database_directives() { return kAllOfDatabases; }

const Directive* find_database_directive(std::string_view name) {
  for (const Directive* directive : database_directives())
    if (is_called(*directive, name)) return directive;
  return nullptr;
}

Problem assign(const Directive& directive, Config& config, std::string_view text) {
  // Checks look at the value in its place; one that fails is taken back.
  const auto old = std::visit([&](auto member) { return Directive::Value(config.*member); }, directive.member);
  Problem problem = parse(directive, config, text);
  if (problem.empty() && directive.check) problem = directive.check(config);
  if (!problem.empty())
    std::visit([&](auto member) { config.*member = std::get<std::decay_t<decltype(config.*member)>>(old); }, directive.member);
  return problem;
}

std::string format(const Directive& directive, const Config& config) {
  switch (directive.kind) {
    case Kind::Bool: return value_of<bool>(directive, config) ? "yes" : "no";
    case Kind::Integer:
    case Kind::Memory: return fmt::format("{}", value_of<int64_t>(directive, config));
    case Kind::MemoryOrPercent: {
      const int64_t value = value_of<int64_t>(directive, config);
      return value < 0 ? fmt::format("{}%", -value) : fmt::format("{}", value);
    }
    case Kind::Octal: return fmt::format("{:o}", value_of<int64_t>(directive, config));
    case Kind::Words: return join_words(value_of<std::vector<std::string>>(directive, config));
    case Kind::Lines: return join_lines(value_of<std::vector<std::string>>(directive, config));
    case Kind::Percentiles: return format_percentiles(value_of<std::vector<double>>(directive, config));
    case Kind::OutputLimits: return format_output_limits(value_of<std::array<OutputLimit, 3>>(directive, config));
    case Kind::Events: return format_event_flags(static_cast<uint32_t>(value_of<int64_t>(directive, config)));
    case Kind::SaveRules: return format_save_rules(value_of<std::vector<SaveRule>>(directive, config));
    case Kind::Enum:
    case Kind::String:
    case Kind::TitleTemplate: return value_of<std::string>(directive, config);
  }
  return {};
}

std::string describe_allowed(const Directive& directive) {
  switch (directive.kind) {
    case Kind::Bool: return "yes (true) or no (false)";
    case Kind::Integer: return fmt::format("an integer from {} to {}", directive.minimum, directive.maximum);
    case Kind::Memory: return fmt::format("bytes, with kb, mb or gb where wished (100mb), at least {}", directive.minimum);
    case Kind::MemoryOrPercent: return "bytes, with kb, mb or gb where wished (100mb), or a share of maxmemory (\"5%\")";
    case Kind::Octal: return fmt::format("an octal number from {:o} to {:o}", directive.minimum, directive.maximum);
    case Kind::Enum: return fmt::format("{}", fmt::join(directive.choices, ", "));
    case Kind::String: return "a string";
    case Kind::Words: return "words separated by spaces, or an array of them";
    case Kind::Lines: return "strings, one for each, or an array of them";
    case Kind::Percentiles: return "numbers from 0 to 100";
    case Kind::OutputLimits: return "\"<normal|replica|pubsub> <hard bytes> <soft bytes> <soft seconds>\", once or more";
    case Kind::Events: return "a string of the characters Ag$lshzxeKEtmdn";
    case Kind::SaveRules: return "\"<seconds> <changes>\", any number of times";
    case Kind::TitleTemplate: return "a text with {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, {unixsocket}, {config-file}";
  }
  return {};
}

}  // namespace quartet::server
