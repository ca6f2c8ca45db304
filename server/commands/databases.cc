// DB: what Redis has no command for, because its databases have no roles.

#include <optional>

#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/database_figures.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/config_target.h"
#include "server/version.h"

namespace quartet::server {

namespace {

/// The database that an argument names, by number or name; -1, with the error latched, where there is none.
int read_database(const Context& ctx, Arguments& in) {
  const int index = ctx.server.database_index(in.next());
  if (index < 0) in.fail("ERR No such database");
  return index;
}

/// Writes pairs of a map whose length is known at the end.
class Map {
 public:
  explicit Map(protocol::Reply& reply) : reply_(reply), open_(reply.begin()) {}
  ~Map() { reply_.end_map(open_, pairs_); }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  void key(std::string_view name) {
    reply_.bulk(name);
    ++pairs_;
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    reply_.bulk(value);
  }
  void integer(std::string_view name, int64_t value) {
    key(name);
    reply_.integer(value);
  }
  void number(std::string_view name, double value) {
    key(name);
    reply_.number(value);
  }
  /// The database's number, and its name or null.
  void database(const DatabaseFigures& figures) {
    integer("index", figures.keyspace.index());
    key("name");
    if (figures.settings.name.empty()) {
      reply_.null();
    } else {
      reply_.bulk(figures.settings.name);
    }
  }

