#include <fmt/format.h>

#include <algorithm>

#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/config_target.h"
#include "server/server.h"
#include "server/version.h"

namespace quartet::server {

namespace {

// --- Databases -------------------------------------------------------------------------------------------------------

void dbsize_command(Context& ctx) { ctx.reply.integer(static_cast<int64_t>(ctx.db().size())); }

/// FLUSHDB and FLUSHALL take one word at most. Either way what was there is freed elsewhere, so the words differ in
/// nothing.
void flush(Context& ctx, int database) {
  Arguments in(ctx);
  if (in.more() && !in.option("ASYNC") && !in.option("SYNC")) in.fail(errors::kSyntax);
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok() || (database < 0 && !ctx.enters_all())) return;
  if (const auto refusal = ctx.server.flush(database)) return ctx.reply.error(*refusal);
  ctx.databases_changed();
  ctx.reply.ok();
}

void flushdb_command(Context& ctx) { flush(ctx, ctx.db().index()); }

/// Databases may be kept on disk in different ways, and each is emptied there by itself.
void flushall_command(Context& ctx) {
  flush(ctx, -1);
  if (!ctx.dirty) return;
  ctx.execution.awaited.also({0, ctx.server.durability.save_flushed()});
  for (const auto& db : ctx.server.databases) ctx.effect_in(*db, {"FLUSHDB"});
}

void swapdb_command(Context& ctx) {
  static constexpr std::string_view kInvalid[] = {"ERR invalid first DB index", "ERR invalid second DB index"};
  int index[2];
  for (size_t i = 0; i < 2; ++i) {
    index[i] = ctx.server.database_index(ctx.arg(i + 1));
    const auto number = parse_int(ctx.arg(i + 1));
    if (index[i] < 0 && (!number || *number != static_cast<int>(*number))) return ctx.reply.error(kInvalid[i]);
  }
  if (index[0] < 0 || index[1] < 0) return ctx.reply.error(errors::kDbIndex);
  for (const int each : index)
    if (!ctx.enters(ctx.server.database(each))) return;
  for (const auto& [from, to] : {std::pair(index[0], index[1]), std::pair(index[1], index[0])}) {
    if (ctx.server.database(from).size() == 0) continue;
    if (const auto refusal = ctx.server.leaving_refusal("SWAPDB", from, to)) return ctx.reply.error(*refusal);
  }
  // What was swapped once is loaded so, whatever the settings are by now.
  if (!ctx.server.durability.loading() && !ctx.server.durability.alike(index[0], index[1]))
    return ctx.reply.error("ERR databases with different appendonly or appendfsync settings cannot be swapped");
  if (!ctx.server.durability.loading())
    if (const std::string* refusal = ctx.server.memory_limit.refusal_to_swap(index[0], index[1]))
      return ctx.reply.error(*refusal);
  ctx.server.swap_databases(index[0], index[1]);
  ctx.databases_changed();
  // By number, because only Quartet's databases have names.
  char first[kNumberChars], second[kNumberChars];
  ctx.effect_between(ctx.server.database(index[0]), ctx.server.database(index[1]),
                     {"SWAPDB", {first, format_int(index[0], first)}, {second, format_int(index[1], second)}});
  ctx.reply.ok();
}

void swapped_databases(Args args, const Config& config, std::vector<int>& databases) {
  add_database(args[1], config, databases);
  add_database(args[2], config, databases);
}

// --- The server ------------------------------------------------------------------------------------------------------

void time_command(Context& ctx) {
  ctx.reply.array(2);
  ctx.reply.bulk_integer(ctx.now.wall_us / 1'000'000);
  ctx.reply.bulk_integer(ctx.now.wall_us % 1'000'000);
}

void role_command(Context& ctx) {
  ctx.reply.array(3);
  ctx.reply.bulk("master");
  ctx.reply.integer(0);
  ctx.reply.array(0);
}

void module_list_command(Context& ctx) { ctx.reply.array(0); }
void module_help_command(Context& ctx) { reply_help(ctx, {"LIST", "    List the loaded modules: there are none."}); }

// --- LOLWUT ----------------------------------------------------------------------------------------------------------

/// Four voices on one staff: each is a curve of its own, and where voices meet they sound louder.
std::string quartet_score(Random& random, size_t columns, size_t rows) {
  static constexpr std::string_view kLoudness[] = {" ", "·", "○", "●", "◉"};
  constexpr size_t kVoices = 4;
  std::vector<uint8_t> cells(columns * rows);
  for (size_t voice = 0; voice < kVoices; ++voice) {
    size_t pitch = random.below(rows);
    for (size_t beat = 0; beat < columns; ++beat) {
      ++cells[pitch * columns + beat];
      const uint64_t step = random.below(3);
      if (step == 0 && pitch > 0) --pitch;
      if (step == 2 && pitch + 1 < rows) ++pitch;
    }
  }
  std::string picture;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t beat = 0; beat < columns; ++beat) picture += kLoudness[cells[row * columns + beat]];
    picture += '\n';
  }
  return picture;
}

