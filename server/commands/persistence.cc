#include <fmt/format.h>

#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/config_target.h"
#include "server/scripting.h"
#include "server/server.h"

namespace quartet::server {

namespace {

constexpr std::string_view kSaving = "ERR Background save already in progress";

void save_command(Context& ctx) {
  if (ctx.server.durability.saving()) return ctx.reply.error(kSaving);
  if (!ctx.enters_all()) return;
  if (ctx.server.durability.save()) return ctx.reply.ok();
  ctx.reply.error("ERR");
}

/// BGSAVE [SCHEDULE], and with DB name-or-index one database alone, to a file of its own.
void bgsave_command(Context& ctx) {
  Arguments in(ctx);
  bool schedule = false;
  int database = -1;
  if (in.option("SCHEDULE")) {
    schedule = true;
  } else if (in.option("DB", 1)) {
    database = ctx.server.database_index(in.next());
    if (database < 0) in.fail(errors::kDbIndex);
  }
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Durability& durability = ctx.server.durability;
  if (durability.saving()) return ctx.reply.error(kSaving);
  if (durability.rewriting()) {
    if (!schedule)
      return ctx.reply.error(
          "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to "
          "schedule a BGSAVE whenever possible.");
    durability.schedule_save();
    return ctx.reply.simple("Background saving scheduled");
  }
  if (ctx.server.feed.in_unit()) {
    // In the middle of a transaction there is no moment to be saved.
    if (database < 0) durability.schedule_save();
    if (database >= 0) durability.schedule_save(database);
    return ctx.reply.simple("Background saving scheduled");
  }
  if (!ctx.enters_all()) return;
  if (database >= 0) {
    durability.save_in_background(database);
    return ctx.reply.simple(fmt::format("Background saving to {} started", durability.save_file_name(database)));
  }
  durability.save_in_background();
  ctx.reply.simple("Background saving started");
}

void bgrewriteaof_command(Context& ctx) {
  Durability& durability = ctx.server.durability;
  if (!durability.log()) return ctx.reply.error("ERR there is no append-only file: appendonly is no for all databases");
  if (durability.rewriting()) return ctx.reply.error("ERR Background append only file rewriting already in progress");
  if (!ctx.server.feed.in_unit() && !ctx.enters_all()) return;
  ctx.reply.simple(durability.rewrite() ? "Background append only file rewriting started"
                                        : "Background append only file rewriting scheduled");
}

void lastsave_command(Context& ctx) { ctx.reply.integer(ctx.server.durability.outcomes().last_save_s); }

/// `BGSAVE DB database`.
void saved_database(Args args, const Config& config, std::vector<int>& databases) {
  if (args.size() > 2) add_database(args[2], config, databases);
}

void shutdown_command(Context& ctx) {
  Arguments in(ctx);
  bool save = false, nosave = false, abort = false, now = false, force = false;
  while (in.more()) {
    if (in.option("SAVE")) {
      save = true;
    } else if (in.option("NOSAVE")) {
      nosave = true;
    } else if (in.option("ABORT")) {
      abort = true;
    } else if (in.option("NOW")) {
      now = true;  // replicas would not be waited for
    } else if (in.option("FORCE")) {
      force = true;
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if ((save && nosave) || (abort && (save || nosave || now || force))) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Server& server = ctx.server;
  if (abort) {
    if (!server.durability.abort_shutdown()) return ctx.reply.error("ERR No shutdown in progress.");
    return ctx.reply.ok();
  }
  if (server.scripting->busy()) {
    if (!nosave)
      return ctx.reply.error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
    // The loop ends when the script does, so it has to, even where it has written and SCRIPT KILL spares it.
    server.scripting->abort();
    force = true;
  }
  server.log.notice("User requested shutdown...");
  const auto wanted = save ? Durability::Save::Yes : nosave ? Durability::Save::No : Durability::Save::AsConfigured;
  server.shut_down(wanted, force, [&server, id = ctx.session.id] {
    server.log.warning("Errors trying to shut down the server. Check the lines before for details.");
    if (Session* session = server.find_session(id)) {
      session->reply.error("ERR Errors trying to SHUTDOWN. Check logs.");
      server.output_added(*session);
    }
  });
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "bgrewriteaof", .arity = 1, .flags = kAdmin | kNoScript | kNoAsyncLoading,
     .group = "server", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Rewrites the append-only file in the background, as short as it can be.",
     .handler = bgrewriteaof_command},
    {.name = "bgsave", .arity = -1, .flags = kAdmin | kNoScript | kNoAsyncLoading,
     .group = "server", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Saves a snapshot in the background.",
     .syntax = "[SCHEDULE]",
     .handler = bgsave_command, .databases = saved_database},
    {.name = "lastsave", .arity = 1, .flags = kLoading | kStale | kFast,
     .categories = kDangerous | kAdminCategory, .group = "server", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells when the data was last saved.",
     .handler = lastsave_command, .tips = tips::kNondeterministic},
    {.name = "save", .arity = 1, .flags = kAdmin | kNoScript | kNoAsyncLoading | kNoMulti,
     .group = "server", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Saves a snapshot while everybody waits.",
     .handler = save_command},
    {.name = "shutdown", .arity = -1, .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
     .group = "server", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Ends the server when what is to be on disk is there.",
     .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
     .handler = shutdown_command},
};

}  // namespace

std::span<const Command> persistence_commands() { return kCommands; }

}  // namespace quartet::server