 private:
  protocol::Reply& reply_;
  const protocol::Reply::Open open_;
  size_t pairs_ = 0;
};

/// Calls `show(index)` for the databases that are worth it, and returns for how many.
template <class Show>
size_t show_databases(Context& ctx, Show show) {
  size_t shown = 0;
  for (const auto& db : ctx.server.databases) {
    if (!ctx.session.user->may_use(ctx.command, db->index()) ||
        !DatabaseFigures(ctx.server, db->index()).worth_showing())
      continue;
    show(db->index());
    ++shown;
  }
  return shown;
}

// --- DB LIST, DB INFO ------------------------------------------------------------------------------------------------

void db_list_command(Context& ctx) {
  const protocol::Reply::Open open = ctx.reply.begin();
  const size_t shown = show_databases(ctx, [&](int index) {
    const DatabaseFigures figures(ctx.server, index);
    Map map(ctx.reply);
    map.database(figures);
    map.integer("keys", static_cast<int64_t>(figures.keyspace.size()));
    map.integer("used_memory", static_cast<int64_t>(figures.keyspace.memory()));
    map.integer("maxmemory", figures.settings.budget);
    map.integer("clients", static_cast<int64_t>(figures.statistics.clients));
    map.text("flush", figures.settings.flush);
  });
  ctx.reply.end_array(open, shown);
}

void db_info_command(Context& ctx) {
  Arguments in(ctx, 2);
  const int index = read_database(ctx, in);
  if (!in.ok()) return;
  const DatabaseFigures figures(ctx.server, index);
  Map map(ctx.reply);
  map.database(figures);
  map.integer("keys", static_cast<int64_t>(figures.keyspace.size()));
  map.integer("expires", static_cast<int64_t>(figures.keyspace.expiring()));
  map.integer("used_memory", static_cast<int64_t>(figures.keyspace.memory()));
  map.integer("clients", static_cast<int64_t>(figures.statistics.clients));
  map.key("settings");
  {
    Map settings(ctx.reply);
    for (const Directive* directive : database_directives())
      settings.text(directive->name, format(Target{directive, static_cast<size_t>(index)}, ctx.server.config));
  }
  // Those of which it has a value of its own; the others follow what is said for all databases.
  map.key("own");
  ctx.reply.array(figures.settings.overridden.size());
  for (const std::string_view name : figures.settings.overridden) ctx.reply.bulk(name);
}

// --- DB STATS --------------------------------------------------------------------------------------------------------

void reply_stats(Context& ctx, int index, size_t survey_buckets) {
  const DatabaseFigures figures(ctx.server, index);
  Map map(ctx.reply);
  map.database(figures);
  figures.each([&](std::string_view name, int64_t value) { map.integer(name, value); },
               [&](std::string_view name, double value) { map.number(name, value); });
  map.key("queues");
  Map queues(ctx.reply);
  for (const QueueSurvey::Queue& queue : ctx.server.queues.ask(figures.keyspace, ctx.now, survey_buckets))
    queues.integer(queue.name, static_cast<int64_t>(queue.length));
}

void db_stats_command(Context& ctx) {
  Arguments in(ctx, 2);
  std::optional<int> index;
  if (in.more()) index = read_database(ctx, in);
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  if (index) return reply_stats(ctx, *index, QueueSurvey::kOneBuckets);
  const protocol::Reply::Open open = ctx.reply.begin();
  const size_t shown = show_databases(ctx, [&](int shown_index) {
    ctx.reply.bulk(ctx.server.database_name(shown_index));
    reply_stats(ctx, shown_index, QueueSurvey::kEachBuckets);
  });
  ctx.reply.end_map(open, shown);
}

// --- DB SLOWLOG ------------------------------------------------------------------------------------------------------

/// What SLOWLOG GET has no place for: clients of Redis read its entries as arrays of six.
void db_slowlog_command(Context& ctx) {
  constexpr int64_t kDefaultCount = 10;
  Arguments in(ctx, 2);
  std::optional<int> index;
  int64_t count = kDefaultCount;
  if (in.more() && !equals_ignoring_case(in.peek(), "COUNT")) index = read_database(ctx, in);
  if (in.option("COUNT", 1)) count = in.integer_in(-1, INT64_MAX, "ERR count should be greater than or equal to -1");
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  const protocol::Reply::Open open = ctx.reply.begin();
  int64_t shown = 0;
  for (const SlowLog::Item& item : ctx.server.slowlog.items()) {
    if (!ctx.session.user->may_use(ctx.command, item.database) || (index && item.database != *index)) continue;
    if (shown == count) break;
    ++shown;
    Map map(ctx.reply);
    map.integer("id", static_cast<int64_t>(item.id));
    map.text("database", ctx.server.database_name(item.database));
    map.integer("time", item.time);
    map.integer("duration_usec", item.microseconds);
    map.key("command");
    ctx.reply.array(item.arguments.size());
    for (const std::string& argument : item.arguments) ctx.reply.bulk(argument);
    map.text("client_address", item.address);
    map.text("client_name", item.name);
  }
  ctx.reply.end_array(open, static_cast<size_t>(shown));
}

/// The database that INFO, STATS and SLOWLOG are asked about.
void described_database(Args args, const Config& config, std::vector<int>& databases) {
  if (args.size() > 2) add_database(args[2], config, databases);
}

void db_help_command(Context& ctx) {
  reply_help(ctx, {"LIST", "    List the databases that have a name, keys, or had commands.", "INFO <database>",
                   "    Tell the settings of a database, by its name or number.", "STATS [<database>]",
                   "    Give the counters of one database or of all, and the lengths of the longest lists.",
                   "SLOWLOG [<database>] [COUNT <count>]",
                   "    Give the latest <count> slow commands (10 by default, -1 for all) with their databases."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_db_subcommands[] = {
    {.name = "list", .arity = 2, .flags = kLoading | kStale,
     .categories = kDangerous, .group = "server", .since = kQuartetVersion,
     .complexity = "O(N) with N the number of databases",
     .summary = "Lists the databases that are named or used.",
     .handler = db_list_command, .tips = tips::kNondeterministic},
    {.name = "info", .arity = 3, .flags = kLoading | kStale,
     .categories = kDangerous, .group = "server", .since = kQuartetVersion, .complexity = "O(1)",
     .summary = "Tells the settings of a database.",
     .syntax = "database",
     .handler = db_info_command, .tips = tips::kNondeterministic, .databases = described_database},
    {.name = "stats", .arity = -2, .flags = kLoading | kStale,
     .categories = kDangerous, .group = "server", .since = kQuartetVersion,
     .complexity = "O(N) with N the number of databases",
     .summary = "Gives what is counted for databases, and the lengths of their longest lists.",
     .syntax = "[database]",
     .handler = db_stats_command, .tips = tips::kNondeterministic, .databases = described_database},
    {.name = "slowlog", .arity = -2, .flags = kAdmin | kLoading | kStale,
     .group = "server", .since = kQuartetVersion, .complexity = "O(N)",
     .summary = "Gives the latest entries of the slow log with their databases.",
     .syntax = "[database] [COUNT count]",
     .handler = db_slowlog_command, .tips = tips::kNondeterministic, .databases = described_database},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = kQuartetVersion, .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = db_help_command},
};

constexpr Command kCommands[] = {
    {.name = "db", .arity = -2,
     .group = "server", .since = kQuartetVersion, .complexity = "Depends on the subcommand",
     .summary = "Tells of databases and their roles.",
     .subcommands = k_db_subcommands},
};

}  // namespace

std::span<const Command> database_commands() { return kCommands; }

}  // namespace quartet::server
