#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/numbers.h"
#include "server/blocking.h"
#include "server/client_info.h"
#include "server/command_presets.h"
#include "server/commands/database_figures.h"
#include "server/commands/families.h"
#include "server/commands/memory_figures.h"
#include "server/scripting.h"
#include "server/version.h"

namespace quartet::server {

namespace {

/// The text of INFO as it grows. Sections and fields have the names and the order of Redis 7.0; a field whose feature
/// is not there shows what an idle Redis shows.
struct Report {
  Server& server;
  const User& user;  // who asks: databases that it may not reach are left out
  const CommandEntry& command;
  const Time now;
  std::string text = {};

  void section(std::string_view title) {
    fmt::format_to(std::back_inserter(text), "{}# {}\r\n", text.empty() ? "" : "\r\n", title);
  }
  template <class Value>
  void field(std::string_view name, const Value& value) {
    fmt::format_to(std::back_inserter(text), "{}:{}\r\n", name, value);
  }
  void flag(std::string_view name, bool value) { field(name, value ? 1 : 0); }
  void decimal(std::string_view name, double value) { field(name, fmt::format("{:.2f}", value)); }
  void zeros(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) field(name, 0);
  }
};

/// A size as people read it: "512B", "1.50K", "2.00G".
std::string human_size(size_t bytes) {
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double size = static_cast<double>(bytes);
  std::string_view unit;
  for (const std::string_view next : {"K", "M", "G", "T", "P"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = next;
  }
  return fmt::format("{:.2f}{}", size, unit);
}

void add_server(Report& report) {
  const Server& server = report.server;
  const int64_t uptime = (report.now.mono_us - server.started.mono_us) / 1'000'000;
  report.field("redis_version", kRedisVersion);
  report.field("quartet_version", kQuartetVersion);
  report.field("redis_git_sha1", "00000000");
  report.field("redis_git_dirty", 0);
  report.field("redis_build_id", "0");
  report.field("redis_mode", "standalone");
  report.field("os", operating_system());
  report.field("arch_bits", sizeof(void*) * 8);
  report.field("monotonic_clock", "POSIX clock_gettime");
  report.field("multiplexing_api", "epoll");
  report.field("atomicvar_api", "c11-builtin");
  report.field("gcc_version", fmt::format("{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__));
  report.field("process_id", ::getpid());
  report.field("process_supervised", "no");
  report.field("run_id", server.run_id);
  report.field("tcp_port", server.config.port ? server.config.port : server.config.tls_port);
  report.field("server_time_usec", report.now.wall_us);
  report.field("uptime_in_seconds", uptime);
  report.field("uptime_in_days", uptime / 86400);
  report.field("hz", server.config.hz);
  report.field("configured_hz", server.config.hz);
  report.field("lru_clock", report.now.wall_us / 1'000'000 & 0xffffff);
  report.field("executable", executable_path());
  report.field("config_file", server.config.file);
  report.field("io_threads_active", 0);
}

void add_clients(Report& report) {
  size_t input = 0, output = 0, with_deadline = 0;
  for (const auto& [id, session] : report.server.sessions()) {
    input = std::max(input, session->input.capacity());
    output = std::max(output, session->out.memory());
    with_deadline += session->blocked && session->blocked->deadline_us > 0;
  }
  report.field("connected_clients", report.server.sessions().size());
  report.field("cluster_connections", 0);
  report.field("maxclients", report.server.config.maxclients);
  report.field("client_recent_max_input_buffer", input);
  report.field("client_recent_max_output_buffer", output);
  report.field("blocked_clients", report.server.blocked_clients());
  report.field("tracking_clients", 0);
  report.field("clients_in_timeout_table", with_deadline);
}

void add_memory(Report& report) {
  Server& server = report.server;
  const MemoryFigures figures = memory_figures(server);
  const AllocatorFigures& allocator = figures.allocator;
  const auto size = [&](std::string_view name, size_t bytes) {
    report.field(name, bytes);
    report.field(fmt::format("{}_human", name), human_size(bytes));
  };
  const auto percent = [&](std::string_view name, double value) { report.field(name, fmt::format("{:.2f}%", value)); };
  size("used_memory", figures.used);
  size("used_memory_rss", figures.resident);
  size("used_memory_peak", figures.peak);
  percent("used_memory_peak_perc", figures.peak_percent());
  report.field("used_memory_overhead", figures.overhead);
  report.field("used_memory_startup", figures.startup);
  report.field("used_memory_dataset", figures.dataset);
  percent("used_memory_dataset_perc", figures.dataset_percent());
  report.field("allocator_allocated", allocator.allocated);
  report.field("allocator_active", allocator.active);
  report.field("allocator_resident", allocator.resident);
  size("total_system_memory", system_memory_bytes());
  report.field("used_memory_lua", figures.scripts);
  report.field("used_memory_vm_eval", figures.scripts);
  report.field("used_memory_lua_human", human_size(figures.scripts));
  report.field("used_memory_scripts_eval", 0);
  report.field("number_of_cached_scripts", server.scripting->cached_scripts());
  report.zeros({"number_of_functions", "number_of_libraries", "used_memory_vm_functions"});
  size("used_memory_vm_total", figures.scripts);
  report.field("used_memory_functions", 0);
  size("used_memory_scripts", 0);
  size("maxmemory", static_cast<size_t>(server.config.maxmemory));
  report.field("maxmemory_policy", server.config.maxmemory_policy);
  report.decimal("allocator_frag_ratio", ratio(allocator.active, allocator.allocated));
  report.field("allocator_frag_bytes", difference(allocator.active, allocator.allocated));
  report.decimal("allocator_rss_ratio", ratio(allocator.resident, allocator.active));
  report.field("allocator_rss_bytes", difference(allocator.resident, allocator.active));
  report.decimal("rss_overhead_ratio", ratio(figures.resident, allocator.resident));
  report.field("rss_overhead_bytes", difference(figures.resident, allocator.resident));
  report.decimal("mem_fragmentation_ratio", ratio(figures.resident, figures.used));
  report.field("mem_fragmentation_bytes", difference(figures.resident, figures.used));
  report.field("mem_not_counted_for_evict", server.memory_limit.not_counted());
  report.zeros({"mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"});
  report.field("mem_clients_normal", figures.clients);
  report.field("mem_cluster_links", 0);
  report.field("mem_aof_buffer", figures.log);
  report.field("mem_long_commands", figures.working);
  report.field("mem_allocator", allocator_name());
  report.field("active_defrag_running", 0);
  report.field("lazyfree_pending_objects", server.lazyfree_pending());
  report.field("lazyfreed_objects", server.stats.lazyfreed_objects);
}

std::string_view status(bool ok) { return ok ? "ok" : "err"; }

void add_loading(Report& report, const Loading& loading) {
  const Time now = report.server.clock.now();
  const uint64_t done = loading.done_bytes(), total = loading.total_bytes();
  const int64_t passed_us = now.mono_us - loading.began_us();
  report.field("loading_start_time", (now.wall_us - passed_us) / 1'000'000);
  report.field("loading_total_bytes", total);
  report.field("loading_rdb_used_mem", 0);
  report.field("loading_loaded_bytes", done);
  report.decimal("loading_loaded_perc", total ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 100);
  report.field("loading_eta_seconds",
               done ? static_cast<int64_t>(static_cast<double>(passed_us) / 1e6 * static_cast<double>(total - done) /
                                           static_cast<double>(done))
                    : 1);
}

void add_persistence(Report& report) {
  const Server& server = report.server;
  const Durability& durability = server.durability;
  const Durability::Outcomes& outcomes = durability.outcomes();
  const Saving& save = durability.current_save();
  const int64_t now_us = server.clock.now().mono_us;
  const auto seconds = [&](bool running, int64_t since_us) { return running ? (now_us - since_us) / 1'000'000 : -1; };
  report.flag("loading", durability.loading());
  report.zeros({"async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"});
  report.decimal("current_fork_perc", 0);
  report.field("current_save_keys_processed", save.running() ? save.entries_written() : 0);
  report.field("current_save_keys_total", save.running() ? save.entries() : 0);
  report.field("rdb_changes_since_last_save", server.stats.sum(&DatabaseStatistics::dirty));
  report.flag("rdb_bgsave_in_progress", durability.saving());
  report.field("rdb_last_save_time", outcomes.last_save_s);
  report.field("rdb_last_bgsave_status", status(outcomes.last_save_ok));
  report.field("rdb_last_bgsave_time_sec", outcomes.last_save_took_s);
  report.field("rdb_current_bgsave_time_sec", seconds(durability.saving(), durability.saving_since_us()));
  report.field("rdb_saves", outcomes.saves);
  report.field("rdb_last_cow_size", 0);
  report.field("rdb_last_load_keys_expired", outcomes.keys_expired);
  report.field("rdb_last_load_keys_loaded", outcomes.keys_loaded);
  const persistence::AofLog* log = durability.log();
  report.flag("aof_enabled", log != nullptr);
  report.flag("aof_rewrite_in_progress", durability.rewriting());
  report.flag("aof_rewrite_scheduled", durability.rewrite_scheduled());
  report.field("aof_last_rewrite_time_sec", outcomes.last_rewrite_took_s);
  report.field("aof_current_rewrite_time_sec", seconds(durability.rewriting(), durability.saving_since_us()));
  report.field("aof_last_bgrewrite_status", status(outcomes.last_rewrite_ok));
  report.field("aof_rewrites", outcomes.rewrites);
  report.field("aof_rewrites_consecutive_failures", outcomes.rewrite_failures);
  report.field("aof_last_write_status", status(!log || !log->failure()));
  report.zeros({"aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"});
  if (log) {
    report.field("aof_current_size", log->size());
    report.field("aof_base_size", log->base_size());
    report.field("aof_pending_rewrite", 0);
    report.field("aof_buffer_length", log->backlog());
    report.flag("aof_pending_bio_fsync", log->job_under_way());
    report.field("aof_delayed_fsync", 0);
  }
  if (const Loading* loading = durability.load()) add_loading(report, *loading);
}

void add_stats(Report& report) {
  const Server& server = report.server;
  const Statistics& stats = server.stats;
  const auto kbps = [&](std::string_view name, const Statistics::Rate& rate) {
    report.decimal(name, static_cast<double>(rate.per_second()) / 1024);
  };
  report.field("total_connections_received", stats.connections_received);
  report.field("total_commands_processed", stats.commands_processed);
  report.field("instantaneous_ops_per_sec", stats.commands_rate.per_second());
  report.field("total_net_input_bytes", stats.net_input_bytes);
  report.field("total_net_output_bytes", stats.net_output_bytes);
  report.zeros({"total_net_repl_input_bytes", "total_net_repl_output_bytes"});
  kbps("instantaneous_input_kbps", stats.input_rate);
  kbps("instantaneous_output_kbps", stats.output_rate);
  report.decimal("instantaneous_input_repl_kbps", 0);
  report.decimal("instantaneous_output_repl_kbps", 0);
  report.field("rejected_connections", stats.connections_rejected);
  report.zeros({"sync_full", "sync_partial_ok", "sync_partial_err"});
  report.field("expired_keys", stats.expired_keys);
  report.decimal("expired_stale_perc", 0);
  report.field("expired_time_cap_reached_count", stats.time_cap_reached);
  report.field("expire_cycle_cpu_milliseconds", stats.expire_cycle_cpu_us / 1000);
  report.field("evicted_keys", stats.evicted_keys);
  report.field("evicted_clients", stats.evicted_clients);
  const int64_t exceeded_us = server.memory_limit.exceeded_for_us(report.now);
  report.field("total_eviction_exceeded_time", (stats.eviction_exceeded_us + exceeded_us) / 1000);
  report.field("current_eviction_exceeded_time", exceeded_us / 1000);
  report.field("keyspace_hits", stats.sum(&DatabaseStatistics::keyspace_hits));
  report.field("keyspace_misses", stats.sum(&DatabaseStatistics::keyspace_misses));
  report.field("pubsub_channels", server.pubsub.channel_count(PubSub::Kind::Channel));
  report.field("pubsub_patterns", server.pubsub.channel_count(PubSub::Kind::Pattern));
  report.field("pubsubshard_channels", server.pubsub.channel_count(PubSub::Kind::Shard));
  report.zeros({"latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys",
                "active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses",
                "total_active_defrag_time", "current_active_defrag_time", "tracking_total_keys", "tracking_total_items",
                "tracking_total_prefixes"});
  report.field("unexpected_error_replies", stats.unexpected_errors);
  report.field("total_error_replies", stats.error_replies);
  report.field("dump_payload_sanitizations", 0);
  report.field("total_reads_processed", stats.reads_processed);
  report.field("total_writes_processed", stats.writes_processed);
  report.zeros(
      {"io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands"});
  report.field("handshake_timeouts", stats.handshake_timeouts);
  report.field("handshake_failures", stats.handshake_failures);
}

void add_replication(Report& report) {
  report.field("role", "master");
  report.field("connected_slaves", 0);
  report.field("master_failover_state", "no-failover");
  report.field("master_replid", report.server.run_id);
  report.field("master_replid2", std::string(40, '0'));
  report.field("master_repl_offset", 0);
  report.field("second_repl_offset", -1);
  report.field("repl_backlog_active", 0);
  report.field("repl_backlog_size", 1048576);
  report.zeros({"repl_backlog_first_byte_offset", "repl_backlog_histlen"});
}

void add_cpu(Report& report) {
  const CpuTimes times = cpu_times();
  const auto seconds = [&](std::string_view name, int64_t us) {
    report.field(name, fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000));
  };
  seconds("used_cpu_sys", times.system_us);
  seconds("used_cpu_user", times.user_us);
  seconds("used_cpu_sys_children", times.children_system_us);
  seconds("used_cpu_user_children", times.children_user_us);
  seconds("used_cpu_sys_main_thread", times.main_thread_system_us);
  seconds("used_cpu_user_main_thread", times.main_thread_user_us);
}

/// Calls `visit` for every command, those with subcommands before these.
template <class Visit>
void for_each_command(const Server& server, Visit visit) {
  for (const auto* commands : {&server.commands.all(), &server.commands.all_memcached()}) {
    for (const auto& command : *commands) {
      visit(*command);
      for (const auto& sub : command->subcommands) visit(*sub);
    }
  }
}

void add_commandstats(Report& report) {
  for_each_command(report.server, [&](const CommandEntry& command) {
    const CommandStats& stats = command.stats;
    if (!stats.calls && !stats.rejected && !stats.failed) return;
    report.field(fmt::format("cmdstat_{}", command.full_name),
                 fmt::format("calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}", stats.calls,
                             stats.microseconds, ratio(stats.microseconds, stats.calls), stats.rejected, stats.failed));
  });
}

void add_errorstats(Report& report) {
  for (const auto& [code, count] : report.server.stats.errors)
    report.field(fmt::format("errorstat_{}", code), fmt::format("count={}", count));
}

void add_latencystats(Report& report) {
  for_each_command(report.server, [&](const CommandEntry& command) {
    if (!command.stats.histogram) return;
    std::string shares;
    for (const double percent : report.server.config.latency_tracking_info_percentiles)
      shares += fmt::format("{}p{}={:.3f}", shares.empty() ? "" : ",", percent,
                            static_cast<double>(command.stats.histogram->percentile(percent)) / 1000);
    report.field(fmt::format("latency_percentiles_usec_{}", command.full_name), shares);
  });
}

void add_keyspace(Report& report) {
  for (const auto& db : report.server.databases) {
    if (db->size() == 0 || !report.user.may_use(report.command, db->index())) continue;
    report.field(fmt::format("db{}", db->index()),
                 fmt::format("keys={},expires={},avg_ttl={}", db->size(), db->expiring(), db->average_ttl()));
  }
}

/// A key's name as a value in a line of INFO, where readers divide at commas and equality signs.
std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const bool harmless = c > ' ' && c <= '~' && c != ',' && c != '=' && c != '\\';
    text += harmless ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text;
}

/// The names of the fields begin with that of the section, because readers of INFO mostly throw all sections together.
void add_database(Report& report, const DatabaseFigures& figures) {
  const int index = figures.keyspace.index();
  const auto named = [&](std::string_view name) { return fmt::format("database_{}_{}", index, name); };
  report.field(named("name"), figures.settings.name);
  figures.each([&](std::string_view name, int64_t value) { report.field(named(name), value); },
               [&](std::string_view name, double value) { report.field(named(name), fmt::format("{:.3f}", value)); });
  size_t number = 0;
  for (const QueueSurvey::Queue& queue :
       report.server.queues.ask(figures.keyspace, report.now, QueueSurvey::kEachBuckets))
    report.field(named(fmt::format("queue_{}", number++)),
                 fmt::format("name={},length={}", plain(queue.name), queue.length));
}

struct Section {
  std::string_view title;
  bool by_default;
  void (*add)(Report&);
};

constexpr Section kSections[] = {
    {"Server", true, add_server},
    {"Clients", true, add_clients},
    {"Memory", true, add_memory},
    {"Persistence", true, add_persistence},
    {"Stats", true, add_stats},
    {"Replication", true, add_replication},
    {"CPU", true, add_cpu},
    {"Modules", true, [](Report&) {}},
    {"Commandstats", false, add_commandstats},
    {"Errorstats", true, add_errorstats},
    {"Latencystats", false, add_latencystats},
    {"Cluster", true, [](Report& report) { report.field("cluster_enabled", 0); }},
    {"Keyspace", true, add_keyspace},
};

void info_command(Context& ctx) {
  const Args wanted = ctx.args.subspan(1);
  const auto named = [&](std::string_view name) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](std::string_view word) { return equals_ignoring_case(word, name); });
  };
  const bool all = named("all") || named("everything");
  const bool defaults = wanted.empty() || named("default");
  Report report{ctx.server, *ctx.session.user, ctx.command, ctx.now};
  for (const Section& section : kSections) {
    if (!all && !(defaults && section.by_default) && !named(section.title)) continue;
    report.section(section.title);
    section.add(report);
  }
  // Sections of databases are not among the default ones: who asks for these expects what Redis shows.
  constexpr std::string_view kDatabase = "Database_";
  const bool databases = all || named("databases");
  const bool one = std::any_of(wanted.begin(), wanted.end(), [&](std::string_view word) {
    return equals_ignoring_case(word.substr(0, kDatabase.size()), kDatabase);
  });
  for (const auto& db : ctx.server.databases) {
    if (!databases && !one) break;
    if (!report.user.may_use(report.command, db->index())) continue;
    const DatabaseFigures figures(ctx.server, db->index());
    const std::string title = fmt::format("{}{}", kDatabase, db->index());
    if (!(databases && figures.worth_showing()) && !named(title)) continue;
    report.section(title);
    add_database(report, figures);
  }
  ctx.reply.verbatim(report.text);
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "info", .arity = -1, .flags = kLoading | kStale,
     .categories = kDangerous, .group = "server", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells the state of the server, by sections.",
     .syntax = "[section [section ...]]",
     .handler = info_command, .tips = tips::kNondeterministicAllShards},
};

}  // namespace

std::span<const Command> info_commands() { return kCommands; }

}  // namespace quartet::server
