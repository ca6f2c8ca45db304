#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/log.h"

namespace quartet::server {

/// One class of `client-output-buffer-limit`: bytes, bytes, seconds. 0 is no limit.
struct OutputLimit {
  int64_t hard_bytes = 0;
  int64_t soft_bytes = 0;
  int64_t soft_seconds = 0;
};

/// One rule of `save`: a snapshot when so many changes are unsaved and so many seconds have passed since the last one.
struct SaveRule {
  int64_t seconds = 0;  // at least 1; any int64_t, so that a multiple of it may overflow
  int64_t changes = 0;  // at least 0
};

/// The settings that each database can have for itself. A new one is a member here and a line in config_table.cc: with the
/// flag `PerDatabase` where what is said for the whole server is the default of every database, or in the table of those
/// that only databases have, also where the whole server has another setting of the same name.
struct DatabaseSettings {
  bool appendonly = false;
  std::string appendfsync = "everysec";  // everysec | always | no
  std::vector<SaveRule> save_rules;      // of `save`
  int64_t notify_keyspace_events = 0;    // bits, see keyspace_events.h
  int64_t slowlog_log_slower_than = 10000;  // microseconds
  int64_t budget = 0;                    // `maxmemory` of the database, in bytes; 0 is no limit
  std::string maxmemory_policy = "noeviction";
  int64_t maxmemory_samples = 5;
  int64_t lfu_log_factor = 10;
  int64_t lfu_decay_time = 1;            // minutes
  int64_t default_ttl = 0;               // seconds; 0: keys that are written without an expiry have none
  std::string flush = "allowed";         // allowed | protected
  int64_t client_limit = 0;              // `maxclients` of the database; 0 is no limit

  // The listener for memcached's protocol.
  int64_t memcached_port = 0;                                      // 0: no TCP
  std::vector<std::string> memcached_bind = {"127.0.0.1", "-::1"};
  std::string memcached_unixsocket;
  int64_t memcached_maxclients = 0;                                // 0: no cap but that of the server
  int64_t memcached_timeout = 0;                                   // seconds; 0: never
  bool memcached_open_to_local = false;                            // whether this machine's clients need no password
  int64_t memcached_item_size_max = 0;                             // bytes; 0: `proto-max-bulk-len`
};

/// One database: the values in effect, its own or the default.
struct DatabaseConfig : DatabaseSettings {
  std::string name;                          // empty: the database has only its number
  std::vector<std::string_view> overridden;  // names of the directives of which it has its own value

  bool overrides(std::string_view directive) const {
    return std::find(overridden.begin(), overridden.end(), directive) != overridden.end();
  }
};

/// Every setting with its default. Names are Redis's directive names with `_` for `-`; the table in config_table.cc
/// is the one place that knows names and bounds. What it has of DatabaseSettings is the default of every database,
/// and not to be asked for what a database does: `database[i]` says that.
struct Config : DatabaseSettings {
  // network
  std::vector<std::string> bind = {"127.0.0.1", "-::1"};
  int64_t port = 6379;
  std::string unixsocket;
  int64_t unixsocketperm = 0;  // octal in the file
  int64_t tcp_backlog = 511;
  int64_t timeout = 0;         // seconds
  int64_t tcp_keepalive = 300; // seconds
  bool protected_mode = true;
  int64_t maxclients = 10000;
  int64_t maxclients_per_address = 0;        // 0: no limit
  bool maxclients_per_address_local = false;  // whether it holds for this machine's own addresses too
  int64_t handshake_timeout = 30;            // seconds; 0: never
  std::array<OutputLimit, 3> client_output_buffer_limit = {OutputLimit{0, 0, 0}, OutputLimit{268435456, 67108864, 60},
                                                           OutputLimit{33554432, 8388608, 60}};
  int64_t client_query_buffer_limit = limits::kQueryBufferBytes;
  int64_t proto_max_bulk_len = limits::kBulkBytes;

  // TLS
  int64_t tls_port = 0;
  std::string tls_cert_file, tls_key_file, tls_key_file_pass;
  std::string tls_ca_cert_file, tls_ca_cert_dir;
  std::string tls_dh_params_file;
  std::string tls_auth_clients = "yes";  // yes | no | optional
  std::string tls_protocols;             // empty: TLSv1.2 and TLSv1.3
  std::string tls_ciphers, tls_ciphersuites;
  bool tls_prefer_server_ciphers = false;
  bool tls_session_caching = true;
  int64_t tls_session_cache_size = 20480;
  int64_t tls_session_cache_timeout = 300;  // seconds

  // general
  int64_t databases = 16;
  std::string loglevel = "notice";
  std::string logfile;
  std::string pidfile;
  std::string dir = ".";  // absolute once it was loaded
  bool daemonize = false;  // known, so that `no` is accepted
  int64_t hz = 10;
  bool dynamic_hz = true;
  bool activerehashing = true;
  bool lazyfree_lazy_user_del = false;
  bool lazyfree_lazy_user_flush = false;
  bool lazyfree_lazy_expire = false;
  bool lazyfree_lazy_eviction = false;
  bool lazyfree_lazy_server_del = false;