void lolwut_command(Context& ctx) {
  constexpr int64_t kColumns = 66, kRows = 8, kMostColumns = 1000, kMostRows = 100;
  Arguments in(ctx);
  // There is one picture, whatever version is asked for. As in Redis, nothing but a version's number is an error.
  if (in.option("VERSION", 1)) in.integer();
  const auto size = [&](int64_t usual, int64_t most) {
    return std::clamp<int64_t>(in.more() ? parse_int(in.next()).value_or(usual) : usual, 1, most);
  };
  const int64_t columns = size(kColumns, kMostColumns);
  const int64_t rows = size(kRows, kMostRows);
  if (!in.ok()) return;
  ctx.reply.verbatim(
      quartet_score(ctx.server.random, static_cast<size_t>(columns), static_cast<size_t>(rows)) +
      fmt::format("\nA piece for four voices. Quartet ver. {}, Redis ver. {}\n", kQuartetVersion, kRedisVersion));
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_module_subcommands[] = {
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = module_help_command},
    {.name = "list", .arity = 2, .flags = kAdmin | kNoScript,
     .group = "server", .since = "4.0.0", .complexity = "O(N)",
     .summary = "Lists the loaded modules.",
     .handler = module_list_command, .tips = tips::kUnordered},
};

constexpr Command kCommands[] = {
    {.name = "dbsize", .arity = 1, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "server", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Counts the keys of the database.",
     .handler = dbsize_command, .tips = tips::kAllShardsSum},
    {.name = "flushall", .arity = -1, .flags = kWrite | kEveryDatabase,
     .categories = kKeyspace | kDangerous, .group = "server", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Removes all keys of all databases.",
     .syntax = "[ASYNC | SYNC]",
     .handler = flushall_command, .tips = tips::kAllShardsSucceed},
    {.name = "flushdb", .arity = -1, .flags = kWrite,
     .categories = kKeyspace | kDangerous, .group = "server", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Removes all keys of the database.",
     .syntax = "[ASYNC | SYNC]",
     .handler = flushdb_command, .tips = tips::kAllShardsSucceed},
    {.name = "lolwut", .arity = -1, .flags = kReadOnly | kFast,
     .group = "server", .since = "5.0.0",
     .summary = "Draws a picture and tells the version.",
     .syntax = "[VERSION version]",
     .handler = lolwut_command},
    {.name = "module", .arity = -2,
     .group = "server", .since = "4.0.0", .complexity = "Depends on the subcommand",
     .summary = "Tells of loaded modules.",
     .subcommands = k_module_subcommands},
    {.name = "role", .arity = 1, .flags = kNoScript | kLoading | kStale | kFast,
     .categories = kDangerous | kAdminCategory, .group = "server", .since = "2.8.12", .complexity = "O(1)",
     .summary = "Tells the role of the server in replication.",
     .handler = role_command},
    {.name = "swapdb", .arity = 3, .flags = kWrite | kFast,
     .categories = kKeyspace | kDangerous, .group = "server", .since = "4.0.0", .complexity = "O(N)",
     .summary = "Exchanges the contents of two databases.",
     .syntax = "index1 index2",
     .handler = swapdb_command, .databases = swapped_databases},
    {.name = "time", .arity = 1, .flags = kLoading | kStale | kFast,
     .group = "server", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Gives the time of the server.",
     .handler = time_command, .tips = tips::kNondeterministic},
};

}  // namespace

std::span<const Command> admin_commands() { return kCommands; }

}  // namespace quartet::server
