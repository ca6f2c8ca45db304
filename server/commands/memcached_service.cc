// What memcached's protocol has beside its items: statistics, flush_all, version and the like, and what answers a line
// that is no command.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/limits.h"
#include "base/numbers.h"
#include "protocol/memcached_parser.h"
#include "server/commands/families.h"
#include "server/commands/memcached_items.h"
#include "server/process_info.h"
#include "server/server.h"
#include "server/version.h"

namespace quartet::server {

namespace {

using protocol::MemcachedReply;

const DatabaseConfig& settings_of(const Context& ctx) {
  return ctx.server.config.database[static_cast<size_t>(ctx.db().index())];
}

uint64_t evictions_of(Context& ctx) { return ctx.server.stats.database(ctx.db().index()).evicted_keys; }

// --- Statistics ------------------------------------------------------------------------------------------------------

class StatReply {
 public:
  explicit StatReply(Context& ctx) : reply_(ctx.reply) {}

  template <class Value>
  void field(std::string_view name, const Value& value) {
    reply_.line(fmt::format("STAT {} {}", name, value));
  }
  void end() { reply_.line("END"); }

 private:
  MemcachedReply reply_;
};

/// The figures of memcached that have a meaning here, under its names and in its order.
void general_stats(Context& ctx) {
  const Server& server = ctx.server;
  const MemcachedService& service = ctx.session.memcached->service;
  const MemcachedStatistics& stats = service.stats;
  const DatabaseConfig& settings = settings_of(ctx);
  const int64_t most_clients =
      settings.memcached_maxclients > 0 ? settings.memcached_maxclients : server.config.maxclients;
  const CpuTimes times = cpu_times();
  const auto seconds = [](int64_t us) { return fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000); };
  StatReply out(ctx);
  out.field("pid", ::getpid());
  out.field("uptime", (ctx.now.mono_us - server.started.mono_us) / 1'000'000);
  out.field("time", ctx.now.wall_us / 1'000'000);
  out.field("version", kMemcachedVersion);
  out.field("quartet_version", kQuartetVersion);
  out.field("database", ctx.db().index());
  out.field("pointer_size", 8 * sizeof(void*));
  out.field("rusage_user", seconds(times.user_us));
  out.field("rusage_system", seconds(times.system_us));
  out.field("max_connections", most_clients);
  out.field("curr_connections", service.sessions);
  out.field("total_connections", stats.total_connections);
  out.field("rejected_connections", stats.rejected_connections);
  out.field("cmd_get", stats.cmd_get);
  out.field("cmd_set", stats.cmd_set);
  out.field("cmd_flush", stats.cmd_flush);
  out.field("cmd_touch", stats.cmd_touch);
  out.field("cmd_meta", stats.cmd_meta);
  out.field("get_hits", stats.get_hits);
  out.field("get_misses", stats.get_misses);
  out.field("delete_misses", stats.delete_misses);
  out.field("delete_hits", stats.delete_hits);
  out.field("incr_misses", stats.incr_misses);
  out.field("incr_hits", stats.incr_hits);
  out.field("decr_misses", stats.decr_misses);
  out.field("decr_hits", stats.decr_hits);
  out.field("cas_misses", stats.cas_misses);
  out.field("cas_hits", stats.cas_hits);
  out.field("cas_badval", stats.cas_badval);
  out.field("touch_hits", stats.touch_hits);
  out.field("touch_misses", stats.touch_misses);
  out.field("store_too_large", stats.store_too_large);
  out.field("auth_cmds", stats.auth_cmds);
  out.field("auth_errors", stats.auth_errors);
  out.field("idle_kicks", stats.idle_kicks);
  out.field("bytes_read", stats.bytes_read);
  out.field("bytes_written", stats.bytes_written);
  out.field("limit_maxbytes", settings.budget);
  out.field("accepting_conns", 1);
  out.field("threads", 1);
  out.field("hash_bytes", ctx.db().table_memory());
  out.field("bytes", ctx.db().memory());
  out.field("curr_items", ctx.db().size());
  out.field("total_items", stats.total_items);
  out.field("evictions", evictions_of(ctx));
  out.end();
}

void settings_stats(Context& ctx) {
  const DatabaseConfig& settings = settings_of(ctx);
  const Config& config = ctx.server.config;
  StatReply out(ctx);
  out.field("maxbytes", settings.budget);
  out.field("maxconns", settings.memcached_maxclients > 0 ? settings.memcached_maxclients : config.maxclients);
  out.field("tcpport", settings.memcached_port);
  out.field("udpport", 0);
  out.field("inter", fmt::format("{}", fmt::join(settings.memcached_bind, ",")));
  out.field("evictions", settings.maxmemory_policy == "noeviction" ? "off" : "on");
  out.field("domain_socket",
            settings.memcached_unixsocket.empty() ? std::string_view("NULL") : settings.memcached_unixsocket);
  out.field("shutdown_command", "no");
  out.field("num_threads", 1);
  out.field("cas_enabled", "yes");
  out.field("tcp_backlog", config.tcp_backlog);
  out.field("binding_protocol", "ascii");
  out.field("auth_enabled_sasl", "no");
  out.field("auth_enabled_ascii", ctx.server.acl.default_user().open_to_all() ? "no" : "yes");
  out.field("item_size_max", ctx.server.memcached_item_bytes(ctx.db().index()));
  out.field("idle_timeout", settings.memcached_timeout);
  out.end();
}

/// There are no slabs of items of one size: all items are shown as those of one.
void items_stats(Context& ctx) {
  StatReply out(ctx);
  if (ctx.db().size() > 0) {
    out.field("items:1:number", ctx.db().size());
    out.field("items:1:mem_requested", ctx.db().memory());
    out.field("items:1:evicted", evictions_of(ctx));
  }
  out.end();
}

void slabs_stats(Context& ctx) {
  const MemcachedStatistics& stats = memcached_stats(ctx);
  StatReply out(ctx);
  if (ctx.db().size() > 0) {
    out.field("1:used_chunks", ctx.db().size());
    out.field("1:get_hits", stats.get_hits);
    out.field("1:cmd_set", stats.cmd_set);
    out.field("1:delete_hits", stats.delete_hits);
    out.field("1:incr_hits", stats.incr_hits);
    out.field("1:decr_hits", stats.decr_hits);
    out.field("1:cas_hits", stats.cas_hits);
    out.field("1:cas_badval", stats.cas_badval);
    out.field("1:touch_hits", stats.touch_hits);
  }
  out.field("active_slabs", ctx.db().size() > 0 ? 1 : 0);
  out.field("total_malloced", ctx.db().memory());
  out.end();
}

void conns_stats(Context& ctx) {
  StatReply out(ctx);
  for (const auto& [id, session] : ctx.server.sessions()) {
    if (!session->memcached || session->database != ctx.db().index()) continue;
    const auto field = [&](std::string_view name, const auto& value) {
      out.field(fmt::format("{}:{}", session->descriptor, name), value);
    };
    field("addr", fmt::format("{}:{}", session->unix_socket ? "unix" : "tcp", session->address));
    field("listen_addr", fmt::format("{}:{}", session->unix_socket ? "unix" : "tcp", session->local_address));
    field("state", session.get() == &ctx.session ? "conn_parse_cmd" : "conn_read");
    field("secs_since_last_cmd", (ctx.now.mono_us - session->last_active.mono_us) / 1'000'000);
  }
  out.end();
}

void stats_command(Context& ctx) {
  if (ctx.args.size() == 1) return general_stats(ctx);
  MemcachedReply reply(ctx.reply);
  const std::string_view what = ctx.arg(1);
  if (what == "settings") return settings_stats(ctx);
  if (what == "items") return items_stats(ctx);
  if (what == "slabs") return slabs_stats(ctx);
  if (what == "conns") return conns_stats(ctx);
  if (what == "sizes") {
    StatReply out(ctx);
    out.field("sizes_status", "disabled");
    return out.end();
  }
  if (what != "reset") return reply.error(errors::memcached::kWords);
  memcached_stats(ctx) = {};
  reply.line("RESET");
}

// --- Others ----------------------------------------------------------------------------------------------------------

/// flush_all [delay] [noreply]: at once, after a delay, or, for a time of day that has passed, of what is older than
/// that: nothing.
void flush_all_command(Context& ctx) {
  if (ctx.args.size() > 3) return MemcachedReply(ctx.reply).error(errors::memcached::kWords);
  TextReply reply(ctx);
  const bool with_delay = ctx.args.size() > (ctx.session.memcached->quiet ? 2 : 1);
  auto delay = with_delay ? protocol::parse_memcached_int(ctx.arg(1)) : 0;
  if (!delay) return reply.error("CLIENT_ERROR invalid exptime argument");
  delay = signed_exptime(*delay);
  // One that is put off is refused at once where it would be.
  if (const auto refusal = ctx.server.flush_refusal(ctx.db().index())) return ctx.reply.error(*refusal);
  MemcachedService& service = ctx.session.memcached->service;
  ++service.stats.cmd_flush;
  service.flush_at_us = 0;
  const int64_t wait_s = *delay <= kMemcachedRelativeSeconds ? *delay : *delay - ctx.now.wall_us / 1'000'000;
  if (*delay <= 0) {
    if (const auto refusal = ctx.server.flush(ctx.db().index())) return ctx.reply.error(*refusal);
    ctx.databases_changed();
    ctx.effect({"FLUSHDB"});
  } else if (wait_s > 0) {
    service.flush_at_us = ctx.now.mono_us + std::min<int64_t>(wait_s, INT32_MAX) * 1'000'000;
  }
  reply.line("OK");
}

void version_command(Context& ctx) { MemcachedReply(ctx.reply).line(fmt::format("VERSION {}", kMemcachedVersion)); }

/// Accepted without effect: the log's level is the server's, not a client's.
void verbosity_command(Context& ctx) {
  if (ctx.args.size() < 2 || ctx.args.size() > 3) return MemcachedReply(ctx.reply).error(errors::memcached::kWords);
  TextReply reply(ctx);
  if (!protocol::parse_memcached_uint(ctx.arg(1))) return reply.error(errors::memcached::kFormat);
  reply.line("OK");
}

void shutdown_command(Context& ctx) { MemcachedReply(ctx.reply).error("ERROR: shutdown not enabled"); }

void quit_command(Context& ctx) { ctx.server.disconnect(ctx.session, true); }

/// What a line becomes that is wrong or no command: its error is the one argument.
void error_command(Context& ctx) { MemcachedReply(ctx.reply).error(ctx.arg(0)); }

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr uint32_t kTells = kMemcached | kLoading | kStale | kFast;

constexpr Command kCommands[] = {
    {.name = "error", .arity = -1, .flags = kTells | kInternal | kAllowBusy,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Is what a line becomes that is wrong or no command.",
     .syntax = "error",
     .handler = error_command},
    {.name = "flush_all", .arity = -1, .flags = kMemcached | kWrite,
     .categories = kKeyspace | kDangerous, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Deletes all items, at once or later.",
     .syntax = "[delay] [NOREPLY]",
     .handler = flush_all_command},
    {.name = "quit", .arity = -1, .flags = kTells | kNoAuth | kAllowBusy,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Closes the connection.",
     .handler = quit_command},
    {.name = "shutdown", .arity = -1, .flags = kTells,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Is refused.",
     .handler = shutdown_command},
    {.name = "stats", .arity = -1, .flags = kTells,
     .categories = kDangerous, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells the figures of the database and of its clients by this protocol.",
     .syntax = "[SETTINGS | ITEMS | SLABS | CONNS | SIZES | RESET]",
     .handler = stats_command},
    {.name = "verbosity", .arity = -1, .flags = kTells,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Is accepted without effect.",
     .syntax = "level [NOREPLY]",
     .handler = verbosity_command},
    {.name = "version", .arity = -1, .flags = kTells,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells the version of memcached that clients are to expect.",
     .handler = version_command},
};

}  // namespace

std::span<const Command> memcached_service_commands() { return kCommands; }

}  // namespace quartet::server
