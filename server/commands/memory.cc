#include <fmt/format.h>

#include <algorithm>

#include "server/arguments.h"
#include "server/client_info.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/commands/memory_figures.h"
#include "server/scripting.h"

namespace quartet::server {

MemoryFigures memory_figures(Server& server) {
  MemoryFigures figures{};
  figures.allocator = allocator_figures();
  figures.used = server.used_memory();
  figures.peak = server.stats.peak_memory = std::max(server.stats.peak_memory, figures.used);
  figures.startup = server.stats.startup_memory;
  for (const auto& [id, session] : server.sessions()) figures.clients += client_memory(*session);
  figures.scripts = server.scripting->memory();
  if (const persistence::AofLog* log = server.durability.log()) figures.log = log->memory();
  figures.snapshot = server.durability.current_save().memory();
  figures.working = server.long_commands.memory();
  figures.garbage = server.garbage_bytes();
  figures.buffers = server.buffer_memory();
  figures.statistics = server.stats.memory() + server.commands.stats_memory() + server.slowlog.memory();
  const size_t scripts_since = figures.scripts - std::min(figures.scripts, server.stats.startup_scripts_memory);
  figures.own = figures.startup + figures.clients + scripts_since + figures.log + figures.snapshot + figures.working +
                figures.garbage + figures.buffers + figures.statistics;
  for (const auto& db : server.databases) {
    figures.tables += db->table_memory();
    figures.keys += db->size();
  }
  figures.overhead = figures.own + figures.tables;
  figures.dataset = figures.used > figures.overhead ? figures.used - figures.overhead : 0;
  figures.resident = resident_bytes();
  return figures;
}

namespace {

/// An entry is charged in whole, so nothing is estimated and SAMPLES is read only for its errors.
void memory_usage_command(Context& ctx) {
  Arguments in(ctx, 3);
  while (in.more()) {
    if (in.option("SAMPLES", 1)) {
      if (in.integer() < 0) in.fail(errors::kSyntax);
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok()) return;
  const storage::Entry* entry = ctx.db().find(ctx.arg(2), ctx.now_ms());
  if (!entry) return ctx.reply.null();
  ctx.reply.integer(static_cast<int64_t>(storage::memory_of(*entry)));
}

void memory_stats_command(Context& ctx) {
  const MemoryFigures figures = memory_figures(ctx.server);
  const protocol::Reply::Open open = ctx.reply.begin();
  size_t pairs = 0;
  const auto integer = [&](std::string_view name, int64_t value) {
    ctx.reply.bulk(name);
    ctx.reply.integer(value);
    ++pairs;
  };
  const auto bytes = [&](std::string_view name, size_t value) { integer(name, static_cast<int64_t>(value)); };
  const auto number = [&](std::string_view name, double value) {
    ctx.reply.bulk(name);
    ctx.reply.number(value);
    ++pairs;
  };
  bytes("peak.allocated", figures.peak);
  bytes("total.allocated", figures.used);
  bytes("startup.allocated", figures.startup);
  bytes("replication.backlog", 0);
  bytes("clients.slaves", 0);
  bytes("clients.normal", figures.clients);
  bytes("cluster.links", 0);
  bytes("aof.buffer", figures.log);
  bytes("long.commands", figures.working);
  bytes("lua.caches", figures.scripts);
  bytes("functions.caches", 0);
  for (const auto& db : ctx.server.databases) {
    if (db->size() == 0) continue;
    ++pairs;
    ctx.reply.bulk(fmt::format("db.{}", db->index()));
    ctx.reply.map(3);
    ctx.reply.bulk("overhead.hashtable.main");
    ctx.reply.integer(static_cast<int64_t>(db->table_memory()));
    // Expiry lies in the entries, and there is no cluster: neither has a table.
    ctx.reply.bulk("overhead.hashtable.expires");
    ctx.reply.integer(0);
    ctx.reply.bulk("overhead.hashtable.slot-to-keys");
    ctx.reply.integer(0);
  }
  bytes("overhead.total", figures.overhead);
  bytes("keys.count", figures.keys);
  bytes("keys.bytes-per-key",
        figures.keys && figures.used > figures.startup ? (figures.used - figures.startup) / figures.keys : 0);
  bytes("dataset.bytes", figures.dataset);
  number("dataset.percentage", figures.dataset_percent());
  number("peak.percentage", figures.peak_percent());
  const AllocatorFigures& allocator = figures.allocator;
  bytes("allocator.allocated", allocator.allocated);
  bytes("allocator.active", allocator.active);
  bytes("allocator.resident", allocator.resident);
  number("allocator-fragmentation.ratio", ratio(allocator.active, allocator.allocated));
  integer("allocator-fragmentation.bytes", difference(allocator.active, allocator.allocated));
  number("allocator-rss.ratio", ratio(allocator.resident, allocator.active));
  integer("allocator-rss.bytes", difference(allocator.resident, allocator.active));
  number("rss-overhead.ratio", ratio(figures.resident, allocator.resident));
  integer("rss-overhead.bytes", difference(figures.resident, allocator.resident));
  number("fragmentation", ratio(figures.resident, figures.used));
  integer("fragmentation.bytes", difference(figures.resident, figures.used));
  ctx.reply.end_map(open, pairs);
}

void memory_doctor_command(Context& ctx) {
  constexpr size_t kLittle = 5 * 1024 * 1024;
  constexpr size_t kNotable = 10 * 1024 * 1024;
  const MemoryFigures figures = memory_figures(ctx.server);
  std::string findings;
  const auto find = [&](std::string_view text) { findings += fmt::format(" * {}\n", text); };
  for (const auto& db : ctx.server.databases)
    if (ctx.server.memory_limit.refusal_of(db->index()))
      find(fmt::format(
          "Limits: database {} is full, and its policy lets no key go: commands that need memory are refused there. "
          "Give it more (maxmemory), or another maxmemory-policy.",
          db->index()));
  if (figures.used < kLittle && findings.empty())
    return ctx.reply.verbatim("The server holds too little data for a judgement of its memory.\n");
  if (ratio(figures.peak, figures.used) > 1.5)
    find(
        "Peak: at its peak the server used more than one and a half times the memory it uses now. What was freed may "
        "stay with the allocator; MEMORY PURGE gives back what it can.");
  if (ratio(figures.resident, figures.used) > 1.4 && difference(figures.resident, figures.used) > int64_t{kNotable})
    find(
        "Fragmentation: the process is more than 1.4 times as large as what it uses. Large values that come and go "
        "leave such gaps.");
  if (!ctx.server.sessions().empty() && figures.clients / ctx.server.sessions().size() > 200 * 1024)
    find(
        "Clients: their buffers take more than 200 KB each on average. A client that reads slowly or a very long "
        "pipeline may be the cause; see CLIENT LIST.");
  if (ctx.server.scripting->cached_scripts() > 1000)
    find(
        "Scripts: more than 1000 are cached. Pass what changes as KEYS and ARGV instead of writing it into the "
        "script.");
  if (findings.empty()) return ctx.reply.verbatim("Nothing about the memory of this server calls for attention.\n");
  ctx.reply.verbatim("These observations were made of the memory of this server:\n\n" + findings);
}

void memory_purge_command(Context& ctx) {
  release_free_memory();
  ctx.reply.ok();
}

void memory_malloc_stats_command(Context& ctx) {
  const std::string report = allocator_report();
  ctx.reply.verbatim(report.empty() ? "Stats not supported for the current allocator" : report);
}

void memory_help_command(Context& ctx) {
  reply_help(ctx,
             {"DOCTOR", "    Judge the use of memory.", "MALLOC-STATS", "    Show the allocator's own report.", "PURGE",
              "    Give free memory back to the system.", "STATS", "    Show how much memory goes into what.",
              "USAGE <key> [SAMPLES <count>]", "    Tell how many bytes <key> and its value take. SAMPLES is",
              "    accepted, but nothing is estimated."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_memory_subcommands[] = {
    {.name = "malloc-stats", .arity = 2,
     .group = "server", .since = "4.0.0", .complexity = "O(N)",
     .summary = "Shows the allocator's own report.",
     .handler = memory_malloc_stats_command, .tips = tips::kNondeterministicAllShards},
    {.name = "doctor", .arity = 2,
     .group = "server", .since = "4.0.0", .complexity = "O(1)",
     .summary = "Judges the use of memory in words.",
     .handler = memory_doctor_command, .tips = tips::kNondeterministicAllShards},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "4.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = memory_help_command},
    {.name = "purge", .arity = 2,
     .group = "server", .since = "4.0.0", .complexity = "O(N)",
     .summary = "Gives free memory back to the system.",
     .handler = memory_purge_command, .tips = tips::kAllShardsSucceed},
    {.name = "stats", .arity = 2,
     .group = "server", .since = "4.0.0", .complexity = "O(1)",
     .summary = "Shows how much memory goes into what.",
     .handler = memory_stats_command, .tips = tips::kNondeterministicAllShards},
    {.name = "usage", .arity = -3, .flags = kReadOnly,
     .group = "server", .since = "4.0.0", .complexity = "O(N)",
     .summary = "Tells how many bytes a key and its value take.",
     .syntax = "key [SAMPLES count]",
     .handler = memory_usage_command, .keys = keys::kInspectSecond},
};

constexpr Command kCommands[] = {
    {.name = "memory", .arity = -2,
     .group = "server", .since = "4.0.0", .complexity = "Depends on the subcommand",
     .summary = "Tells how memory is used.",
     .subcommands = k_memory_subcommands},
};

}  // namespace

std::span<const Command> memory_commands() { return kCommands; }

}  // namespace quartet::server