  // security
  std::string requirepass;
  std::string enable_debug_command = "no";    // no | yes | local
  std::string enable_protected_configs = "no";
  std::string aclfile;
  std::string acl_pubsub_default = "resetchannels";  // resetchannels | allchannels
  int64_t acllog_max_len = 128;
  std::vector<std::string> users;  // of `user`: "alice on >password ~* +@all", one string a user

  // memory
  int64_t maxmemory = 0;                        // of the whole server, in bytes; 0 is no limit
  int64_t maxmemory_clients = 0;                // of all clients, in bytes, or in percent of maxmemory where negative; 0 is no limit
  int64_t maxmemory_eviction_tenacity = 10;     // 0 to 100, see MemoryLimit

  // persistence
  std::string appenddirname = "appendonlydir";
  std::string appendfilename = "appendonly.aof";
  int64_t auto_aof_rewrite_percentage = 100;  // 0: never
  int64_t auto_aof_rewrite_min_size = 67108864;
  bool aof_load_truncated = true;
  bool no_appendfsync_on_rewrite = false;
  bool aof_use_rdb_preamble = true;    // known, so that `yes` is accepted
  bool aof_timestamp_enabled = false;  // known, so that `no` is accepted
  bool aof_rewrite_incremental_fsync = true;
  std::string dbfilename = "dump.rdb";
  bool rdbcompression = true;
  bool rdbchecksum = true;
  bool rdb_save_incremental_fsync = true;
  bool stop_writes_on_bgsave_error = true;

  // data structures
  int64_t hash_max_listpack_entries = 512;
  int64_t hash_max_listpack_value = 64;
  int64_t list_max_listpack_size = -2;
  int64_t list_compress_depth = 0;
  int64_t set_max_intset_entries = 512;
  int64_t zset_max_listpack_entries = 128;
  int64_t zset_max_listpack_value = 64;

  // events, logs, scripts
  int64_t slowlog_max_len = 128;
  int64_t latency_monitor_threshold = 0;  // ms
  bool latency_tracking = true;
  std::vector<double> latency_tracking_info_percentiles = {50, 99, 99.9};
  int64_t busy_reply_threshold = 5000;  // ms; also lua-time-limit
  int64_t shutdown_timeout = 10;        // seconds
  std::string proc_title_template = "{title} {listen-addr} {server-mode}";

  std::vector<DatabaseConfig> database;  // one for each of `databases`

  std::string file;  // the file it was read from, absolute; empty where there was none
};

/// Why a change of settings is refused.
struct ConfigFault {
  /// `settings` are those that may be at fault, the likelier ones first: names of directives, each for the whole server and for
  /// databases, or `db.1.memcached-port`. Of these the first that was changed is blamed; where there is none, whatever was.
  ConfigFault(std::string reason, std::vector<std::string> at_fault = {}) : problem(std::move(reason)), settings(std::move(at_fault)) {}

  std::string problem;  // without "ERR"
  std::vector<std::string> settings;
};

/// Reads and writes settings by name: the command line, the file, CONFIG GET, SET and REWRITE.
class ConfigStore {
 public:
  ConfigStore();

  const Config& values() const { return config_; }

  /// `arguments` are those of main without argv[0]: [FILE] [--name value ...]. On failure a line that names file, key,
  /// what is wrong and what is allowed.
  [[nodiscard]] std::optional<std::string> load(const std::vector<std::string>& arguments);

  /// Pairs of name and value whose name matches one of the patterns (CONFIG GET), in the order of the table, then
  /// by database. A pattern that begins with "db." shows the databases that have a name or a value of their own. Where
  /// `shown` is given, settings of databases for which it is false are left out.
  std::vector<std::pair<std::string, std::string>> get(const std::vector<std::string_view>& patterns,
                                                       const std::function<bool(int database)>& shown = {}) const;

  /// Sets all or none (CONFIG SET). On failure the whole text of the error reply as Redis 7.0 words it:
  /// "ERR Unknown option or number of arguments for CONFIG SET - 'x'", "ERR CONFIG SET failed (possibly related to argument 'x') - ...".
  /// `local_client` is whether the client is one of this machine, which `enable-protected-configs local` asks.
  [[nodiscard]] std::optional<std::string> set(const std::vector<std::pair<std::string_view, std::string_view>>& pairs,
                                               bool local_client = false);

  /// What `user` will say in the file after the next rewrite: see Config::users.
  void set_users(std::vector<std::string> users) { config_.users = std::move(users); }

  /// Called after a successful set with the names that changed, or are read anew (Directive::Reload): `appendonly` where the
  /// default did, which databases without their own value follow, and `db.1.appendonly`, always by the index, where a database
  /// got its own. If it returns a fault, the set is undone, and every listener that was called
  /// is called again with the old values in place.
  using Listener = std::function<std::optional<ConfigFault>(const std::vector<std::string_view>& names)>;
  void on_change(Listener listener) { listeners_.push_back(std::move(listener)); }

  /// Writes what differs from the file's values into the file; comments, order and layout of what is there remain. On
  /// failure the text of the error reply.
  [[nodiscard]] std::optional<std::string> rewrite();

 private:
  std::optional<ConfigFault> notify(const std::vector<std::string_view>& names, size_t& notified) const;

  Config config_;
  std::vector<Listener> listeners_;
};

}  // namespace quartet::server
